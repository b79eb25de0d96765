// Weight: a matrix [out, in] as the checkpoint holds it, dense or packed in a quantized format.
#pragma once

#include <memory>
#include <optional>

#include "core/tensor.h"
#include "quant/format.h"

namespace minimax {

/// What a low-rank adapter adds to a matrix: y += scale * (x down^T) up^T.
struct LowRank {
  Tensor down;  ///< [rank, in] float32
  Tensor up;    ///< [out, rank] float32
  float scale = 1;
};

/// y = x W^T.
struct Weight {
  /// Dense: [out, in] F32, BF16 or F16, row-major. Packed: [panels, panel bytes] U8. Usually a view of a mapped file.
  Tensor data;
  std::optional<quant::Format> format;          ///< nothing: dense
  Shape packed_shape;                           ///< [out, in] when packed
  std::shared_ptr<const LowRank> adapter = {};  ///< on a CPU, over packed weights; null: none

  const Shape& shape() const { return format ? packed_shape : data.shape(); }
  int64_t outputs() const { return shape().dim(0); }
  int64_t inputs() const { return shape().dim(1); }
};

/// `data`: panel after panel of a matrix [outputs, inputs]. Throws kInvalidArgument when it has another size than the
/// format asks for.
inline Weight packed_weight(const Tensor& data, quant::Format format, int64_t outputs, int64_t inputs) {
  const int64_t expected = quant::packed_bytes(format, outputs, inputs);
  MM_CHECK(data.dtype() == DType::kUInt8 && data.bytes() == expected, quant::name(format), " matrix [", outputs, ", ",
           inputs, "] is ", data.bytes(), " bytes of ", data.dtype(), ", expected ", expected, " of U8");
  return {data, format, {outputs, inputs}};
}

}  // namespace minimax
