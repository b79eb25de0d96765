// The mixture's experts on the CPU: tokens grouped by expert, each touched expert's weights read once.
#pragma once

#include <span>

#include "core/context.h"

namespace minimax::cpu {

struct ExpertTensors {
  const Tensor* gate;  ///< [ffn, hidden]
  const Tensor* up;    ///< [ffn, hidden]
  const Tensor* down;  ///< [hidden, ffn]
};

/// x, out: [tokens, hidden]; chosen: [tokens, top_k] int32; weights: [tokens, top_k] float32.
void experts(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
             std::span<const ExpertTensors> experts, const Tensor& out);

/// (1 - c) * routed + c * shared with c = sigmoid(logits). logits: [tokens, 1]; the others: [tokens, hidden].
void mix_shared(const Context& ctx, const Tensor& logits, const Tensor& routed, const Tensor& shared,
                const Tensor& out);

}  // namespace minimax::cpu
