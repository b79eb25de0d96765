// Every op on a GPU against the same op on the CPU, outputs and gradients, odd shapes and true ones. Without a GPU: on
// a module that plays one, which tests what calls the kernels.
#include <algorithm>
#include <numeric>

#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/balance.h"
#include "ops/embedding.h"
#include "ops/gather.h"
#include "ops/lightning.h"
#include "ops/linear.h"
#include "ops/log_probs.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/optimizer.h"
#include "ops/rotary.h"
#include "ops/test_batches.h"
#include "ops/test_gpu.h"

namespace minimax::ops {
namespace {

using test::Both;
using test::compare;
using test::Random;
using Inputs = std::vector<Tensor>;

constexpr test::Tolerances kExact = {2e-6, 2e-6};

TEST(Gpu, Norm) {
  Both both;
  Random random(1);
  for (const int64_t hidden : {1, 7, 64, 100, 6144})
    for (const int64_t rows : {1, 3, 130})
      compare(both, {random.normal({rows, hidden}), random.normal({hidden})},
              [](const Context& ctx, const Inputs& x) { return rms_norm(ctx, x[0], x[1], 1e-5f); }, {3e-6, 3e-6});
}

TEST(Gpu, Elementwise) {
  Both both;
  Random random(2);
  for (const int64_t width : {1, 3, 1024, 5001}) {
    const Inputs pair = {random.normal({3, width}), random.normal({3, width})};
    compare(both, pair, [](const Context& ctx, const Inputs& x) { return silu(ctx, x[0]); }, kExact);
    compare(both, pair, [](const Context& ctx, const Inputs& x) { return silu_mul(ctx, x[0], x[1]); }, kExact);
    compare(both, pair, [](const Context& ctx, const Inputs& x) { return sigmoid_mul(ctx, x[0], x[1]); }, kExact);
    compare(
        both, pair, [](const Context& ctx, const Inputs& x) { return scaled_add(ctx, 1.5f, x[0], -0.25f, x[1]); },
        kExact);
  }
}

TEST(Gpu, RowsByIndex) {
  Both both;
  Random random(3);
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16})
    for (const int64_t count : {1, 300, 1000}) {
      std::vector<int32_t> ids;
      for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random.below(50)));
      compare(
          both, {random.normal({50, 36}, 1, dtype)},
          [&](const Context& ctx, const Inputs& x) { return embedding(ctx, {x[0]}, test::int32s(ids)); }, kExact);
      if (dtype == DType::kFloat32)
        compare(
            both, {random.normal({50, 33})},
            [&](const Context& ctx, const Inputs& x) { return gather_rows(ctx, x[0], test::int32s(ids)); }, kExact);
    }
}

TEST(Gpu, Rotary) {
  Both both;
  Random random(4);
  const Tensor positions = test::int32s({0, 1, 5, 1000, 1000000});
  for (const int64_t rotary_dim : {8, 16})
    compare(both, {random.normal({5, 3 * 16})},
            [&](const Context& ctx, const Inputs& x) {
              return rotate(ctx, x[0], rotary_table(ctx, positions, rotary_dim, 1e7), 16);
            },
            {1e-6, 1e-6});
}

TEST(Gpu, Linear) {
  Both both;
  Random random(5);
  const std::vector<std::pair<int64_t, int64_t>> shapes = {{96, 32},   {7, 5},     {160, 64},
                                                           {320, 192}, {1000, 72}, {33, 48}};
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16})
    for (const auto& [n, k] : shapes)
      for (const int64_t rows : {1, 2, 4, 7, 9, 64, 333}) {
        if (test::played() && (rows > 64 || n > 200)) continue;
        const testing::ScopedTrace shape(__FILE__, __LINE__, cat(dtype, " ", rows, " x ", n, " x ", k));
        const Inputs inputs = {random.normal({rows, k}), random.normal({n, k}, 1, dtype)};
        compare(both, inputs, [](const Context& ctx, const Inputs& x) { return linear(ctx, x[0], {x[1]}); }, {});
        compare(
            both, inputs, [](const Context& ctx, const Inputs& x) { return linear_float32(ctx, x[0], {x[1]}); },
            {1e-5, 2e-5}, false);
      }
}

