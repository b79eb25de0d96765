// The driver's encoder of tensor maps, which describe matrices to the copy engine.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>

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

/// `layers` matrices [rows, columns] of bfloat16, `layer_stride` elements apart, copied in boxes of 64 columns.
inline bool describe(CUtensorMap* map, const void* matrix, int64_t rows, int64_t columns, int64_t layers,
                     int64_t layer_stride, int64_t box_rows, bool flat) {
  static const EncodeTiled encode = encode_tiled();
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows),
                               static_cast<cuuint64_t>(layers)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(columns) * 2, static_cast<cuuint64_t>(layer_stride) * 2};
  const cuuint32_t box[3] = {64, static_cast<cuuint32_t>(box_rows), 1}, steps[3] = {1, 1, 1};
  return encode && encode(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, flat ? 2 : 3, const_cast<void*>(matrix), sizes,
                          strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                          CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

}  // namespace minimax::cuda
