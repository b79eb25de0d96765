// Dense product with a weight: y = x W^T.
#pragma once

#include <initializer_list>
#include <vector>

#include "core/context.h"
#include "ops/weight.h"

namespace minimax {
class Gradients;
}

namespace minimax::ops {

/// x: [rows, in] float32; weight: [out, in] dense or packed -> [rows, out] float32. No bias anywhere in this model.
/// Sums in float32; a row's result does not depend on the other rows (one order of additions for any row count).
/// With ctx.matmul_precision kBFloat16 the activations are rounded to bfloat16 where bf16 dot products exist.
/// A packed weight multiplies 8-bit activations on a CPU (cpu/packed.h), on a GPU as cuda/packed.h says. With a tape it
/// is frozen, and on a CPU only: its gradient is that of the numbers it stands for, and goes to x alone. weight.adapter
/// adds its own product. Throws kInvalidArgument when weight does not fit x.
Tensor linear(const Context& ctx, const Tensor& x, const Weight& weight);

/// The same x with several weights, as one piece of parallel work: linear() of each, with its bits.
std::vector<Tensor> linears(const Context& ctx, const Tensor& x, std::initializer_list<const Weight*> weights);

/// d[x] += dy W, d[weight] += dy^T x where it is dense. dy: [rows, out].
void linear_backward(const Context& ctx, const Tensor& x, const Weight& weight, const Tensor& dy, Gradients& d);

/// As linear, with float32 activations whatever ctx.matmul_precision says: router and LM head. On a GPU with kBFloat16
/// and a bfloat16 weight, many rows are taken as sums of two bfloat16 numbers, which keep 16 bits of the 24. A packed
/// weight takes them, on a CPU and few rows on a GPU, as sums of two 8-bit numbers, which keep 15.
Tensor linear_float32(const Context& ctx, const Tensor& x, const Weight& weight);

}  // namespace minimax::ops
