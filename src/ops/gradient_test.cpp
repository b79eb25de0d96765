// The gradient of every op, against complex-step derivatives of its float64 reference.
#include <cstdlib>
#include <numeric>

#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/gather.h"
#include "ops/lightning.h"
#include "ops/linear.h"
#include "ops/log_probs.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/rotary.h"
#include "ops/test_batches.h"
#include "ops/test_gradients.h"

namespace minimax::ops {
namespace {

using test::check_gradients;
using test::ComplexMatrix;
using test::same_bits;

using Inputs = std::vector<Tensor>;
using Points = std::vector<ComplexMatrix>;

/// Gradients are sums of up to a few hundred float32 products.
constexpr double kTolerance = 2e-6;

TEST(Gradient, Linear) {
  test::Random random(1);
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16})
    for (const auto& [rows, in, out] : {std::array<int64_t, 3>{1, 1, 1}, {3, 5, 7}, {65, 259, 50}, {70, 33, 100}})
      check_gradients(
          {random.normal({rows, in}), random.normal({out, in}, 1, dtype)},
          [](const Context& ctx, const Inputs& in) { return linear(ctx, in[0], {in[1]}); },
          [](const Points& in) { return reference::linear(in[0], in[1]); }, kTolerance);
}

TEST(Gradient, LinearRefusesHalfWeights) {
  test::Random random(1);
  test::Machine machine(cpu::kernels(), 1);
  const Inputs inputs = {random.normal({2, 3}), random.normal({4, 3}, 1, DType::kFloat16)};
  EXPECT_EQ(test::error_of([&] {
              test::gradients_of(machine.ctx(), inputs, random.normal({2, 4}),
                                 [](const Context& ctx, const Inputs& in) { return linear(ctx, in[0], {in[1]}); });
            }),
            "weight is F16, expected F32 or BF16 in training");
}

TEST(Gradient, RmsNorm) {
  test::Random random(2);
  for (const Shape& shape : {Shape{1, 1}, {3, 7}, {5, 64}, {7, 6144}})
    check_gradients(
        {random.normal(shape), random.normal({shape.dim(1)})},
        [](const Context& ctx, const Inputs& in) { return rms_norm(ctx, in[0], in[1], 1e-5f); },
        [](const Points& in) { return reference::rms_norm(in[0], in[1], static_cast<double>(1e-5f)); }, kTolerance);
  // Where eps is as large as the mean square.
  check_gradients(
      {random.normal({4, 33}, 1e-3f), random.normal({33})},
      [](const Context& ctx, const Inputs& in) { return rms_norm(ctx, in[0], in[1], 1e-6f); },
      [](const Points& in) { return reference::rms_norm(in[0], in[1], static_cast<double>(1e-6f)); }, kTolerance);
}

TEST(Gradient, Activations) {
  test::Random random(3);
  for (const Shape& shape : {Shape{1, 1}, {3, 7}, {5, 67}, {3, 6000}}) {
    const Inputs pair = {random.normal(shape, 3), random.normal(shape)};
    check_gradients(
        {pair[0]}, [](const Context& ctx, const Inputs& in) { return silu(ctx, in[0]); },
        [](const Points& in) { return reference::silu(in[0]); }, kTolerance);
    check_gradients(
        pair, [](const Context& ctx, const Inputs& in) { return silu_mul(ctx, in[0], in[1]); },
        [](const Points& in) { return reference::silu_mul(in[0], in[1]); }, kTolerance);
    check_gradients(
        pair, [](const Context& ctx, const Inputs& in) { return sigmoid_mul(ctx, in[0], in[1]); },
        [](const Points& in) { return reference::sigmoid_mul(in[0], in[1]); }, kTolerance);
    check_gradients(
        pair, [](const Context& ctx, const Inputs& in) { return scaled_add(ctx, 3.5f, in[0], -2, in[1]); },
        [](const Points& in) { return reference::scaled_add(3.5, in[0], -2, in[1]); }, kTolerance);
  }
}

