#include "cpu/moe.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "cpu/elementwise.h"
#include "cpu/gradient.h"
#include "cpu/isa.h"
#include "cpu/linear.h"
#include "cpu/packed_moe.h"

namespace minimax::cpu {
namespace {

/// One pass of tokens through their experts.
struct ExpertPass {
  ExpertPass(const Context& ctx, const Tensor& x, const Tensor& chosen, std::span<const ExpertTensors> experts)
      : hidden(x.dim(1)),
        ffn(experts[0].gate->outputs()),
        top_k(chosen.dim(1)),
        assignments(x.dim(0) * top_k),
        order(chosen, static_cast<int64_t>(experts.size())),
        starts(order.starts),
        place(order.place) {
    sorted = ctx.empty({assignments, hidden});
    for (int64_t i = 0; i < assignments; ++i)
      std::memcpy(sorted.data<float>() + place[i] * hidden, x.data<float>() + i / top_k * hidden,
                  static_cast<size_t>(hidden) * sizeof(float));

    gate = ctx.empty({assignments, ffn});
    up = ctx.empty({assignments, ffn});
    h = ctx.empty({assignments, ffn});
    y = ctx.empty({assignments, hidden});
    std::vector<Product> first, second;
    for (size_t e = 0; e < experts.size(); ++e) {
      const int64_t begin = starts[e], rows = starts[e + 1] - begin;
      if (rows == 0) continue;
      const float* in = sorted.data<float>() + begin * hidden;
      first.push_back({experts[e].gate, in, rows, gate.data<float>() + begin * ffn});
      first.push_back({experts[e].up, in, rows, up.data<float>() + begin * ffn});
      second.push_back({experts[e].down, h.data<float>() + begin * ffn, rows, y.data<float>() + begin * hidden});
    }
    multiply(ctx, first);
    silu_mul(ctx, gate, up, h);
    multiply(ctx, second);
  }

  const float* output(int64_t assignment) const { return y.data<float>() + place[assignment] * hidden; }

  int64_t hidden, ffn, top_k, assignments;
  ExpertOrder order;
  const std::vector<int64_t>&starts, &place;
  Tensor sorted;       // [assignments, hidden] inputs
  Tensor gate, up, h;  // [assignments, ffn]
  Tensor y;            // [assignments, hidden] outputs, not weighted yet
};

}  // namespace

void experts(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
             std::span<const ExpertTensors> experts, const Tensor& out) {
  if (all_packed(experts)) return packed_experts(ctx, x, chosen, weights, experts, out);
  const ExpertPass pass(ctx, x, chosen, experts);
  // The best expert first, then the next ones: one order whoever else is in the batch.
  ctx.threads->parallel_for(x.dim(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      float* to = out.data<float>() + token * pass.hidden;
      std::memset(to, 0, static_cast<size_t>(pass.hidden) * sizeof(float));
      for (int64_t i = token * pass.top_k; i < (token + 1) * pass.top_k; ++i)
        kernels().scaled_add(weights.data<float>()[i], pass.output(i), 1.0f, to, pass.hidden, to);
    }
  });
}

void experts_backward(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
                      std::span<const ExpertTensors> experts, const Tensor& dout, const Tensor& dx,
                      const Tensor& dweights, const ExpertSums& sums) {
  const ExpertPass pass(ctx, x, chosen, experts);
  const int64_t hidden = pass.hidden, top_k = pass.top_k;
  const Tensor dy = ctx.empty(pass.y.shape());
  ctx.threads->parallel_for(pass.assignments, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from = dout.data<float>() + i / top_k * hidden;
      const float* output = pass.output(i);
      float* to = dy.data<float>() + pass.place[i] * hidden;
      double dot = 0;
      for (int64_t c = 0; c < hidden; ++c) {
        dot += static_cast<double>(from[c]) * static_cast<double>(output[c]);
        to[c] = weights.data<float>()[i] * from[c];
      }
      dweights.data<float>()[i] = static_cast<float>(dot);
    }
  });

  const Tensor dh = ctx.empty(pass.h.shape()), dgate = ctx.empty(pass.h.shape()), dup = ctx.empty(pass.h.shape());
  const Tensor dsorted = ctx.empty(pass.sorted.shape());
  const auto at = [](const Tensor& t, int64_t row) { return t.data<float>() + row * t.dim(1); };
  for (size_t e = 0; e < experts.size(); ++e) {
    const int64_t begin = pass.starts[e], rows = pass.starts[e + 1] - begin;
    if (rows == 0) continue;
    linear_backward_input(ctx, at(dy, begin), rows, experts[e].down->data, at(dh, begin), false);
    linear_backward_weight(ctx, at(dy, begin), at(pass.h, begin), rows, sums(static_cast<int64_t>(e)).down);
  }
  silu_mul_backward(ctx, pass.gate, pass.up, dh, dgate, dup);
  for (size_t e = 0; e < experts.size(); ++e) {
    const int64_t begin = pass.starts[e], rows = pass.starts[e + 1] - begin;
    if (rows == 0) continue;
    const ExpertSum sum = sums(static_cast<int64_t>(e));
    linear_backward_input(ctx, at(dgate, begin), rows, experts[e].gate->data, at(dsorted, begin), false);
    linear_backward_input(ctx, at(dup, begin), rows, experts[e].up->data, at(dsorted, begin), true);
    linear_backward_weight(ctx, at(dgate, begin), at(pass.sorted, begin), rows, sum.gate);
    linear_backward_weight(ctx, at(dup, begin), at(pass.sorted, begin), rows, sum.up);
  }
  ctx.threads->parallel_for(x.dim(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      float* to = dx.data<float>() + token * hidden;
      std::memset(to, 0, static_cast<size_t>(hidden) * sizeof(float));
      for (int64_t i = token * top_k; i < (token + 1) * top_k; ++i)
        for (int64_t c = 0; c < hidden; ++c) to[c] += dsorted.data<float>()[pass.place[i] * hidden + c];
    }
  });
}

void mix_shared(const Context& ctx, const Tensor& logits, const Tensor& routed, const Tensor& shared,
                const Tensor& out) {
  const int64_t hidden = out.dim(1);
  ctx.threads->parallel_for(out.dim(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      const float c = 1.0f / (1.0f + std::exp(-logits.data<float>()[token]));
      const int64_t row = token * hidden;
      kernels().scaled_add(1.0f - c, routed.data<float>() + row, c, shared.data<float>() + row, hidden,
                           out.data<float>() + row);
    }
  });
}

void mix_shared_backward(const Context& ctx, const Tensor& logits, const Tensor& routed, const Tensor& shared,
                         const Tensor& dout, const Tensor& dlogits, const Tensor& drouted, const Tensor& dshared) {
  const int64_t hidden = dout.dim(1);
  ctx.threads->parallel_for(dout.dim(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      const float c = 1.0f / (1.0f + std::exp(-logits.data<float>()[token]));
      double dot = 0;
      for (int64_t i = token * hidden; i < (token + 1) * hidden; ++i) {
        const float dy = dout.data<float>()[i];
        dot += static_cast<double>(dy) * static_cast<double>(shared.data<float>()[i] - routed.data<float>()[i]);
        drouted.data<float>()[i] = (1.0f - c) * dy;
        dshared.data<float>()[i] = c * dy;
      }
      dlogits.data<float>()[token] = static_cast<float>(dot) * c * (1.0f - c);
    }
  });
}

}  // namespace minimax::cpu
