// Long runs of the loop: without learning nothing moves, with it the reward rises.
#include <gtest/gtest.h>

#include "rl/test_loop.h"

namespace minimax::rl {
namespace {

using test::Loop;
using test::small_options;
using test::small_rollout;

// Rate 0, batch after batch: engine and trainer give the same bits, and nothing that should be still moves.
TEST(LadderJ, StaysFlatWithoutLearning) {
  PolicyOptions options = small_options(0);
  options.prompts_per_batch = 2;
  options.windows = {6};
  Loop loop(options);
  const std::vector<float> before = loop.policy.weights();
  int64_t trained = 0, tokens = 0;
  for (int batch = 0; batch < 200; ++batch) {
    const BatchReport report = loop.trainer.step();
    if (!report.trained) continue;
    ++trained;
    const Metrics& metrics = report.metrics;
    tokens += static_cast<int64_t>(metrics.at("mismatch/tokens"));
    EXPECT_EQ(metrics.at("mismatch/same_bits"), 1);
    EXPECT_EQ(metrics.at("mismatch/max_abs_dlogp"), 0);
    EXPECT_EQ(metrics.at("mismatch/max_abs_dprob"), 0);
    EXPECT_EQ(metrics.at("mismatch/ess"), 1);
    EXPECT_EQ(metrics.at("moe/flip_rate"), 0);
    for (const Metrics& update : report.updates) {
      EXPECT_EQ(update.at("ratio/mean"), 1);
      EXPECT_EQ(update.at("ratio/max"), 1);
      EXPECT_EQ(update.at("kl/k1"), 0);
      EXPECT_EQ(update.at("kl/k3"), 0);
      EXPECT_EQ(update.at("cispo/capfrac"), 0);
      EXPECT_EQ(update.at("ppo/region_frac"), 0);
      EXPECT_GT(update.at("grad/norm"), 0);
    }
  }
  EXPECT_GT(trained, 150);
  EXPECT_GT(tokens, 5000);
  EXPECT_EQ(loop.policy.weights(), before);
}

// Learning goes where the reward is, and against it with the sign of the advantages turned.
TEST(PolicyTrainer, RewardRises) {
  PolicyOptions options = small_options(0.01);
  options.prompts_per_batch = 8;
  options.schedule.warmup_steps = 8;
  RolloutOptions rollout = small_rollout();
  rollout.group_size = 8;
  Loop loop(options, train::PolicyLoss::cispo(), rollout);
  double first = 0, last = 0;
  for (int batch = 0; batch < 16; ++batch) {
    const double reward = loop.trainer.step().metrics.at("reward/mean");
    (batch < 3 ? first : last) += batch < 3 || batch >= 13 ? reward / 3 : 0;
  }
  RecordProperty("first", std::to_string(first));
  RecordProperty("last", std::to_string(last));
  EXPECT_LT(first, 0.75);
  EXPECT_GT(last, first + 0.2);

  RolloutOptions turned = rollout;
  turned.scorer = [](const Problem& problem, const Attempt& attempt) {
    Score score = test::score_by_bytes(problem, attempt);
    score.score = 1 - *score.score;
    return score;
  };
  Loop against(options, train::PolicyLoss::cispo(), turned);
  double ascii = 0;
  for (int batch = 0; batch < 16; ++batch) {
    const BatchReport report = against.trainer.step();
    if (batch >= 13) ascii += (1 - report.metrics.at("reward/mean")) / 3;
  }
  EXPECT_LT(ascii, first - 0.2);
}

}  // namespace
}  // namespace minimax::rl
