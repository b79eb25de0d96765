#include "ops/balance.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/tape.h"
#include "cuda/moe.h"
#include "ops/transfer.h"

namespace minimax::ops {
namespace {

void softmax(const float* logits, int64_t count, double* p) {
  const double largest = static_cast<double>(*std::max_element(logits, logits + count));
  double sum = 0;
  for (int64_t e = 0; e < count; ++e) sum += p[e] = std::exp(static_cast<double>(logits[e]) - largest);
  for (int64_t e = 0; e < count; ++e) p[e] /= sum;
}

/// F: how often each expert was chosen, for each token.
std::vector<double> shares(const Routing& routing, int64_t experts) {
  std::vector<double> out(static_cast<size_t>(experts), 0.0);
  for (const int32_t expert : routing.experts.span<int32_t>()) {
    MM_CHECK(expert >= 0 && expert < experts, "balance_loss: expert ", expert, " of ", experts);
    out[expert] += 1 / static_cast<double>(routing.experts.dim(0));
  }
  return out;
}

/// dz[e] = dloss * experts / tokens * p[e] * (F[e] - sum over j of p[j] F[j])
void balance_loss_backward(const Context& ctx, const Tensor& router_logits, const std::vector<double>& share,
                           double dloss, const Tensor& dlogits) {
  const int64_t tokens = router_logits.dim(0), experts = router_logits.dim(1);
  const double factor = dloss * static_cast<double>(experts) / static_cast<double>(tokens);
  ctx.threads->parallel_for(tokens, 64, [&](int64_t begin, int64_t end) {
    std::vector<double> p(static_cast<size_t>(experts));
    for (int64_t token = begin; token < end; ++token) {
      softmax(router_logits.data<float>() + token * experts, experts, p.data());
      double mean = 0;
      for (int64_t e = 0; e < experts; ++e) mean += p[e] * share[e];
      for (int64_t e = 0; e < experts; ++e)
        dlogits.data<float>()[token * experts + e] = static_cast<float>(factor * p[e] * (share[e] - mean));
    }
  });
}

Tensor balance_loss_gpu(const Context& ctx, const Tensor& router_logits, const Routing& routing,
                        const std::vector<double>* given) {
  Tensor out = ctx.empty({1});
  Tensor shares = ctx.empty({router_logits.dim(1)});
  cuda::balance_loss(ctx, router_logits, routing.experts, out, shares);
  if (given) {
    const std::vector<float> rounded(given->begin(), given->end());
    shares = to_device(ctx, Tensor::from(std::span(rounded), shares.shape()));
  }
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      const Tensor dlogits = ctx.empty(router_logits.shape());
      cuda::balance_loss_backward(ctx, router_logits, shares, dout, dlogits);
      d.add(router_logits, dlogits);
    });
  return out;
}

}  // namespace

Tensor balance_loss(const Context& ctx, const Tensor& router_logits, const Routing& routing,
                    const std::vector<double>* given) {
  MM_CHECK_DTYPE(router_logits, DType::kFloat32);
  MM_CHECK(router_logits.rank() == 2 && routing.experts.rank() == 2 && router_logits.dim(0) == routing.experts.dim(0) &&
               router_logits.dim(0) > 0,
           "balance_loss: experts ", routing.experts.shape(), " for router logits ", router_logits.shape());
  const int64_t tokens = router_logits.dim(0), experts = router_logits.dim(1);
  MM_CHECK(!given || static_cast<int64_t>(given->size()) == experts, "balance_loss: shares of ",
           given ? given->size() : 0, " experts for router logits ", router_logits.shape());
  if (ctx.device == Device::kCuda) return balance_loss_gpu(ctx, router_logits, routing, given);
  const std::vector<double> share = given ? *given : shares(routing, experts);
  std::vector<double> p(static_cast<size_t>(experts));
  double loss = 0;
  for (int64_t token = 0; token < tokens; ++token) {
    softmax(router_logits.data<float>() + token * experts, experts, p.data());
    for (int64_t e = 0; e < experts; ++e) loss += share[e] * p[e];
  }
  Tensor out = ctx.empty({1});
  *out.data<float>() = static_cast<float>(loss * static_cast<double>(experts) / static_cast<double>(tokens));
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      const Tensor dlogits = ctx.empty(router_logits.shape());
      balance_loss_backward(ctx, router_logits, share, static_cast<double>(*dout.data<float>()), dlogits);
      d.add(router_logits, dlogits);
    });
  return out;
}

void add_balance_loss(const Context& ctx, const Tensor& router_logits, const Tensor& router, const Routing& routing) {
  if (!ctx.tape || !ctx.balance) return;
  const std::vector<double>* given = nullptr;
  if (ctx.balance->shares) {
    const auto found = ctx.balance->shares->find(router.raw());
    MM_CHECK(found != ctx.balance->shares->end(), "balance_loss: no shares of this router's experts");
    given = &found->second;
  }
  const Tensor loss = balance_loss(ctx, router_logits, routing, given);
  ctx.balance->sum += static_cast<double>(*to_host(loss).data<float>());
  ++ctx.balance->layers;
  // Recorded after the loss, so run right before its backward.
  ctx.tape->record([loss, coefficient = ctx.balance->coefficient](Context& ctx, Gradients& d) {
    d.add(loss, to_memory(Tensor::from(std::span<const float>(&coefficient, 1), {1}), ctx.gpu));
  });
}

}  // namespace minimax::ops
