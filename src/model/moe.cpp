#include "model/moe.h"

#include "ops/linear.h"
#include "ops/moe.h"

namespace minimax {

Tensor MixtureOfExperts::forward(Context& ctx, const Tensor& x) const {
  // The router's inputs are never rounded: two experts within a rounding of each other would swap.
  const ops::Routing routing = ops::route(ctx, ops::linear_float32(ctx, x, router), top_k);
  const Tensor routed = ops::mix_experts(ctx, x, routing, experts);
  if (!shared) return routed;
  return ops::mix_shared(ctx, x, routed, ops::expert(ctx, x, shared->expert), shared->coefficient);
}

}  // namespace minimax