TEST(Gpu, LogProbs) {
  Both both;
  Random random(6);
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16})
    for (const int64_t vocab : {7, 160, 5000}) {
      if (test::played() && vocab > 1000) continue;
      std::vector<int32_t> targets;
      for (int64_t row = 0; row < 70; ++row) targets.push_back(static_cast<int32_t>(random.below(vocab)));
      for (const int64_t block : {vocab * 16, vocab * 100})
        compare(both, {random.normal({70, 64}), random.normal({vocab, 64}, 0.3f, dtype)},
                [&](const Context& ctx, const Inputs& x) {
                  return log_probs(ctx, x[0], {x[1]}, test::int32s(targets), block);
                },
                {});
    }
}

std::vector<ExpertWeights> expert_views(const Tensor& stack, int64_t experts, int64_t ffn, int64_t hidden) {
  std::vector<ExpertWeights> out;
  const int64_t size = ffn * hidden;
  for (int64_t e = 0; e < experts; ++e) {
    const auto matrix = [&](int64_t i, int64_t rows, int64_t columns) {
      return Weight{stack.rows((3 * e + i) * size, (3 * e + i + 1) * size).view({rows, columns})};
    };
    out.push_back({matrix(0, ffn, hidden), matrix(1, ffn, hidden), matrix(2, hidden, ffn)});
  }
  return out;
}

void compare_mixture(Both& both, Random& random, int64_t tokens, int64_t experts, int64_t top_k, int64_t hidden,
                     int64_t ffn, DType dtype, bool gradients) {
  const testing::ScopedTrace shape(
      __FILE__, __LINE__, cat(tokens, " tokens, ", experts, " experts, hidden ", hidden, ", ffn ", ffn, " ", dtype));
  const Tensor x = random.normal({tokens, hidden}), logits = random.normal({tokens, experts});
  const Tensor stack = random.normal({experts * 3 * ffn * hidden}, 1 / std::sqrt(static_cast<float>(hidden)), dtype);
  const Tensor u = random.normal({tokens, hidden});
  const auto run = [&](Context ctx, Gradients& d, std::vector<Tensor>& leaves) {
    const Tensor there = to_memory(x, ctx.gpu), z = to_memory(logits, ctx.gpu);
    const std::vector<ExpertWeights> views = expert_views(to_memory(stack, ctx.gpu), experts, ffn, hidden);
    Tape tape;
    if (gradients) ctx.tape = &tape;
    const Tensor y = mix_experts(ctx, there, route(ctx, z, top_k), views);
    leaves = {there, z};
    for (const ExpertWeights& view : views) leaves.insert(leaves.end(), {view.gate.data, view.up.data, view.down.data});
    if (gradients) {
      d.add(y, to_memory(u, ctx.gpu));
      tape.backward(ctx, d);
    }
    return to_host(y);
  };
  Gradients want_d;
  std::vector<Tensor> want_leaves;
  const Tensor want = run(both.host(), want_d, want_leaves);
  for (const MatmulPrecision precision : test::kPrecisions) {
    const double tolerance = test::Tolerances{2e-5, 2e-2}.of(precision);
    Gradients d;
    std::vector<Tensor> leaves;
    EXPECT_LT(test::distance(run(both.device(precision), d, leaves), want), tolerance);
    for (size_t i = 0; gradients && i < leaves.size(); ++i)
      if (const Tensor* expected = want_d.find(want_leaves[i])) {
        ASSERT_TRUE(d.find(leaves[i])) << i;
        EXPECT_LT(test::distance(*d.find(leaves[i]), *expected), tolerance) << "leaf " << i;
      }
  }
}

TEST(Gpu, Mixture) {
  Both both;
  Random random(7);
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16})
    for (const int64_t tokens : {1, 3, 4, 5, 70, 500}) {
      if (test::played() && tokens > 100) continue;
      compare_mixture(both, random, tokens, 8, 2, 64, 48, dtype, true);
      compare_mixture(both, random, tokens, 16, 4, 32, 32, dtype, true);
    }
  compare_mixture(both, random, 20, 4, 2, 12, 10, DType::kBFloat16, true);  // sizes tensor cores cannot take
  if (!test::played()) compare_mixture(both, random, 600, 4, 1, 512, 768, DType::kBFloat16, true);
}

TEST(Gpu, BalanceAndShared) {
  Both both;
  Random random(8);
  compare(both, {random.normal({300, 16})},
          [](const Context& ctx, const Inputs& x) {
            Context untaped = ctx;
            untaped.tape = nullptr;
            return balance_loss(ctx, x[0], route(untaped, x[0], 2));
          },
          {2e-5, 2e-5});
  compare(both, {random.normal({9, 40}), random.normal({9, 40}), random.normal({9, 40}), random.normal({1, 40})},
          [](const Context& ctx, const Inputs& x) { return mix_shared(ctx, x[0], x[1], x[2], {x[3]}); }, {1e-5, 1e-2});
}

