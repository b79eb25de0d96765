#include "train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/rng.h"
#include "model/parameters.h"
#include "model/random.h"
#include "train/test_config.h"

namespace minimax::train {
namespace {

class TrainerTest : public testing::Test {
 protected:
  /// Sequences of different lengths, every third token no target, weights that sum to 1.
  static std::vector<TrainSequence> sequences(int64_t count) {
    Rng rng(5);
    std::vector<TrainSequence> out;
    double targets = 0;
    for (int64_t i = 0; i < count; ++i) {
      TrainSequence& sequence = out.emplace_back();
      for (uint64_t t = 0, length = 3 + rng.below(70); t < length; ++t) {
        sequence.tokens.push_back(static_cast<int32_t>(rng.below(40)));
        sequence.weights.push_back(t > 0 && t % 3 != 0);
        targets += sequence.weights.back();
      }
    }
    for (TrainSequence& sequence : out)
      for (double& weight : sequence.weights) weight /= targets;
    return out;
  }

  static double difference(const Gradients& a, const Gradients& b, const MiniMaxM1& model) {
    double squares = 0, norm = 0;
    for (const Parameter& parameter : parameters(model)) {
      const Tensor *x = a.find(parameter.value), *y = b.find(parameter.value);
      EXPECT_TRUE(x && y) << parameter.name;
      for (int64_t i = 0; x && y && i < x->elements(); ++i) {
        const double d = static_cast<double>(x->data<float>()[i]) - y->data<float>()[i];
        squares += d * d;
        norm += static_cast<double>(x->data<float>()[i]) * x->data<float>()[i];
      }
    }
    return std::sqrt(squares / norm);
  }

