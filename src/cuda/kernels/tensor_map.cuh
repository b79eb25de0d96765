// The driver's encoder of tensor maps, which describe matrices to the copy engine.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

namespace minimax::cuda {

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

/// The driver's own encoder, asked for at run time: nothing links the driver library.
inline EncodeTiled encode_tiled() {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found{};
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found);
  return error == cudaSuccess && found == cudaDriverEntryPointSuccess ? reinterpret_cast<EncodeTiled>(entry) : nullptr;
}

}  // namespace minimax::cuda
