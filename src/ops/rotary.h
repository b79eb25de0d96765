// Rotary position embedding over the first dimensions of each head.
#pragma once

#include "core/context.h"

namespace minimax::ops {

/// Cosines and sines of a batch's positions, computed once for all softmax layers (a table over all 10,240,000
/// positions would take 5 GB). positions: [tokens] int32 -> [tokens, 2, rotary_dim / 2] float32. Angles are float32
/// products, as published; their cosines are those of that float32 angle.
Tensor rotary_table(const Context& ctx, const Tensor& positions, int64_t rotary_dim, double theta);

/// x: [tokens, heads * head_dim] float32; rotates pairs (j, j + rotary_dim/2) of each head, leaves the dimensions from
/// rotary_dim on as they are. Source: apply_rotary_pos_emb in the published modeling file, with its partial width.
Tensor rotate(const Context& ctx, const Tensor& x, const Tensor& table, int64_t head_dim);

}  // namespace minimax::ops
