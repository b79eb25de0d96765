#include "ops/router_replay.h"

#include <algorithm>
#include <cmath>

#include "cuda/moe.h"

namespace minimax {
namespace {

/// Sum over rows of the entropy of softmax(row).
double entropy_of(const Tensor& logits) {
  const int64_t experts = logits.dim(1);
  double sum = 0;
  for (int64_t token = 0; token < logits.dim(0); ++token) {
    const float* z = logits.data<float>() + token * experts;
    const float largest = *std::max_element(z, z + experts);
    // H = log(sum of exp) - mean of z, with z less the largest.
    double total = 0, mean = 0;
    for (int64_t e = 0; e < experts; ++e) {
      const double d = static_cast<double>(z[e]) - static_cast<double>(largest), weight = std::exp(d);
      total += weight;
      mean += weight * d;
    }
    sum += std::log(total) - mean / total;
  }
  return sum;
}

}  // namespace

void RouterReplay::count_flips(const Context& ctx, const Tensor& live_experts, const Tensor& kept) {
  if (ctx.device == Device::kCuda) {  // the host does not wait for it
    if (!flips_there_.defined()) flips_there_ = Tensor::zeros({1}, DType::kInt32, live_experts.memory());
    cuda::count_flips(ctx, live_experts, kept, flips_there_);
    choices_ += live_experts.dim(0);
    return;
  }
  const Tensor live = to_host(live_experts), before = to_host(kept);
  const int64_t top_k = live.dim(1);
  std::vector<int32_t> a(static_cast<size_t>(top_k)), b(a);
  for (int64_t token = 0; token < live.dim(0); ++token) {
    std::copy_n(live.data<int32_t>() + token * top_k, top_k, a.begin());
    std::copy_n(before.data<int32_t>() + token * top_k, top_k, b.begin());
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    flips_ += a != b;
    ++choices_;
  }
}

void RouterReplay::keep_entropy(const Context& ctx, const Tensor& router_logits, const Tensor& router) {
  Tensor& sum = entropy_[router.raw()];
  sum = Tensor::zeros({1}, DType::kFloat64, ctx.gpu);
  if (ctx.device == Device::kCuda)
    cuda::add_entropy(ctx, router_logits, sum);
  else
    *sum.data<double>() = entropy_of(router_logits);
}

std::unordered_map<const void*, double> RouterReplay::entropy() const {
  std::unordered_map<const void*, double> out;
  for (const auto& [router, sum] : entropy_) out[router] = *to_host(sum).data<double>();
  return out;
}

ops::Routing RouterReplay::route(const Context& ctx, const Tensor& router_logits, const Tensor& router, int64_t top_k) {
  if (use_ == Use::kKeep) {
    const ops::Routing routing = ops::route(ctx, router_logits, top_k);
    chosen_[router.raw()] = routing.experts;
    if (measures_entropy_) keep_entropy(ctx, router_logits, router);
    return routing;
  }
  const auto kept = chosen_.find(router.raw());
  MM_CHECK(kept != chosen_.end(), "router replay: nothing was kept for this router");
  MM_CHECK_SHAPE(kept->second, router_logits.dim(0), top_k);
  if (use_ == Use::kCompare) {
    const ops::Routing routing = ops::route(ctx, router_logits, top_k);
    count_flips(ctx, routing.experts, kept->second);
    return routing;
  }
  Context without_tape = ctx;
  without_tape.tape = nullptr;
  count_flips(ctx, ops::route(without_tape, router_logits, top_k).experts, kept->second);
  return ops::route_to(ctx, router_logits, kept->second);
}

int64_t RouterReplay::flips() const {
  return flips_ + (flips_there_.defined() ? *to_host(flips_there_).data<int32_t>() : 0);
}

int64_t RouterReplay::bytes() const {
  int64_t sum = 0;
  for (const auto& [router, experts] : chosen_) sum += experts.bytes();
  return sum;
}

}  // namespace minimax