TEST(Gradient, OneTensorOnBothSides) {
  test::Random random(4);
  const Inputs x = {random.normal({5, 67})};
  check_gradients(
      x, [](const Context& ctx, const Inputs& in) { return scaled_add(ctx, 3.5f, in[0], -2, in[0]); },
      [](const Points& in) { return reference::scaled_add(3.5, in[0], -2, in[0]); }, kTolerance);
  check_gradients(
      x, [](const Context& ctx, const Inputs& in) { return silu_mul(ctx, in[0], in[0]); },
      [](const Points& in) { return reference::silu_mul(in[0], in[0]); }, kTolerance);
  check_gradients(
      x, [](const Context& ctx, const Inputs& in) { return sigmoid_mul(ctx, in[0], in[0]); },
      [](const Points& in) { return reference::sigmoid_mul(in[0], in[0]); }, kTolerance);
}

TEST(Gradient, Embedding) {
  test::Random random(5);
  const std::vector<int32_t> ids = {3, 0, 3, 8, 8, 3, 1};
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16})
    check_gradients(
        {random.normal({9, 131}, 1, dtype)},
        [&](const Context& ctx, const Inputs& in) { return embedding(ctx, {in[0]}, test::int32s(ids)); },
        [&](const Points& in) { return reference::embedding(in[0], ids); }, kTolerance);
}

TEST(Gradient, Rotate) {
  test::Random random(6);
  const std::vector<int32_t> positions = {0, 1, 2, 700, 40000};
  for (const int64_t rotary_dim : {0, 2, 6, 12})
    check_gradients(
        {random.normal({5, 3 * 12})},
        [&](const Context& ctx, const Inputs& in) {
          return rotate(ctx, in[0], rotary_table(ctx, test::int32s(positions), rotary_dim, 1e7), 12);
        },
        [&](const Points& in) { return reference::rotate(in[0], positions, 12, rotary_dim, 1e7); }, kTolerance);
}

TEST(Gradient, GatherRows) {
  test::Random random(7);
  const std::vector<int32_t> rows = {4, 0, 4, 2, 4};
  const auto gather = [&](const Context& ctx, const Inputs& in) { return gather_rows(ctx, in[0], test::int32s(rows)); };
  const auto want = [&](const Points& in) { return reference::embedding(in[0], rows); };
  check_gradients({random.normal({6, 37})}, gather, want, kTolerance);
  // And when something else has been added before.
  check_gradients(
      {random.normal({5, 37})},
      [&](const Context& ctx, const Inputs& in) { return scaled_add(ctx, 1, gather(ctx, in), 2, in[0]); },
      [&](const Points& in) { return reference::scaled_add(1, want(in), 2, in[0]); }, kTolerance);
}

/// function(sequence) of each sequence of a packed batch, one below the other.
template <typename Function>
ComplexMatrix by_sequence(const Points& packed, const std::vector<int64_t>& lengths, const Function& function) {
  ComplexMatrix out;
  int64_t first = 0;
  for (const int64_t length : lengths) {
    Points sequence;
    for (const ComplexMatrix& all : packed) {
      ComplexMatrix& rows = sequence.emplace_back(length, all.columns);
      std::copy_n(&all.values[first * all.columns], length * all.columns, rows.values.begin());
    }
    const ComplexMatrix y = function(sequence);
    out.values.insert(out.values.end(), y.values.begin(), y.values.end());
    out.rows += y.rows;
    out.columns = y.columns;
    first += length;
  }
  return out;
}

int64_t sum_of(const std::vector<int64_t>& lengths) {
  return std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
}

