// Load-balancing loss: what keeps a mixture's experts in use.
#pragma once

#include "core/context.h"
#include "ops/moe.h"

namespace minimax {

/// The load-balancing losses of a forward pass: set Context::balance, and every mixture that runs with a tape adds its
/// own to the loss whose gradients are taken. A pass with checkpointed layers fills `sum` in its backward.
struct BalanceLoss {
  float coefficient = 0;  ///< of each layer's loss; for the coefficient of their mean, divided by the layers
  double sum = 0;         ///< of the layers' losses, without the coefficient
  int64_t layers = 0;     ///< how many were added
};

}  // namespace minimax

namespace minimax::ops {

/// experts * sum over e of F[e] * mean over tokens of p[token][e], where p = softmax(router_logits) and F[e] is the
/// share of tokens that chose e, which sum to top_k and are constants. -> [1] float32: top_k when balanced.
/// router_logits: [tokens, experts] float32; routing: of the same tokens, its weights are not used.
/// Throws kInvalidArgument when the two do not fit or there are no tokens.
/// Source: load_balancing_loss_func in the published modeling file, of one layer's tokens: over the tokens of all
/// layers together, as there, layers can cancel each other.
Tensor balance_loss(const Context& ctx, const Tensor& router_logits, const Routing& routing);

/// With a tape and Context::balance: counts the loss there, and makes it a term of the loss by its coefficient.
void add_balance_loss(const Context& ctx, const Tensor& router_logits, const Routing& routing);

}  // namespace minimax::ops
