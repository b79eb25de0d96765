// The mixture's experts on the CPU: tokens grouped by expert, each touched expert's weights read once.
#pragma once

#include <functional>
#include <span>

#include "core/context.h"
#include "quant/weight.h"

namespace minimax::cpu {

struct ExpertTensors {
  const Weight* gate;  ///< [ffn, hidden]
  const Weight* up;    ///< [ffn, hidden]
  const Weight* down;  ///< [hidden, ffn]
};

/// x, out: [tokens, hidden]; chosen: [tokens, top_k] int32; weights: [tokens, top_k] float32.
void experts(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
             std::span<const ExpertTensors> experts, const Tensor& out);

/// Where the gradients of one expert's matrices are added, float32.
struct ExpertSum {
  Tensor gate, up, down;
};
/// Asked for experts that have tokens only.
using ExpertSums = std::function<ExpertSum(int64_t expert)>;

/// Gradient of experts() with dense weights: dx like x and dweights like weights are written. The experts' hidden
/// activations are computed again rather than kept.
void experts_backward(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
                      std::span<const ExpertTensors> experts, const Tensor& dout, const Tensor& dx,
                      const Tensor& dweights, const ExpertSums& sums);

/// (1 - c) * routed + c * shared with c = sigmoid(logits). logits: [tokens, 1]; the others: [tokens, hidden].
void mix_shared(const Context& ctx, const Tensor& logits, const Tensor& routed, const Tensor& shared,
                const Tensor& out);

/// Gradient of mix_shared(): all three are written.
void mix_shared_backward(const Context& ctx, const Tensor& logits, const Tensor& routed, const Tensor& shared,
                         const Tensor& dout, const Tensor& dlogits, const Tensor& drouted, const Tensor& dshared);

}  // namespace minimax::cpu
