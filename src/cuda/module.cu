// The entry point of libminimax_cuda.so.
#include <cuda_runtime.h>

#include <cstdio>

#include "cuda/module.h"

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

constexpr MinimaxCudaModule kModule = {MINIMAX_CUDA_ABI, versions, count, device};

}  // namespace

extern "C" __attribute__((visibility("default"))) const MinimaxCudaModule* minimax_cuda_module() {
  return &kModule;
}