  ThreadPool threads{2};
  Arena arena;
  Context ctx{.arena = &arena, .threads = &threads};
  MiniMaxM1 source = random_model(test::tiny_train_config(40), DType::kFloat32, 3, threads);
};

TEST_F(TrainerTest, GradientsDoNotDependOnThePacking) {
  const TrainableModel trainable = make_trainable(ctx, source, DType::kFloat32);
  const std::vector<TrainSequence> data = sequences(9);
  Gradients whole, parts;
  PassReport first, second;
  for (const TrainBatch& batch : pack(data, 10000)) first = run_pass(ctx, trainable.model, batch, {}, 1, whole);
  const std::vector<TrainBatch> batches = pack(data, 100);
  ASSERT_GT(batches.size(), 2u);
  for (const TrainBatch& batch : batches) {
    const PassReport report = run_pass(ctx, trainable.model, batch, {}, 1, parts);
    second.loss += report.loss;
    second.targets += report.targets;
  }
  EXPECT_NEAR(first.loss, second.loss, 1e-6);
  EXPECT_EQ(first.targets, second.targets);
  EXPECT_LT(difference(whole, parts, trainable.model), 1e-6);
}

// The balance loss is no sum over tokens: it must see those of the whole step, however that is cut into passes.
TEST_F(TrainerTest, BalanceLossIsOverTheWholeStep) {
  const TrainableModel trainable = make_trainable(ctx, source, DType::kFloat32);
  const std::vector<TrainSequence> data = sequences(9);
  const PassOptions options{.balance = 10};
  // The balance loss of a step whose passes hold so many tokens at most; `shares`: those of the step, or each its own.
  const auto run = [&](int64_t pass_tokens, bool shares, Gradients& gradients) {
    const Trainer trainer(ctx, trainable, {.pass = options});
    const std::vector<TrainBatch> batches = pack(data, pass_tokens);
    const ExpertShares of_step = trainer.expert_shares(batches);
    double balance = 0, tokens = 0;
    for (const TrainBatch& batch : batches) tokens += static_cast<double>(batch.token_count());
    for (const TrainBatch& batch : batches)
      balance += run_pass(ctx, trainable.model, batch, options, static_cast<double>(batch.token_count()) / tokens,
                          gradients, shares ? &of_step : nullptr)
                     .balance;
    return balance;
  };
  Gradients whole, cut, apart;
  const double want = run(10000, false, whole);
  EXPECT_NEAR(run(60, true, cut), want, 1e-6);
  EXPECT_LT(difference(whole, cut, trainable.model), 1e-6);
  // What each pass makes of its own tokens is something else.
  EXPECT_GT(std::abs(run(60, false, apart) - want), 1e-3);
  EXPECT_GT(difference(whole, apart, trainable.model), 1e-3);
  // A trainer's steps are the former.
  Trainer trainer(ctx, trainable, {.pass = options}), other(ctx, trainable, {.pass = options});
  const StepMetrics one = trainer.step(pack(data, 10000), 0), many = other.step(pack(data, 60), 0);
  EXPECT_NEAR(one.pass.balance, many.pass.balance, 1e-6);
  EXPECT_NEAR(one.optimizer.gradient_norm, many.optimizer.gradient_norm, 1e-6 * one.optimizer.gradient_norm);
}

TEST_F(TrainerTest, OverfitsAFewSequences) {
  for (const DType working : {DType::kFloat32, DType::kBFloat16}) {
    const TrainableModel trainable = make_trainable(ctx, source, working);
    Trainer trainer(ctx, trainable, {.pass = {.balance = 1e-3}});
    const std::vector<TrainBatch> batches = pack(sequences(4), 64);
    const double before = trainer.step(batches, 1e-3).pass.loss;
    EXPECT_GT(before, 3.0);
    StepMetrics last;
    for (int step = 0; step < 60; ++step) last = trainer.step(batches, 1e-2);
    EXPECT_LT(last.pass.loss, 0.5 * before) << to_string(working);
    EXPECT_NEAR(last.pass.balance, 2, 1);
    EXPECT_EQ(trainer.optimizer().steps(), 61);
    // The caller's model has not moved, and the working weights are what was asked for.
    EXPECT_EQ(trainable.model.layers[0].moe.experts[0].gate.data.dtype(), working);
    EXPECT_EQ(trainable.model.layers[0].moe.router.data.dtype(), DType::kFloat32);
    EXPECT_NE(trainable.model.embed_tokens.data.raw(), source.embed_tokens.data.raw());
  }
}

TEST_F(TrainerTest, PolicyOfOneUpdateIsTheAdvantageWeightedGradient) {
  const TrainableModel trainable = make_trainable(ctx, source, DType::kFloat32);
  Trainer trainer(ctx, trainable, {});
  std::vector<TrainSequence> data = sequences(5);
  const TrainBatch plain = pack(data, 10000).at(0);
  const std::vector<double> log_probs = trainer.log_probs(plain);
  TrainBatch policy = plain;
  policy.old_log_probs = log_probs;
  policy.advantages.assign(plain.rows.size(), 2.5);
  Gradients of_policy, of_loss;
  const PassReport report = run_pass(ctx, trainable.model, policy, {}, 1, of_policy);
  // The forward pass repeats its bits, so every ratio is exactly 1.
  EXPECT_EQ(report.policy.ratio_sum, static_cast<double>(plain.rows.size()));
  EXPECT_EQ(report.policy.kl3_sum, 0);
  TrainBatch scaled = plain;
  for (double& weight : scaled.weights) weight *= 2.5;
  run_pass(ctx, trainable.model, scaled, {}, 1, of_loss);
  EXPECT_LT(difference(of_loss, of_policy, trainable.model), 1e-7);
}

TEST_F(TrainerTest, SkipsWhatIsNotFiniteAndWhatIsFarTooLarge) {
  const TrainableModel trainable = make_trainable(ctx, source, DType::kFloat32);
  Trainer trainer(ctx, trainable, {.skip_factor = 4});
  std::vector<TrainBatch> batches = pack(sequences(2), 1000);
  const auto weights_of = [&] {
    const auto span = trainable.model.norm.span<float>();
    return std::vector<float>(span.begin(), span.end());
  };
  for (int step = 0; step < 50; ++step) EXPECT_FALSE(trainer.step(batches, 1e-5).optimizer.skipped);
  const std::vector<float> before = weights_of();
  const std::vector<double> good = batches[0].weights;
  for (double& weight : batches[0].weights) weight *= 100;
  EXPECT_TRUE(trainer.step(batches, 1e-2).optimizer.skipped);
  batches[0].weights = good;
  batches[0].weights[1] = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(trainer.step(batches, 1e-2).optimizer.skipped);
  EXPECT_EQ(weights_of(), before);
  // Nothing of the skipped steps' gradients is left.
  batches[0].weights = good;
  const StepMetrics next = trainer.step(batches, 1e-2);
  EXPECT_FALSE(next.optimizer.skipped);
  EXPECT_LT(next.optimizer.gradient_norm, 10 * trainer.recent_norms().front());
  EXPECT_NE(weights_of(), before);
}

}  // namespace
}  // namespace minimax::train
