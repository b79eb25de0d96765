// Weight: a matrix [out, in] as the checkpoint holds it.
#pragma once

#include "core/tensor.h"

namespace minimax {

/// y = x W^T. F32, BF16 or F16, row-major, usually a view of a mapped file.
struct Weight {
  Tensor data;

  int64_t outputs() const { return data.dim(0); }
  int64_t inputs() const { return data.dim(1); }
};

/// One expert of a mixture: x -> down(silu(gate x) * (up x)); w1, w3, w2 of the published names.
struct ExpertWeights {
  Weight gate;  ///< [ffn, hidden]
  Weight up;    ///< [ffn, hidden]
  Weight down;  ///< [hidden, ffn]
};

}  // namespace minimax
