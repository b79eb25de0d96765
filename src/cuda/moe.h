// Routing and experts on a GPU; as cpu/moe.h, all tensors on the device.
#pragma once

#include <functional>
#include <span>

#include "core/context.h"
#include "cuda/gpu.h"

namespace minimax::cuda {

void route(const Context& ctx, const Tensor& router_logits, const Tensor& chosen, const Tensor& weights);
/// Weights of experts that were chosen before.
void route_to(const Context& ctx, const Tensor& router_logits, const Tensor& chosen, const Tensor& weights);
/// count[0] += tokens whose experts are not the same set in a and b.
void count_flips(const Context& ctx, const Tensor& a, const Tensor& b, const Tensor& count);
/// sum[0] += the entropies, in nats, of the softmax of every row.
void add_entropy(const Context& ctx, const Tensor& router_logits, const Tensor& sum);
void route_backward(const Context& ctx, const Tensor& chosen, const Tensor& weights, const Tensor& dweights,
                    const Tensor& dlogits_sum);
/// ops::balance_loss; shares: [experts], for the backward.
void balance_loss(const Context& ctx, const Tensor& router_logits, const Tensor& chosen, const Tensor& loss,
                  const Tensor& shares);
void balance_loss_backward(const Context& ctx, const Tensor& router_logits, const Tensor& shares, const Tensor& dloss,
                           const Tensor& dlogits);

struct ExpertTensors {
  const Tensor* gate;  ///< [ffn, hidden]
  const Tensor* up;    ///< [ffn, hidden]
  const Tensor* down;  ///< [hidden, ffn]
};
/// Experts' matrices must lie at equal distances (model/placement.h sees to that). Throws kInvalidArgument otherwise,
/// and for more than kMaxGroups experts.
void experts(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
             std::span<const ExpertTensors> experts, const Tensor& out);

struct ExpertSum {
  Tensor gate, up, down;
};
/// Asked for every expert: which have tokens is known on the device only.
using ExpertSums = std::function<ExpertSum(int64_t expert)>;
void experts_backward(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
                      std::span<const ExpertTensors> experts, const Tensor& dout, const Tensor& dx,
                      const Tensor& dweights, const ExpertSums& sums);

void mix_shared(const Context& ctx, const Tensor& logits, const Tensor& routed, const Tensor& shared,
                const Tensor& out);
void mix_shared_backward(const Context& ctx, const Tensor& logits, const Tensor& routed, const Tensor& shared,
                         const Tensor& dout, const Tensor& dlogits, const Tensor& drouted, const Tensor& dshared);

}  // namespace minimax::cuda
