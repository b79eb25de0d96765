// Products with quantized weights on a GPU, which lie there as in the file; as cuda/matmul.h and cuda/moe.h otherwise.
#pragma once

#include <span>

#include "core/context.h"
#include "cuda/matmul.h"
#include "quant/weight.h"

namespace minimax::cuda {

/// x: [rows, in] float32; out: [rows, out] float32. Up to kFewRows rows are taken with 15 bits of the largest number of
/// each 256 (but in ctx.deterministic), more as `operand` says.
void packed_linear(const Context& ctx, const Tensor& x, const Weight& weight, Operand operand, const Tensor& out);

struct PackedExpert {
  const Weight *gate, *up, *down;
};
/// As experts(). Throws kInvalidArgument unless all gates and ups have one format, all downs one, and matrices lie at
/// equal distances.
void packed_experts(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
                    std::span<const PackedExpert> experts, const Tensor& out);

/// out[i] = row tokens[i] of the table; an id outside gives a row of NaN.
void packed_embedding(const Context& ctx, const Weight& table, const Tensor& tokens, const Tensor& out);

}  // namespace minimax::cuda
