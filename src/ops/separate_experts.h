// Experts by products of their own: slower than all together, for those that learn adapters or are packed in training.
#pragma once

#include <span>

#include "ops/moe.h"

namespace minimax::ops {

/// Some expert has an adapter, or is packed and there is a tape: what cpu/moe.h does not know.
bool need_separate_products(const Context& ctx, std::span<const ExpertWeights> experts);

/// mix_experts with its bits, on a CPU, of checked arguments: each expert's tokens are gathered and go through
/// expert().
Tensor mix_experts_separately(const Context& ctx, const Tensor& x, const Routing& routing,
                              std::span<const ExpertWeights> experts);

}  // namespace minimax::ops
