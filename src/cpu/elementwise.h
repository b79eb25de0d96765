// Row-wise CPU kernels over tensors: norms, activations, residuals, embedding and rotary embedding.
#pragma once

#include "core/context.h"
#include "quant/weight.h"

namespace minimax::cpu {

void rms_norm(const Context& ctx, const Tensor& x, const Tensor& weight, float eps, const Tensor& out);
void silu(const Context& ctx, const Tensor& x, const Tensor& out);
void silu_mul(const Context& ctx, const Tensor& gate, const Tensor& up, const Tensor& out);
void sigmoid_mul(const Context& ctx, const Tensor& gate, const Tensor& x, const Tensor& out);
void scaled_add(const Context& ctx, float alpha, const Tensor& x, float beta, const Tensor& y, const Tensor& out);
void embedding(const Context& ctx, const Weight& table, const Tensor& tokens, const Tensor& out);

/// table: [tokens, 2, rotary_dim / 2]: cosines, then sines.
void rotary_table(const Context& ctx, const Tensor& positions, double theta, const Tensor& table);
/// x, out: [tokens, heads * head_dim]
void rotate(const Context& ctx, const Tensor& x, const Tensor& table, int64_t head_dim, const Tensor& out);

}  // namespace minimax::cpu