/// Gradients of a packed batch are the bits of each sequence alone. op(ctx, inputs, batch).
template <typename Op>
void expect_packing_changes_nothing(test::Random& random, const Inputs& packed, const std::vector<int64_t>& lengths,
                                    int64_t out_columns, const Op& op) {
  test::Machine machine(cpu::kernels(), 2);
  const Tensor u = random.normal({sum_of(lengths), out_columns});
  const auto run = [&](const Inputs& inputs, const Tensor& du, const std::vector<int64_t>& seqs) {
    return test::gradients_of(machine.ctx(), inputs, du, [&](const Context& ctx, const Inputs& in) {
      return op(ctx, in, test::batch_of(test::whole(seqs)));
    });
  };
  const Inputs together = run(packed, u, lengths);
  int64_t first = 0;
  for (const int64_t length : lengths) {
    Inputs alone;
    for (const Tensor& input : packed) alone.push_back(input.rows(first, first + length));
    const Inputs got = run(alone, u.rows(first, first + length), {length});
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_TRUE(same_bits(got[i], together[i].rows(first, first + length))) << "input " << i << " of " << length;
    first += length;
  }
}

TEST(Gradient, LightningAttention) {
  test::Random random(8);
  const std::vector<float> slopes = {0.917f, 0.1f, 1e-5f};  // fast, middling, hardly decaying
  const Tensor decay = lightning_decay(Tensor::from(std::span(slopes), {3}));
  const auto op = [&](const Context& ctx, const Inputs& in, const Batch& batch) {
    return lightning_attention(ctx, in[0], decay, batch, nullptr);
  };
  const std::vector<std::vector<int64_t>> batches = {{1}, {63}, {64}, {65}, {130}, {300}, {65, 1, 128, 7}};
  for (const int64_t head_dim : {1, 7, 16})
    for (const auto& lengths : batches) {
      if (head_dim == 1 && lengths.size() == 1) continue;
      SCOPED_TRACE(cat("head_dim ", head_dim, ", first length ", lengths[0]));
      const Tensor qkv = random.normal({sum_of(lengths), 3 * 3 * head_dim});
      check_gradients(
          {qkv},
          [&](const Context& ctx, const Inputs& in) { return op(ctx, in, test::batch_of(test::whole(lengths))); },
          [&](const Points& in) {
            return by_sequence(in, lengths, [&](const Points& seq) { return reference::lightning(seq[0], slopes); });
          },
          kTolerance);
      expect_packing_changes_nothing(random, {qkv}, lengths, 3 * head_dim, op);
    }
}

// Slow heads carry the past: each head's own error, where the sum over heads would hide the small ones.
TEST(Gradient, LightningAttentionOfEachHead) {
  test::Random random(9);
  for (const float slope : {0.917f, 0.05f, 1e-3f, 4e-8f}) {
    SCOPED_TRACE(cat("slope ", slope));
    const std::vector<float> slopes = {slope};
    const Tensor decay = lightning_decay(Tensor::from(std::span(slopes), {1}));
    check_gradients(
        {random.normal({200, 3 * 24})},
        [&](const Context& ctx, const Inputs& in) {
          return lightning_attention(ctx, in[0], decay, test::batch_of(test::whole({200})), nullptr);
        },
        [&](const Points& in) { return reference::lightning(in[0], slopes); }, kTolerance);
  }
}

TEST(Gradient, SoftmaxAttention) {
  test::Random random(10);
  for (const int64_t group : {1, 4, 8})
    for (const auto& lengths : std::vector<std::vector<int64_t>>{{1}, {64}, {65}, {200}, {65, 1, 3}}) {
      const int64_t head_dim = group == 4 ? 9 : 8, kv_heads = group == 8 ? 1 : 2, tokens = sum_of(lengths);
      SCOPED_TRACE(cat("group ", group, ", first length ", lengths[0]));
      const auto op = [&](const Context& ctx, const Inputs& in, const Batch& batch) {
        return softmax_attention(ctx, in[0], in[1], in[2], head_dim, batch, nullptr);
      };
      const Inputs qkv = {random.normal({tokens, group * kv_heads * head_dim}, 2),
                          random.normal({tokens, kv_heads * head_dim}, 2),
                          random.normal({tokens, kv_heads * head_dim})};
      check_gradients(
          qkv, [&](const Context& ctx, const Inputs& in) { return op(ctx, in, test::batch_of(test::whole(lengths))); },
          [&](const Points& in) {
            return by_sequence(in, lengths, [&](const Points& seq) {
              return reference::softmax_attention(seq[0], seq[1], seq[2], head_dim);
            });
          },
          5e-6);  // scores to float32 precision, of up to 30 in size
      expect_packing_changes_nothing(random, qkv, lengths, group * kv_heads * head_dim, op);
    }
}

