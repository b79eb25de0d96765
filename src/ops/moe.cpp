#include "ops/moe.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/tape.h"
#include "cpu/moe.h"
#include "cuda/moe.h"
#include "cuda/packed.h"
#include "ops/activation.h"
#include "ops/input_observer.h"
#include "ops/linear.h"
#include "ops/separate_experts.h"

namespace minimax::ops {
namespace {

std::vector<cpu::ExpertTensors> tensors_of(std::span<const ExpertWeights> experts) {
  std::vector<cpu::ExpertTensors> tensors;
  for (const ExpertWeights& expert : experts) tensors.push_back({&expert.gate, &expert.up, &expert.down});
  return tensors;
}
std::vector<cuda::ExpertTensors> gpu_tensors_of(std::span<const ExpertWeights> experts) {
  std::vector<cuda::ExpertTensors> tensors;
  for (const ExpertWeights& expert : experts)
    tensors.push_back({&expert.gate.data, &expert.up.data, &expert.down.data});
  return tensors;
}

/// experts: those to go to; undefined: the best ones.
Routing route_gpu(const Context& ctx, const Tensor& router_logits, int64_t top_k, const Tensor& experts) {
  const int64_t tokens = router_logits.dim(0);
  Routing routing{experts.defined() ? experts : ctx.empty({tokens, top_k}, DType::kInt32), ctx.empty({tokens, top_k})};
  if (experts.defined())
    cuda::route_to(ctx, router_logits, routing.experts, routing.weights);
  else
    cuda::route(ctx, router_logits, routing.experts, routing.weights);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      if (const Tensor dweights = d.take(routing.weights); dweights.defined())
        cuda::route_backward(ctx, routing.experts, routing.weights, dweights, d.accumulator(router_logits));
    });
  return routing;
}

Tensor mix_experts_gpu(const Context& ctx, const Tensor& x, const Routing& routing,
                       std::span<const ExpertWeights> experts) {
  Tensor out = ctx.empty(x.shape());
  if (experts[0].gate.format) {
    std::vector<cuda::PackedExpert> packed;
    for (const ExpertWeights& expert : experts) packed.push_back({&expert.gate, &expert.up, &expert.down});
    cuda::packed_experts(ctx, x, routing.experts, routing.weights, packed, out);
    return out;
  }
  cuda::experts(ctx, x, routing.experts, routing.weights, gpu_tensors_of(experts), out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      const Tensor dx = ctx.empty(x.shape()), dweights = ctx.empty(routing.weights.shape());
      cuda::experts_backward(ctx, x, routing.experts, routing.weights, gpu_tensors_of(experts), dout, dx, dweights,
                             [&](int64_t e) {
                               const ExpertWeights& expert = experts[static_cast<size_t>(e)];
                               return cuda::ExpertSum{d.accumulator(expert.gate.data), d.accumulator(expert.up.data),
                                                      d.accumulator(expert.down.data)};
                             });
      d.add(x, dx);
      d.add(routing.weights, dweights);
    });
  return out;
}

}  // namespace

Routing route(const Context& ctx, const Tensor& router_logits, int64_t top_k) {
  MM_CHECK_DTYPE(router_logits, DType::kFloat32);
  MM_CHECK(router_logits.rank() == 2 && top_k >= 1 && top_k <= router_logits.dim(1), "route: top_k ", top_k,
           " of router logits ", router_logits.shape());
  if (ctx.device == Device::kCuda) return route_gpu(ctx, router_logits, top_k, {});
  const int64_t tokens = router_logits.dim(0), experts = router_logits.dim(1);
  const Tensor choice = ctx.empty({tokens, top_k}, DType::kInt32);
  std::vector<char> taken(static_cast<size_t>(experts));
  for (int64_t token = 0; token < tokens; ++token) {
    const float* logits = router_logits.data<float>() + token * experts;
    int32_t* chosen = choice.data<int32_t>() + token * top_k;
    taken.assign(static_cast<size_t>(experts), 0);
    for (int64_t rank = 0; rank < top_k; ++rank) {
      int64_t best = -1;
      for (int64_t expert = 0; expert < experts; ++expert)
        if (!taken[expert] && (best < 0 || logits[expert] > logits[best])) best = expert;
      taken[best] = 1;
      chosen[rank] = static_cast<int32_t>(best);
    }
  }
  return route_to(ctx, router_logits, choice);
}

