// The boundary between the program and libminimax_cuda.so: plain C, because the two may come from different compilers.
#pragma once

#include <cstdint>

namespace minimax::cuda {
struct Kernels;
}

extern "C" {

/// Raised with every change below and in cuda/kernels.h; a module of another number is not used.
#define MINIMAX_CUDA_ABI 6

/// One device. Versions and sizes as in minimax::GpuInfo.
struct MinimaxCudaDevice {
  char name[256];
  int32_t compute_major;
  int32_t compute_minor;
  int32_t multiprocessors;
  int64_t memory_total_bytes;
  int64_t memory_free_bytes;
};

/// The entry point's name is kMinimaxCudaEntry; there is no other.
struct MinimaxCudaModule {
  int32_t abi;
  /// Both as CUDA counts: 1000 * major + 10 * minor. Driver 0: none installed.
  void (*versions)(int32_t* driver, int32_t* runtime);
  /// How many devices; -1 with a reason in `reason` when they cannot be asked for. Throws nothing.
  int32_t (*count)(char* reason, int64_t reason_bytes);
  /// Fills `out`; 0, or -1 with a reason in `reason`.
  int32_t (*device)(int32_t index, MinimaxCudaDevice* out, char* reason, int64_t reason_bytes);
  /// cuda/kernels.h; lives as long as the process.
  const minimax::cuda::Kernels* (*kernels)();
};

}  // extern "C"

inline constexpr const char* kMinimaxCudaEntry = "minimax_cuda_module";
using MinimaxCudaEntry = const MinimaxCudaModule* (*)();