/// x, router logits, then gate, up, down of each expert.
struct Mixture {
  Mixture(test::Random& random, int64_t tokens, int64_t count, int64_t hidden, int64_t ffn, DType dtype) {
    inputs = {random.normal({tokens, hidden}), random.normal({tokens, count})};
    for (int64_t expert = 0; expert < count; ++expert) {
      inputs.push_back(random.normal({ffn, hidden}, 0.5f, dtype));
      inputs.push_back(random.normal({ffn, hidden}, 0.5f, dtype));
      inputs.push_back(random.normal({hidden, ffn}, 0.5f, dtype));
    }
  }
  /// Makes sure that all tokens choose `expert`, or none does.
  void all_choose(int64_t expert, bool chosen) {
    for (int64_t token = 0; token < inputs[1].dim(0); ++token)
      inputs[1].data<float>()[token * inputs[1].dim(1) + expert] = chosen ? 5.0f : -5.0f;
  }
  static std::vector<ExpertWeights> experts(const Inputs& in) {
    std::vector<ExpertWeights> out;
    for (size_t i = 2; i < in.size(); i += 3) out.push_back({{in[i]}, {in[i + 1]}, {in[i + 2]}});
    return out;
  }
  static ComplexMatrix mix(const Points& in, int64_t top_k) {
    std::vector<reference::Expert<test::Complex>> experts;
    for (size_t i = 2; i < in.size(); i += 3) experts.push_back({in[i], in[i + 1], in[i + 2]});
    // An imaginary step leaves the choice as it is.
    const auto chosen = reference::choose_experts(in[1], top_k);
    return reference::mix_experts(in[0], chosen, reference::routing_weights(in[1], chosen), experts);
  }

  Inputs inputs;
};

void check_mixture(const Mixture& mixture, int64_t top_k) {
  const std::vector<ExpertWeights> experts = Mixture::experts(mixture.inputs);
  check_gradients(
      mixture.inputs,
      [&](const Context& ctx, const Inputs& in) { return mix_experts(ctx, in[0], route(ctx, in[1], top_k), experts); },
      [&](const Points& in) { return Mixture::mix(in, top_k); }, kTolerance);
}

TEST(Gradient, MixExperts) {
  test::Random random(11);
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16})
    for (const int64_t top_k : {1, 2, 4}) {
      SCOPED_TRACE(cat("top_k ", top_k));
      check_mixture(Mixture(random, 37, 5, 9, 13, dtype), top_k);
      Mixture to_one(random, 40, 5, 9, 13, dtype);
      to_one.all_choose(3, true);
      if (top_k > 1) check_mixture(to_one, top_k);
    }
  check_mixture(Mixture(random, 60, 3, 70, 90, DType::kFloat32), 2);  // more than one piece of a product
}

// An expert that nobody chose gets no gradient at all, and the others theirs.
TEST(Gradient, MixExpertsWithoutTokens) {
  test::Random random(12);
  for (const bool one_expert_for_all : {false, true}) {
    Mixture mixture(random, 19, 4, 9, 13, DType::kFloat32);
    mixture.all_choose(2, one_expert_for_all);
    const int64_t top_k = one_expert_for_all ? 1 : 2;
    const std::vector<ExpertWeights> experts = Mixture::experts(mixture.inputs);
    test::Machine machine(cpu::kernels(), 2);
    Context ctx = machine.ctx();
    Tape tape;
    ctx.tape = &tape;
    Gradients d;
    const Tensor y = mix_experts(ctx, mixture.inputs[0], route(ctx, mixture.inputs[1], top_k), experts);
    const test::Derivatives derivatives(mixture.inputs, [&](const Points& in) { return Mixture::mix(in, top_k); });
    d.add(y, derivatives.u());
    tape.backward(ctx, d);
    for (size_t i = 0; i < mixture.inputs.size(); ++i) {
      const Tensor* found = d.find(mixture.inputs[i]);
      const bool has_tokens = i < 2 || ((i - 2) / 3 == 2) == one_expert_for_all;
      ASSERT_EQ(found != nullptr, has_tokens) << "input " << i;
      EXPECT_LT(found ? derivatives.error(i, *found) : 0, kTolerance) << "input " << i;
    }
    // The weight of a single expert is 1 whatever the logits are.
    for (const float value : d.find(mixture.inputs[1])->span<float>()) EXPECT_TRUE(top_k != 1 || value == 0);
  }
}

