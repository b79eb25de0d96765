// The entry point of libminimax_cuda.so.
#include <cuda_runtime.h>

#include <cstdio>

#include "cuda/kernels/runtime.cuh"
#include "cuda/module.h"
#include "cuda/op_kernel_names.h"

namespace {

int32_t fail(cudaError_t error, const char* call, char* reason, int64_t reason_bytes) {
  std::snprintf(reason, static_cast<size_t>(reason_bytes), "%s: %s (%s)", call, cudaGetErrorString(error),
                cudaGetErrorName(error));
  return -1;
}

void versions(int32_t* driver, int32_t* runtime) {
  *driver = *runtime = 0;
  cudaDriverGetVersion(driver);  // succeeds with 0 where there is no driver
  cudaRuntimeGetVersion(runtime);
}

int32_t count(char* reason, int64_t reason_bytes) {
  int devices = 0;
  cudaError_t error = cudaGetDeviceCount(&devices);
  return error == cudaSuccess ? devices : fail(error, "cudaGetDeviceCount", reason, reason_bytes);
}

int32_t device(int32_t index, MinimaxCudaDevice* out, char* reason, int64_t reason_bytes) {
  cudaDeviceProp properties{};
  if (cudaError_t error = cudaGetDeviceProperties(&properties, index); error != cudaSuccess)
    return fail(error, "cudaGetDeviceProperties", reason, reason_bytes);
  *out = {};
  std::snprintf(out->name, sizeof(out->name), "%s", properties.name);
  out->compute_major = properties.major;
  out->compute_minor = properties.minor;
  out->multiprocessors = properties.multiProcessorCount;
  out->memory_total_bytes = static_cast<int64_t>(properties.totalGlobalMem);
  // Needs a context, which a device that others hold exclusively refuses: not a reason to hide the device.
  out->memory_free_bytes = -1;
  size_t free_bytes = 0, total_bytes = 0;
  if (cudaSetDevice(index) == cudaSuccess && cudaMemGetInfo(&free_bytes, &total_bytes) == cudaSuccess)
    out->memory_free_bytes = static_cast<int64_t>(free_bytes);
  cudaGetLastError();  // a refusal above must not surface in the next call
  return 0;
}

constexpr minimax::cuda::Kernels kKernels = {
    .use_device = minimax::cuda::use_device,
    .allocate = minimax::cuda::allocate,
    .release = minimax::cuda::release,
    .free_memory = minimax::cuda::free_memory,
    .allocate_pinned = minimax::cuda::allocate_pinned,
    .release_pinned = minimax::cuda::release_pinned,
    .copy = minimax::cuda::copy,
    .fill = minimax::cuda::fill,
    .make_stream = minimax::cuda::make_stream,
    .drop_stream = minimax::cuda::drop_stream,
    .wait = minimax::cuda::wait,
    .make_event = minimax::cuda::make_event,
    .drop_event = minimax::cuda::drop_event,
    .record = minimax::cuda::record,
    .elapsed_ms = minimax::cuda::elapsed_ms,
    .begin_capture = minimax::cuda::begin_capture,
    .end_capture = minimax::cuda::end_capture,
    .run_graph = minimax::cuda::run_graph,
    .drop_graph = minimax::cuda::drop_graph,
    .lightning = minimax::cuda::lightning,
    .lightning_decode = minimax::cuda::lightning_decode,
    .lightning_simple = minimax::cuda::lightning_simple,
    .lightning_gradient = minimax::cuda::lightning_gradient,
    .attention_decode = minimax::cuda::attention_decode,
    .attention_decode_simple = minimax::cuda::attention_decode_simple,
    .random_normal = minimax::cuda::random_normal,
#define MM_ENTRY(name) .name = minimax::cuda::name,
    .op = {MM_OP_KERNELS(MM_ENTRY)},
#undef MM_ENTRY
    .probe_copy = minimax::cuda::probe_copy,
    .probe_read = minimax::cuda::probe_read,
    .probe_bf16 = minimax::cuda::probe_bf16,
};

const minimax::cuda::Kernels* kernels() {
  return &kKernels;
}

constexpr MinimaxCudaModule kModule = {MINIMAX_CUDA_ABI, versions, count, device, kernels};

}  // namespace

extern "C" __attribute__((visibility("default"))) const MinimaxCudaModule* minimax_cuda_module() {
  return &kModule;
}
