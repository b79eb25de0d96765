// Mixture of experts: routing and the routed experts.
#pragma once

#include <span>

#include "core/context.h"
#include "ops/weight.h"

namespace minimax::ops {

/// Which experts each token goes to, best first, and with what weight.
struct Routing {
  Tensor experts;  ///< [tokens, top_k] int32
  Tensor weights;  ///< [tokens, top_k] float32, each row sums to 1
};

/// router_logits: [tokens, experts] float32. Softmax over all experts, the top_k largest, renormalised to sum 1. Equal
/// logits go to the lower index (upstream leaves it open). Throws kInvalidArgument when top_k is not in 1..experts.
/// Source: MiniMaxM1SparseMoeBlock in the published modeling file.
Routing route(const Context& ctx, const Tensor& router_logits, int64_t top_k);

/// The same with the choice given: experts [tokens, top_k], the weights from the live logits. What route() gives, bit
/// for bit, when the choice is its own. Throws kInvalidArgument for an expert that is none.
Routing route_to(const Context& ctx, const Tensor& router_logits, const Tensor& experts);

/// dlogits_sum [tokens, experts] += the gradient of router logits, given that of the weights, [tokens, top_k].
void route_backward(const Routing& routing, const Tensor& dweights, const Tensor& dlogits_sum);

/// x: [tokens, hidden] float32 -> [tokens, hidden]: sum over a token's experts, best first, of weight * expert(x).
/// Each touched expert's weights are read once for all its tokens. A token's bits do not depend on the others.
/// With a tape, `experts` must stay where they are until its backward has run.
Tensor mix_experts(const Context& ctx, const Tensor& x, const Routing& routing, std::span<const ExpertWeights> experts);

/// One expert or the shared one, for all tokens: down(silu(gate x) * (up x)). x: [tokens, hidden] -> [tokens, hidden].
Tensor expert(const Context& ctx, const Tensor& x, const ExpertWeights& weights);

/// (1 - c) * routed + c * shared with c = sigmoid(coefficient . x), the shared expert's mode "sigmoid".
/// x, routed, shared: [tokens, hidden]; coefficient: [1, hidden] float32.
Tensor mix_shared(const Context& ctx, const Tensor& x, const Tensor& routed, const Tensor& shared,
                  const Weight& coefficient);

}  // namespace minimax::ops