TEST(Gpu, SoftmaxAttention) {
  Both both;
  Random random(9);
  struct Shape {
    int64_t heads, kv_heads, head_dim;
  };
  for (const Shape& shape :
       {Shape{2, 1, 16}, Shape{4, 2, 32}, Shape{8, 1, 64}, Shape{4, 2, 48}, Shape{8, 1, 128}, Shape{2, 2, 24}})
    for (const std::vector<int64_t>& lengths : {std::vector<int64_t>{1}, {64}, {3, 65, 130}, {200}}) {
      const testing::ScopedTrace trace(__FILE__, __LINE__,
                                       cat("head_dim ", shape.head_dim, ", ", lengths.size(), " sequences"));
      const Batch batch = test::batch_of(test::whole(lengths));
      const int64_t tokens = batch.token_count();
      compare(both,
              {random.normal({tokens, shape.heads * shape.head_dim}),
               random.normal({tokens, shape.kv_heads * shape.head_dim}),
               random.normal({tokens, shape.kv_heads * shape.head_dim})},
              [&](const Context& ctx, const Inputs& x) {
                return softmax_attention(ctx, x[0], x[1], x[2], shape.head_dim, batch, nullptr);
              },
              // dS = P * (dP - D) cancels where few keys share the weight, and dP comes from rounded operands.
              {4e-5, 6e-2});
    }
}

TEST(Gpu, LightningAttention) {
  Both both;
  Random random(10);
  for (const int64_t head_dim : {16, 40, 48, 64, 128})
    for (const std::vector<int64_t>& lengths : {std::vector<int64_t>{1}, {64}, {3, 65, 130}, {300}}) {
      const testing::ScopedTrace trace(__FILE__, __LINE__,
                                       cat("head_dim ", head_dim, ", ", lengths.size(), " sequences"));
      const Batch batch = test::batch_of(test::whole(lengths));
      const Tensor decay = lightning_decay(lightning_slopes(2, 0.5));
      compare(
          both, {random.normal({batch.token_count(), 2 * 3 * head_dim}, 0.5f)},
          [&](const Context& ctx, const Inputs& x) { return lightning_attention(ctx, x[0], decay, batch, nullptr); },
          {1e-5, 1e-2});
    }
}

/// Pages and slots of several sequences, cut into passes, against one pass on the CPU without caches.
template <typename Attend>
void compare_passes(Random& random, const std::vector<int64_t>& lengths, const std::vector<Tensor>& want,
                    double tolerance, const Attend& attend) {
  for (int round = 0; round < 3; ++round) {
    const std::vector<Tensor> got = test::empty_sequences(lengths, want[0].dim(1));
    for (const test::Pass& pass : test::random_passes(random, lengths, round == 0 ? 1 : 90)) {
      Batch batch = test::batch_of(pass);
      const int64_t max_pages = 5;
      std::vector<int32_t> table, slots;
      for (const test::Stretch& stretch : pass) {
        slots.push_back(static_cast<int32_t>(stretch.seq));
        for (int64_t page = 0; page < max_pages; ++page)
          table.push_back(static_cast<int32_t>(stretch.seq * max_pages + page));
      }
      batch.page_table = test::int32s(table).view({static_cast<int64_t>(pass.size()), max_pages});
      batch.slots = test::int32s(slots);
      test::scatter(to_host(attend(pass, batch)), pass, got);
    }
    for (size_t seq = 0; seq < lengths.size(); ++seq)
      EXPECT_LT(test::distance(got[seq], want[seq]), tolerance) << "sequence " << seq << ", round " << round;
  }
}

