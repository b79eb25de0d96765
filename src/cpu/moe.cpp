#include "cpu/moe.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "cpu/elementwise.h"
#include "cpu/isa.h"
#include "cpu/linear.h"

namespace minimax::cpu {

void experts(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
             std::span<const ExpertTensors> experts, const Tensor& out) {
  const int64_t tokens = x.dim(0), hidden = x.dim(1), top_k = chosen.dim(1), assignments = tokens * top_k;
  const int64_t ffn = experts[0].gate->dim(0);

  // Counting sort by expert, tokens in order within each: assignment i (= token * top_k + rank) goes to place[i].
  std::vector<int64_t> starts(experts.size() + 1, 0);
  for (int64_t i = 0; i < assignments; ++i) ++starts[chosen.data<int32_t>()[i] + 1];
  for (size_t e = 0; e < experts.size(); ++e) starts[e + 1] += starts[e];
  std::vector<int64_t> place(static_cast<size_t>(assignments)), next(starts.begin(), starts.end() - 1);
  for (int64_t i = 0; i < assignments; ++i) place[i] = next[chosen.data<int32_t>()[i]]++;

  const Tensor sorted = ctx.empty({assignments, hidden});
  for (int64_t i = 0; i < assignments; ++i)
    std::memcpy(sorted.data<float>() + place[i] * hidden, x.data<float>() + i / top_k * hidden,
                static_cast<size_t>(hidden) * sizeof(float));

  const Tensor gate = ctx.empty({assignments, ffn}), up = ctx.empty({assignments, ffn});
  std::vector<Product> first, second;
  const Tensor h = ctx.empty({assignments, ffn}), y = ctx.empty({assignments, hidden});
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

  // The best expert first, then the next ones: one order whoever else is in the batch.
  ctx.threads->parallel_for(tokens, 8, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      float* to = out.data<float>() + token * hidden;
      std::memset(to, 0, static_cast<size_t>(hidden) * sizeof(float));
      for (int64_t i = token * top_k; i < (token + 1) * top_k; ++i)
        kernels().scaled_add(weights.data<float>()[i], y.data<float>() + place[i] * hidden, 1.0f, to, hidden, to);
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

}  // namespace minimax::cpu
