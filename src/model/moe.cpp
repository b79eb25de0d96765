#include "model/moe.h"

#include "ops/balance.h"
#include "ops/linear.h"
#include "ops/moe.h"
#include "ops/router_replay.h"

namespace minimax {

Tensor MixtureOfExperts::forward(Context& ctx, const Tensor& x) const {
  // The router's inputs are never rounded: two experts within a rounding of each other would swap.
  const Tensor router_logits = ops::linear_float32(ctx, x, router);
  const ops::Routing routing = ctx.router_replay ? ctx.router_replay->route(ctx, router_logits, router.data, top_k)
                                                 : ops::route(ctx, router_logits, top_k);
  ops::add_balance_loss(ctx, router_logits, router.data, routing);
  const Tensor routed = ops::mix_experts(ctx, x, routing, experts);
  if (!shared) return routed;
  return ops::mix_shared(ctx, x, routed, ops::expert(ctx, x, shared->expert), shared->coefficient);
}

}  // namespace minimax
