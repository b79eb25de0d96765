// Gradients of every weight of m1-tiny-grad, for cross entropy and for CISPO, against float64 results.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/tape.h"
#include "model/parameters.h"
#include "ops/balance.h"
#include "ops/log_probs.h"
#include "test_model.h"

namespace minimax {
namespace {

/// A step of the exactness ladder, docs/rl.md, beside the gradients of single ops in src/ops.
class LadderB : public testing::Test {
 protected:
  Batch batch() const {
    const auto tokens = static_cast<int32_t>(ids.size());
    std::vector<int32_t> positions(ids.size()), ends = {0, tokens};
    std::iota(positions.begin(), positions.end(), 0);
    const auto tensor = [](const std::vector<int32_t>& x) {
      return Tensor::from(std::span<const int32_t>(x), {static_cast<int64_t>(x.size())});
    };
    return {.tokens = tensor(ids),
            .positions = tensor(positions),
            .cu_seqlens = tensor(ends),
            .rows = {},
            .page_table = {},
            .slots = {}};
  }

  /// Forward with a tape; the log-probs of `targets`.
  Tensor forward(const Tensor& targets) {
    ctx.tape = &tape;
    return ops::log_probs(ctx, model.hidden(ctx, batch(), {}), model.lm_head, targets);
  }

  void backward(const Tensor& log_probs, const std::vector<float>& coefficients) {
    gradients.add(log_probs, Tensor::from(std::span<const float>(coefficients), log_probs.shape()));
    tape.backward(ctx, gradients);
    EXPECT_EQ(tape.size(), 0);
  }

  void expect_gradients(const char* file, double tolerance) {
    const auto expected = io::SafetensorsFile::open(folder / file);
    double worst = 0;
    size_t compared = 0;
    for (const Parameter& parameter : parameters(model)) {
      const Tensor want = expected.tensor(parameter.name);
      const Tensor* got = gradients.find(parameter.value);
      ASSERT_TRUE(got) << parameter.name;
      ASSERT_EQ(got->elements(), want.elements()) << parameter.name;
      double difference = 0, norm = 0;
      for (int64_t i = 0; i < want.elements(); ++i) {
        const double w = want.data<float>()[i], d = static_cast<double>(got->data<float>()[i]) - w;
        difference += d * d;
        norm += w * w;
      }
      const double error = std::sqrt(difference / norm);
      EXPECT_LT(error, tolerance) << parameter.name;
      worst = std::max(worst, error);
      ++compared;
    }
    EXPECT_EQ(compared, expected.tensors().size());
    RecordProperty("worst_relative_error", std::to_string(worst * 1e6) + "e-6");
  }

  std::vector<double> doubles(const char* name) const {
    const Tensor x = io.tensor(name);
    return {x.span<double>().begin(), x.span<double>().end()};
  }

  std::filesystem::path folder = test::golden_folder("m1-tiny-grad");
  MiniMaxM1 model = load_model(folder);
  io::SafetensorsFile io = io::SafetensorsFile::open(folder / "io.safetensors");
  std::vector<int32_t> ids = test::ints(io.tensor("input_ids"));
  ThreadPool threads{2};
  Arena arena;
  Context ctx{.arena = &arena, .threads = &threads};
  Tape tape;
  Gradients gradients;
};

TEST_F(LadderB, CrossEntropy) {
  const Tensor log_probs = forward(io.tensor("ce_targets"));
  const auto count = static_cast<double>(ids.size());
  const auto values = log_probs.span<float>();
  EXPECT_NEAR(-std::accumulate(values.begin(), values.end(), 0.0) / count, doubles("ce_loss")[0], 1e-5);
  backward(log_probs, std::vector<float>(ids.size(), static_cast<float>(-1.0 / count)));
  expect_gradients("grads_ce.safetensors", 1e-5);
}

TEST_F(LadderB, Cispo) {
  const std::vector<double> old = doubles("cispo_old_logprobs"), advantages = doubles("cispo_advantages"),
                            mask = doubles("cispo_mask"), expected = doubles("logprobs");
  const double cap = 1 + doubles("cispo_eps_high")[0];
  const Tensor log_probs = forward(io.tensor("ce_targets"));
  const double tokens = std::accumulate(mask.begin(), mask.end(), 0.0);
  std::vector<float> coefficients;
  double loss = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const double log_prob = log_probs.data<float>()[i];
    EXPECT_NEAR(log_prob, expected[i], 1e-4);
    const double weight = mask[i] * std::min(std::exp(log_prob - old[i]), cap) * advantages[i] / tokens;
    loss -= weight * log_prob;
    coefficients.push_back(static_cast<float>(-weight));
  }
  EXPECT_NEAR(loss, doubles("cispo_loss")[0], 1e-5);
  backward(log_probs, coefficients);
  expect_gradients("grads_cispo.safetensors", 1e-5);
}

// Layer by layer again instead of kept: the same bits, from far less memory.
TEST_F(LadderB, CheckpointedLayers) {
  const std::vector<float> coefficients(ids.size(), 0.25f);
  std::vector<double> balance_sums;
  const auto run = [&](bool checkpoint_layers, Gradients& into) {
    gradients = {};
    BalanceLoss balance{.coefficient = 0.01f};
    ctx.balance = &balance;
    ctx.checkpoint_layers = checkpoint_layers;
    const int64_t before = arena.bytes_in_use();
    const Tensor log_probs = forward(io.tensor("ce_targets"));
    const int64_t kept = arena.bytes_in_use() - before;
    backward(log_probs, coefficients);
    into = gradients;
    EXPECT_EQ(balance.layers, static_cast<int64_t>(model.layers.size()));
    balance_sums.push_back(balance.sum);
    return kept;
  };
  Gradients want, got;
  const int64_t kept = run(false, want), kept_less = run(true, got);
  EXPECT_LT(kept_less, kept / 4);
  EXPECT_NEAR(balance_sums[0], balance_sums[1], 1e-12);
  EXPECT_EQ(got.size(), want.size());
  EXPECT_EQ(got.size(), static_cast<int64_t>(parameters(model).size()));
  for (const Parameter& parameter : parameters(model)) {
    ASSERT_TRUE(want.find(parameter.value) && got.find(parameter.value)) << parameter.name;
    const auto a = want.find(parameter.value)->span<float>(), b = got.find(parameter.value)->span<float>();
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size_bytes()), 0) << parameter.name;
  }
}

// Two passes into one Gradients: twice the gradient, since nothing of the first pass but the weights' sums is left.
TEST_F(LadderB, Accumulates) {
  const std::vector<float> half(ids.size(), static_cast<float>(-0.5 / static_cast<double>(ids.size())));
  for (int pass = 0; pass < 2; ++pass) backward(forward(io.tensor("ce_targets")), half);
  EXPECT_EQ(gradients.size(), static_cast<int64_t>(parameters(model).size()));
  expect_gradients("grads_ce.safetensors", 1e-5);
}

}  // namespace
}  // namespace minimax
