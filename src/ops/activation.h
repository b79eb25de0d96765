// Element by element: SiLU, gates and the scaled residual.
#pragma once

#include "core/context.h"

namespace minimax::ops {

/// x * sigmoid(x). Any shape, float32.
Tensor silu(const Context& ctx, const Tensor& x);
/// silu(gate) * up, the expert's hidden activation. Equal shapes, float32.
Tensor silu_mul(const Context& ctx, const Tensor& gate, const Tensor& up);
/// sigmoid(gate) * x, the output gate of lightning attention. Equal shapes, float32.
Tensor sigmoid_mul(const Context& ctx, const Tensor& gate, const Tensor& x);
/// alpha * x + beta * y, the residual of MiniMaxM1DecoderLayer. Equal shapes, float32.
Tensor scaled_add(const Context& ctx, float alpha, const Tensor& x, float beta, const Tensor& y);

}  // namespace minimax::ops
