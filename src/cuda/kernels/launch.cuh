// What every launcher needs: how errors become texts, and facts about the device.
#pragma once

#include <cuda_runtime.h>

#include <type_traits>

#include "cuda/kernels.h"
#include "cuda/op_kernel_names.h"

namespace minimax::cuda {

inline Failure failure(cudaError_t error) {
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

/// After a launch: what was wrong with it.
inline Failure launched() {
  return failure(cudaGetLastError());
}

inline cudaStream_t stream_of(Stream stream) {
  return static_cast<cudaStream_t>(stream);
}

inline bool on_hopper() {
  int device = 0, major = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess && major == 9;
}

// One definition each, in the file of its name; module.cu makes the table of them.
Failure lightning(const LightningArgs& args, Stream stream);
Failure lightning_decode(const LightningArgs& args, Stream stream);
Failure lightning_simple(const LightningArgs& args, Stream stream);
Failure lightning_gradient(const LightningGradientArgs& args, Stream stream);
Failure attention_decode(const AttentionDecodeArgs& args, Stream stream);
Failure attention_decode_simple(const AttentionDecodeArgs& args, Stream stream);
Failure random_normal(void* out, int64_t count, uint64_t seed, float deviation, Stream stream);
Failure probe_copy(void* to, const void* from, int64_t bytes, Stream stream);
Failure probe_read(const void* memory, int64_t bytes, void* out, Stream stream);
Failure probe_bf16(int64_t* flops, void* out, Stream stream);

// The ops' kernels, likewise.
#define MM_DECLARE(name) std::remove_pointer_t<decltype(OpKernels::name)> name;
MM_OP_KERNELS(MM_DECLARE)
#undef MM_DECLARE

/// Checks what all three lightning kernels ask for.
Failure check_lightning(const LightningArgs& args);
/// After a pass: the rows of an unfinished last chunk go to the window (lightning_simple.cu).
Failure lightning_keep_window(const LightningArgs& args, Stream stream);

}  // namespace minimax::cuda
