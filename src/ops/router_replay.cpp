#include "ops/router_replay.h"

#include <algorithm>

namespace minimax {

ops::Routing RouterReplay::route(const Context& ctx, const Tensor& router_logits, const Tensor& router, int64_t top_k) {
  if (!frozen_) {
    const ops::Routing routing = ops::route(ctx, router_logits, top_k);
    chosen_[router.raw()] = routing.experts;
    return routing;
  }
  const auto kept = chosen_.find(router.raw());
  MM_CHECK(kept != chosen_.end(), "router replay: nothing was kept for this router");
  MM_CHECK_SHAPE(kept->second, router_logits.dim(0), top_k);
  Context without_tape = ctx;
  without_tape.tape = nullptr;
  const Tensor live = to_host(ops::route(without_tape, router_logits, top_k).experts), before = to_host(kept->second);
  std::vector<int32_t> a(static_cast<size_t>(top_k)), b(a);
  for (int64_t token = 0; token < router_logits.dim(0); ++token) {
    std::copy_n(live.data<int32_t>() + token * top_k, top_k, a.begin());
    std::copy_n(before.data<int32_t>() + token * top_k, top_k, b.begin());
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    flips_ += a != b;
    ++choices_;
  }
  return ops::route_to(ctx, router_logits, kept->second);
}

int64_t RouterReplay::bytes() const {
  int64_t sum = 0;
  for (const auto& [router, experts] : chosen_) sum += experts.bytes();
  return sum;
}

}  // namespace minimax