Routing route_to(const Context& ctx, const Tensor& router_logits, const Tensor& experts) {
  MM_CHECK_DTYPE(router_logits, DType::kFloat32);
  MM_CHECK_DTYPE(experts, DType::kInt32);
  MM_CHECK(router_logits.rank() == 2 && experts.rank() == 2 && experts.dim(0) == router_logits.dim(0),
           "route_to: experts ", experts.shape(), " for router logits ", router_logits.shape());
  if (ctx.device == Device::kCuda) return route_gpu(ctx, router_logits, experts.dim(1), to_memory(experts, ctx.gpu));
  const int64_t tokens = router_logits.dim(0), count = router_logits.dim(1), top_k = experts.dim(1);
  Routing routing{experts, ctx.empty({tokens, top_k})};
  for (int64_t token = 0; token < tokens; ++token) {
    const float* logits = router_logits.data<float>() + token * count;
    const int32_t* chosen = experts.data<int32_t>() + token * top_k;
    float* weights = routing.weights.data<float>() + token * top_k;
    // Softmax over all, then renormalised over the chosen: the same as a softmax over the chosen. The largest is the
    // first, but where the choice was made for other logits.
    float max = -std::numeric_limits<float>::infinity();
    for (int64_t rank = 0; rank < top_k; ++rank) {
      MM_CHECK(chosen[rank] >= 0 && chosen[rank] < count, "route_to: expert ", chosen[rank], " of ", count);
      max = std::max(max, logits[chosen[rank]]);
    }
    float sum = 0;
    for (int64_t rank = 0; rank < top_k; ++rank) sum += weights[rank] = std::exp(logits[chosen[rank]] - max);
    for (int64_t rank = 0; rank < top_k; ++rank) weights[rank] /= sum;
  }
  if (ctx.tape)
    ctx.tape->record([=](Context&, Gradients& d) {
      if (const Tensor dweights = d.take(routing.weights); dweights.defined())
        route_backward(routing, dweights, d.accumulator(router_logits));
    });
  return routing;
}

/// The choice itself has no gradient: dz_e = w_e sum_j w_j (dw_e - dw_j) over the chosen experts. That is
/// w_e (dw_e - sum_j w_j dw_j), but with differences taken first little is lost where one weight is almost 1.
void route_backward(const Routing& routing, const Tensor& dweights, const Tensor& dlogits_sum) {
  const int64_t top_k = routing.weights.dim(1), experts = dlogits_sum.dim(1);
  for (int64_t token = 0; token < routing.weights.dim(0); ++token) {
    const float* w = routing.weights.data<float>() + token * top_k;
    const float* dw = dweights.data<float>() + token * top_k;
    const int32_t* chosen = routing.experts.data<int32_t>() + token * top_k;
    for (int64_t rank = 0; rank < top_k; ++rank) {
      float slope = 0;
      for (int64_t other = 0; other < top_k; ++other) slope += w[other] * (dw[rank] - dw[other]);
      dlogits_sum.data<float>()[token * experts + chosen[rank]] += w[rank] * slope;
    }
  }
}