TEST(Gpu, SoftmaxAttentionInPasses) {
  Both both;
  Random random(11);
  const std::vector<int64_t> lengths = {5, 64, 200, 131};
  for (const auto& [heads, kv_heads, head_dim] :
       {std::array<int64_t, 3>{4, 2, 32}, {8, 1, 128}, {16, 2, 128}, {2, 1, 16}}) {
    if (test::played() && heads > 8) continue;
    const auto q = test::normal_sequences(random, lengths, heads * head_dim);
    const auto k = test::normal_sequences(random, lengths, kv_heads * head_dim);
    const auto v = test::normal_sequences(random, lengths, kv_heads * head_dim);
    const test::Pass all = test::whole(lengths);
    const std::vector<Tensor> want = test::empty_sequences(lengths, heads * head_dim);
    test::scatter(softmax_attention(both.host(), test::gather(q, all), test::gather(k, all), test::gather(v, all),
                                    head_dim, test::batch_of(all), nullptr),
                  all, want);
    for (const MatmulPrecision precision : test::kPrecisions)
      for (const bool deterministic : {false, true}) {
        Context ctx = both.device(precision);
        ctx.deterministic = deterministic;
        KvPages pages = make_pages(ctx, 20, kv_heads, head_dim);
        for (const Tensor& x : {pages.k, pages.v}) test::gpu().fill(x.raw(), 0xff, x.bytes());
        compare_passes(random, lengths, want, test::Tolerances{1e-5, 1e-2}.of(precision),
                       [&](const test::Pass& pass, const Batch& batch) {
                         const auto there =
                             test::on_gpu({test::gather(q, pass), test::gather(k, pass), test::gather(v, pass)});
                         return softmax_attention(ctx, there[0], there[1], there[2], head_dim, batch, &pages);
                       });
      }
  }
}

TEST(Gpu, LightningAttentionInPasses) {
  Both both;
  Random random(12);
  const std::vector<int64_t> lengths = {5, 64, 200, 131};
  for (const int64_t head_dim : {16, 32, 64, 128}) {
    if (test::played() && head_dim > 32) continue;
    const Tensor decay = lightning_decay(lightning_slopes(2, 0.5));
    const auto qkv = test::normal_sequences(random, lengths, 2 * 3 * head_dim);
    const test::Pass all = test::whole(lengths);
    const std::vector<Tensor> want = test::empty_sequences(lengths, 2 * head_dim);
    test::scatter(lightning_attention(both.host(), test::gather(qkv, all), decay, test::batch_of(all), nullptr), all,
                  want);
    for (const MatmulPrecision precision : test::kPrecisions)
      for (const bool deterministic : {false, true}) {
        Context ctx = both.device(precision);
        ctx.deterministic = deterministic;
        LightningSlots slots = make_slots(ctx, 4, 2, head_dim);
        for (const Tensor& x : {slots.state, slots.k_window, slots.v_window})
          test::gpu().fill(x.raw(), 0xff, x.bytes());
        compare_passes(random, lengths, want, test::Tolerances{1e-5, 1e-2}.of(precision),
                       [&](const test::Pass& pass, const Batch& batch) {
                         return lightning_attention(ctx, to_memory(test::gather(qkv, pass), &test::gpu()), decay, batch,
                                                    &slots);
                       });
      }
  }
}

TEST(Gpu, Optimizer) {
  Both both;
  Random random(13);
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    const Tensor weight = random.normal({77, 13}, 1, dtype), gradient = random.normal({77, 13}, 1e-3f);
    std::vector<std::vector<Tensor>> results;
    for (const bool on_gpu : {false, true}) {
      const Context ctx = on_gpu ? both.device(MatmulPrecision::kFloat32) : both.host();
      const auto copy = [&](const Tensor& x) {
        const Tensor out = Tensor::empty(x.shape(), x.dtype(), ctx.gpu);
        copy_bytes(x, out);
        return out;
      };
      AdamWSlot slot{.weight = copy(weight),
                     .master = {},
                     .m = Tensor::zeros(weight.shape(), DType::kFloat32, ctx.gpu),
                     .v = Tensor::zeros(weight.shape(), DType::kFloat32, ctx.gpu),
                     .gradient = copy(gradient),
                     .decay = 0.1};
      slot.master = dtype == DType::kFloat32 ? slot.weight : copy(to_float32(weight));
      for (int step = 1; step <= 3; ++step) adamw(ctx, {&slot, 1}, {.step = step, .rate = 1e-2});
      results.push_back({to_host(slot.master), to_host(slot.m), to_host(slot.v), to_float32(to_host(slot.weight))});
      EXPECT_NEAR(global_norm(ctx, {&slot.gradient, 1}), global_norm(both.host(), {&gradient, 1}), 1e-9);
    }
    for (size_t i = 0; i < 4; ++i) EXPECT_LT(test::distance(results[1][i], results[0][i]), 1e-7) << i;
  }
}

}  // namespace
}  // namespace minimax::ops
