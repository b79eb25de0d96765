#include "ops/separate_experts.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "core/tape.h"
#include "cpu/isa.h"
#include "cpu/packed_moe.h"
#include "ops/gather.h"

namespace minimax::ops {
namespace {

/// Which row of which expert belongs to an assignment, token * top_k + rank.
struct Places {
  Places(const Tensor& chosen, int64_t experts) : experts_of(chosen), order(chosen, experts) {}
  const float* row(const std::vector<Tensor>& of_experts, int64_t assignment) const {
    return of_experts[expert_of(assignment)].data<float>() + offset(of_experts, assignment);
  }
  float* row(std::vector<Tensor>& of_experts, int64_t assignment) const {
    return of_experts[expert_of(assignment)].data<float>() + offset(of_experts, assignment);
  }
  size_t expert_of(int64_t assignment) const { return static_cast<size_t>(experts_of.data<int32_t>()[assignment]); }
  int64_t offset(const std::vector<Tensor>& of_experts, int64_t assignment) const {
    const size_t expert = expert_of(assignment);
    return (order.place[static_cast<size_t>(assignment)] - order.starts[expert]) * of_experts[expert].dim(1);
  }

  Tensor experts_of;  // [tokens, top_k]
  cpu::ExpertOrder order;
};

/// Sum over a token's experts, best first, of its weight * its row of theirs. y: of each expert, [its tokens, hidden];
/// undefined where it has none.
Tensor weigh_and_add(const Context& ctx, const std::vector<Tensor>& y, const std::shared_ptr<const Places>& places,
                     const Tensor& weights, int64_t hidden) {
  const int64_t tokens = weights.dim(0), top_k = weights.dim(1);
  Tensor out = ctx.empty({tokens, hidden});
  ctx.threads->parallel_for(tokens, 8, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      float* to = out.data<float>() + token * hidden;
      std::fill_n(to, hidden, 0.0f);
      for (int64_t i = token * top_k; i < (token + 1) * top_k; ++i)
        cpu::kernels().scaled_add(weights.data<float>()[i], places->row(y, i), 1.0f, to, hidden, to);
    }
  });
  if (!ctx.tape) return out;
  ctx.tape->record([=](Context& ctx, Gradients& d) {
    const Tensor dout = d.take(out);
    if (!dout.defined()) return;
    std::vector<Tensor> dy;
    for (const Tensor& rows : y) dy.push_back(rows.defined() ? ctx.empty(rows.shape()) : Tensor());
    const Tensor dweights = ctx.empty(weights.shape());
    ctx.threads->parallel_for(tokens * top_k, 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float *from = dout.data<float>() + i / top_k * hidden, *output = places->row(y, i);
        float* to = places->row(dy, i);
        double dot = 0;
        for (int64_t c = 0; c < hidden; ++c) {
          dot += static_cast<double>(from[c]) * static_cast<double>(output[c]);
          to[c] = weights.data<float>()[i] * from[c];
        }
        dweights.data<float>()[i] = static_cast<float>(dot);
      }
    });
    for (size_t expert = 0; expert < y.size(); ++expert)
      if (y[expert].defined()) d.add(y[expert], dy[expert]);
    d.add(weights, dweights);
  });
  return out;
}

}  // namespace

bool need_separate_products(const Context& ctx, std::span<const ExpertWeights> experts) {
  return std::any_of(experts.begin(), experts.end(), [&](const ExpertWeights& expert) {
    const auto needs = [&](const Weight& weight) { return weight.adapter || (weight.format && ctx.tape); };
    return needs(expert.gate) || needs(expert.up) || needs(expert.down);
  });
}

Tensor mix_experts_separately(const Context& outer, const Tensor& x, const Routing& routing,
                              std::span<const ExpertWeights> experts) {
  Context ctx = outer;
  ctx.inputs = nullptr;  // it has seen them
  const int64_t top_k = routing.experts.dim(1);
  const auto places = std::make_shared<const Places>(routing.experts, static_cast<int64_t>(experts.size()));
  const cpu::ExpertOrder& order = places->order;
  const Tensor token_at = Tensor::empty({static_cast<int64_t>(order.place.size())}, DType::kInt32);
  for (size_t i = 0; i < order.place.size(); ++i)
    token_at.data<int32_t>()[order.place[i]] = static_cast<int32_t>(static_cast<int64_t>(i) / top_k);
  std::vector<Tensor> y(experts.size());
  for (size_t e = 0; e < experts.size(); ++e) {
    if (order.starts[e] == order.starts[e + 1]) continue;
    y[e] = expert(ctx, gather_rows(ctx, x, token_at.rows(order.starts[e], order.starts[e + 1])), experts[e]);
  }
  return weigh_and_add(ctx, y, places, routing.weights, x.dim(1));
}

}  // namespace minimax::ops