TEST(Gradient, ExpertAndShared) {
  test::Random random(13);
  const Inputs one = {random.normal({21, 19}), random.normal({33, 19}, 0.3f), random.normal({33, 19}, 0.3f),
                      random.normal({19, 33}, 0.3f)};
  check_gradients(
      one, [](const Context& ctx, const Inputs& in) { return expert(ctx, in[0], {{in[1]}, {in[2]}, {in[3]}}); },
      [](const Points& in) { return reference::expert(in[0], {in[1], in[2], in[3]}); }, kTolerance);
  check_gradients(
      {random.normal({21, 19}), random.normal({21, 19}), random.normal({21, 19}), random.normal({1, 19})},
      [](const Context& ctx, const Inputs& in) { return mix_shared(ctx, in[0], in[1], in[2], {in[3]}); },
      [](const Points& in) { return reference::mix_shared(in[0], in[1], in[2], in[3]); }, kTolerance);
}

TEST(Gradient, LogProbs) {
  test::Random random(14);
  const std::vector<int32_t> targets = {4, 0, 100, 7, 7, 52, 99};
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16})
    for (const int64_t block_rows : {0, 3, 100}) {  // one row at least; the last block shorter; all at once
      SCOPED_TRACE(cat(block_rows, " rows a block"));
      check_gradients(
          {random.normal({7, 29}), random.normal({101, 29}, 0.5f, dtype)},
          [&](const Context& ctx, const Inputs& in) {
            return log_probs(ctx, in[0], {in[1]}, test::int32s(targets), block_rows * 101);
          },
          [&](const Points& in) { return reference::log_probs(reference::linear(in[0], in[1]), targets); }, kTolerance);
    }
}

TEST(Gradient, ATapeAndACacheExcludeEachOther) {
  test::Machine machine(cpu::kernels(), 1);
  Context ctx = machine.ctx();
  Tape tape;
  ctx.tape = &tape;
  Batch batch = test::batch_of(test::whole({2}));
  batch.slots = test::int32s({0});
  batch.page_table = test::int32s({0}).view({1, 1});
  const Tensor q = Tensor::zeros({2, 4}, DType::kFloat32), qkv = Tensor::zeros({2, 12}, DType::kFloat32);
  KvPages pages{Tensor::zeros({1, 1, 4, kChunk}, DType::kFloat32), Tensor::zeros({1, 1, kChunk, 4}, DType::kFloat32)};
  LightningSlots slots{Tensor::zeros({1, 1, 4, 4}, DType::kFloat32), Tensor::zeros({1, 1, 4, kChunk}, DType::kFloat32),
                       Tensor::zeros({1, 1, kChunk, 4}, DType::kFloat32)};
  EXPECT_EQ(test::error_of([&] { softmax_attention(ctx, q, q, q, 4, batch, &pages); }),
            "softmax_attention: a tape and a cache, expected one of them");
  const Tensor decay = lightning_decay(lightning_slopes(1, 1));
  EXPECT_EQ(test::error_of([&] { lightning_attention(ctx, qkv, decay, batch, &slots); }),
            "lightning_attention: a tape and a cache, expected one of them");
}

}  // namespace
}  // namespace minimax::ops
