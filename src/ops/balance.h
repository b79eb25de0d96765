// Load-balancing loss: what keeps a mixture's experts in use.
#pragma once

#include <unordered_map>
#include <vector>

#include "core/context.h"
#include "ops/moe.h"

namespace minimax {

/// Of each mixture, named by the bytes of its router's weights: [experts] the share of tokens that chose each expert,
/// which sum to top_k.
using ExpertShares = std::unordered_map<const void*, std::vector<double>>;

/// The load-balancing losses of a forward pass: set Context::balance, and every mixture that runs with a tape adds its
/// own to the loss whose gradients are taken. A pass with checkpointed layers fills `sum` in its backward.
struct BalanceLoss {
  float coefficient = 0;  ///< of each layer's loss; for the coefficient of their mean, divided by the layers
  double sum = 0;         ///< of the layers' losses, without the coefficient
  int64_t layers = 0;     ///< how many were added
  /// Over all tokens of an optimizer step, whose loss is then the same however it is cut into passes; null: the shares
  /// are those of the pass. The loss that a GPU reports is of the pass's own shares, its gradient of these.
  const ExpertShares* shares = nullptr;
};

}  // namespace minimax

namespace minimax::ops {

/// experts * sum over e of F[e] * mean over tokens of p[token][e], where p = softmax(router_logits) and F[e] is the
/// share of tokens that chose e, which sum to top_k and are constants. -> [1] float32: top_k when balanced.
/// router_logits: [tokens, experts] float32; routing: of the same tokens, its weights are not used.
/// `shares`: F, when it is of more tokens than these; null: of these.
/// Throws kInvalidArgument when they do not fit or there are no tokens.
/// Source: load_balancing_loss_func in the published modeling file, of one layer's tokens: over the tokens of all
/// layers together, as there, layers can cancel each other.
Tensor balance_loss(const Context& ctx, const Tensor& router_logits, const Routing& routing,
                    const std::vector<double>* shares = nullptr);

/// With a tape and Context::balance: counts the loss there, and makes it a term of the loss by its coefficient.
/// `router`: the weights the logits were made by, which BalanceLoss::shares are found by.
void add_balance_loss(const Context& ctx, const Tensor& router_logits, const Tensor& router, const Routing& routing);

}  // namespace minimax::ops
