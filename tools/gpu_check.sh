#!/bin/bash
# Tests and times the CUDA kernels on this machine's GPU; the speeds stand beside ceilings measured in the same run.
#   tools/gpu_check.sh               builds what is out of date (needs nvcc), then runs both
#   tools/gpu_check.sh --pack FOLDER builds and puts into FOLDER what a machine with a GPU and without a compiler needs;
#                                    there, run FOLDER/gpu_check.sh
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
programs=(cuda_lightning_gpu_test cuda_attention_gpu_test cuda_product_gpu_test cuda_packed_gpu_test ops_ops_gpu_test
          ops_packed_gpu_test tests_model_gpu_test tests_engine_gpu_test tests_rollout_gpu_test tests_long_gpu_test
          cuda_kernels_gpu_bench ops_gpu_bench train_gpu_bench)

# run_all FOLDER MODULE: every program, also after one failed.
run_all() {
  local program rc=0
  export MINIMAX_CUDA_MODULE=$2
  for program in "${programs[@]}"; do
    "$1/$program" || rc=1
  done
  ((rc == 0)) || printf 'gpu_check: FAILED\n' >&2
  return "$rc"
}

if [[ -e $here/libminimax_cuda.so ]]; then
  export MINIMAX_TESTDATA=$here/testdata LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  run_all "$here" "$here/libminimax_cuda.so"
  exit
fi

root=${here%/tools}
me=gpu_check
. "$root/tools/bootstrap.sh"
take_lock
ensure_packages build speed test
configure gpu
build gpu "the GPU tests" minimax_cuda "${programs[@]}"
if [[ ${1-} == --pack ]]; then
  mkdir -p "${2:?a folder is expected}/lib" "$2/testdata"
  cp "$root/tools/gpu_check.sh" "$build_root/gpu/libminimax_cuda.so" "${programs[@]/#/$build_root/gpu/gpu/}" "$2"
  cp -r "$root/testdata/golden" "$2/testdata"
  # What another machine may lack, but not what every one has.
  ldd "$build_root/gpu/gpu/tests_model_gpu_test" | awk '$2 == "=>" { print $3 }' |
    grep -vE '/(libc|libm|libdl|libpthread|librt|libgcc_s|libstdc\+\+|ld-linux[^/]*)\.so' | xargs -r cp -t "$2/lib"
else
  run_all "$build_root/gpu/gpu" "$build_root/gpu/libminimax_cuda.so"
fi
