#include "ops/router_replay.h"

#include <algorithm>
#include <cmath>

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

void RouterReplay::count_flips(const Tensor& live_experts, const Tensor& kept) {
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

ops::Routing RouterReplay::route(const Context& ctx, const Tensor& router_logits, const Tensor& router, int64_t top_k) {
  if (use_ == Use::kKeep) {
    const ops::Routing routing = ops::route(ctx, router_logits, top_k);
    chosen_[router.raw()] = routing.experts;
    if (measures_entropy_) entropy_[router.raw()] = entropy_of(to_host(router_logits));
    return routing;
  }
  const auto kept = chosen_.find(router.raw());
  MM_CHECK(kept != chosen_.end(), "router replay: nothing was kept for this router");
  MM_CHECK_SHAPE(kept->second, router_logits.dim(0), top_k);
  if (use_ == Use::kCompare) {
    const ops::Routing routing = ops::route(ctx, router_logits, top_k);
    count_flips(routing.experts, kept->second);
    return routing;
  }
  Context without_tape = ctx;
  without_tape.tape = nullptr;
  count_flips(ops::route(without_tape, router_logits, top_k).experts, kept->second);
  return ops::route_to(ctx, router_logits, kept->second);
}

int64_t RouterReplay::bytes() const {
  int64_t sum = 0;
  for (const auto& [router, experts] : chosen_) sum += experts.bytes();
  return sum;
}

}  // namespace minimax
