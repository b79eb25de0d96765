// Products with weights on a GPU; as cpu/linear.h, all tensors on the device.
#pragma once

#include "core/context.h"
#include "cuda/gpu.h"

namespace minimax::cuda {

/// How a product takes its float32 activations when the weight is bfloat16.
enum class Operand {
  kRounded,   ///< to bfloat16
  kTwoParts,  ///< as the sum of two bfloat16 numbers: 16 bits of the 24
  kExact,
};

/// x: [rows, in] float32; weight: [out, in] F32 or BF16; out: [rows, out] float32.
void linear(const Context& ctx, const Tensor& x, const Tensor& weight, Operand operand, const Tensor& out);
/// dx is written, dweight_sum [out, in] added to. dy: [rows, out] F32, or BF16 already rounded.
void linear_backward(const Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& dx,
                     const Tensor& dweight_sum);

}  // namespace minimax::cuda