Tensor mix_experts(const Context& ctx, const Tensor& x, const Routing& routing,
                   std::span<const ExpertWeights> experts) {
  MM_CHECK_DTYPE(x, DType::kFloat32);
  MM_CHECK(x.rank() == 2, "mix_experts: x is ", x.shape(), ", expected [tokens, hidden]");
  const int64_t tokens = x.dim(0), hidden = x.dim(1), top_k = routing.experts.dim(1);
  MM_CHECK(!experts.empty(), "mix_experts: no experts");
  const int64_t ffn = experts[0].gate.outputs();
  MM_CHECK_SHAPE(routing.experts, tokens, top_k);
  MM_CHECK_SHAPE(routing.weights, tokens, top_k);
  for (const ExpertWeights& expert : experts) {
    MM_CHECK_SHAPE(expert.gate, ffn, hidden);
    MM_CHECK_SHAPE(expert.up, ffn, hidden);
    MM_CHECK_SHAPE(expert.down, hidden, ffn);
    MM_CHECK(!expert.gate.format || ctx.device == Device::kCpu || !ctx.tape,
             "mix_experts: ", quant::name(*expert.gate.format), " weights, expected dense ones in training on a GPU");
  }
  if (ctx.inputs) ctx.inputs->experts(x, routing, experts);
  if (ctx.device == Device::kCuda) return mix_experts_gpu(ctx, x, routing, experts);
  for (const int32_t expert : routing.experts.span<int32_t>())
    MM_CHECK(expert >= 0 && expert < static_cast<int64_t>(experts.size()), "mix_experts: expert ", expert, " of ",
             experts.size());
  if (need_separate_products(ctx, experts)) return mix_experts_separately(ctx, x, routing, experts);
  Tensor out = ctx.empty(x.shape());
  cpu::experts(ctx, x, routing.experts, routing.weights, tensors_of(experts), out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      const Tensor dx = ctx.empty(x.shape()), dweights = ctx.empty(routing.weights.shape());
      cpu::experts_backward(ctx, x, routing.experts, routing.weights, tensors_of(experts), dout, dx, dweights,
                            [&](int64_t e) {
                              const ExpertWeights& expert = experts[static_cast<size_t>(e)];
                              return cpu::ExpertSum{d.accumulator(expert.gate.data), d.accumulator(expert.up.data),
                                                    d.accumulator(expert.down.data)};
                            });
      d.add(x, dx);
      d.add(routing.weights, dweights);
    });
  return out;
}

Tensor expert(const Context& ctx, const Tensor& x, const ExpertWeights& weights) {
  return linear(ctx, silu_mul(ctx, linear(ctx, x, weights.gate), linear(ctx, x, weights.up)), weights.down);
}

Tensor mix_shared(const Context& ctx, const Tensor& x, const Tensor& routed, const Tensor& shared,
                  const Weight& coefficient) {
  MM_CHECK_DTYPE(x, DType::kFloat32);
  MM_CHECK_DTYPE(routed, DType::kFloat32);
  MM_CHECK_DTYPE(shared, DType::kFloat32);
  MM_CHECK_SHAPE(coefficient.data, 1, x.dim(1));
  MM_CHECK(x.shape() == routed.shape() && x.shape() == shared.shape(), "mix_shared: x ", x.shape(), ", routed ",
           routed.shape(), ", shared ", shared.shape());
  const Tensor logits = linear(ctx, x, coefficient);  // [tokens, 1]
  Tensor out = ctx.empty(x.shape());
  if (ctx.device == Device::kCuda)
    cuda::mix_shared(ctx, logits, routed, shared, out);
  else
    cpu::mix_shared(ctx, logits, routed, shared, out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      const Tensor dlogits = ctx.empty(logits.shape()), drouted = ctx.empty(x.shape()), dshared = ctx.empty(x.shape());
      if (ctx.device == Device::kCuda)
        cuda::mix_shared_backward(ctx, logits, routed, shared, dout, dlogits, drouted, dshared);
      else
        cpu::mix_shared_backward(ctx, logits, routed, shared, dout, dlogits, drouted, dshared);
      d.add(logits, dlogits);
      d.add(routed, drouted);
      d.add(shared, dshared);
    });
  return out;
}

}  // namespace minimax::ops
