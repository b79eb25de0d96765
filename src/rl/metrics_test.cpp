#include "rl/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "rl/test_policy.h"

namespace minimax::rl {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Percentile, IsAValueOfTheList) {
  EXPECT_EQ(percentile({}, 0.5), 0);
  EXPECT_EQ(percentile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(percentile({3, 1, 2}, 0.99), 3);
  EXPECT_EQ(percentile({3, 1, 2}, 0), 1);
}

TEST(Spearman, IsOfRanks) {
  const std::vector<double> x = {1, 2, 3, 4}, squares = {1, 4, 9, 16}, ties = {1, 1, 2, 2}, flat(4, 7);
  EXPECT_NEAR(spearman(x, squares), 1, 1e-12);
  EXPECT_NEAR(spearman(x, std::vector<double>{4, 3, 2, 1}), -1, 1e-12);
  EXPECT_NEAR(spearman(x, ties), std::sqrt(0.8), 1e-12);  // ranks 0.5 0.5 2.5 2.5: 4 / sqrt(5 * 4)
  EXPECT_EQ(spearman(x, flat), 0);
}

Sample sample(double reward, bool correct, int64_t tokens, double log_prob) {
  Sample out;
  out.tokens.assign(static_cast<size_t>(tokens) + 1, 5);
  out.sampled.assign(out.tokens.size(), 1);
  out.sampled[0] = 0;
  out.log_probs.assign(out.tokens.size(), static_cast<float>(log_prob));
  out.finish = engine::FinishReason::kStopToken;
  out.reward = reward;
  out.score = {.score = reward, .correct = correct, .format_ok = true, .why = correct ? "correct" : "wrong"};
  return out;
}

// By hand: two groups, one of them all wrong.
TEST(BatchMetrics, OfTwoGroups) {
  Group mixed, flat;
  mixed.problem.task = "essay";
  flat.problem.task = "sum";
  mixed.samples = {sample(1, true, 10, -1), sample(0.5, true, 20, -1), sample(0, false, 30, -3),
                   sample(0, false, 40, -3)};
  flat.samples = {sample(0, false, 8, -2), sample(0, false, 8, -2), sample(0, false, 8, -2), sample(0, false, 8, -2)};
  flat.samples[0].finish = engine::FinishReason::kLength;
  flat.samples[1].score.why = "timeout";
  flat.samples[2].score.score.reset();
  flat.samples[2].reward = std::nan("");
  std::vector<Group> all = {mixed, flat}, kept = {mixed};
  set_advantages(kept, {});
  Metrics out;
  write_batch_metrics(all, kept, 64, out);
  EXPECT_NEAR(out.at("reward/mean"), 1.5 / 7, 1e-12);
  EXPECT_NEAR(out.at("reward/domain.essay"), 1.5 / 4, 1e-12);
  EXPECT_EQ(out.at("reward/domain.sum"), 0);
  EXPECT_EQ(out.at("group/tried"), 2);
  EXPECT_EQ(out.at("group/kept"), 1);
  EXPECT_EQ(out.at("group/zero_var_0"), 1);
  EXPECT_EQ(out.at("group/zero_var_1"), 0);
  EXPECT_EQ(out.at("len/max"), 40);
  EXPECT_EQ(out.at("len/pos_mean"), 15);
  EXPECT_EQ(out.at("trunc_rate"), 1.0 / 8);
  EXPECT_EQ(out.at("verifier/timeout_rate"), 1.0 / 8);
  EXPECT_EQ(out.at("verifier/none_rate"), 1.0 / 8);
  const double tokens = 10 + 20 + 30 + 40 + 32, surprise = 30 + 3 * 70 + 2 * 32;
  EXPECT_NEAR(out.at("entropy/mean"), surprise / tokens, 1e-6);
  EXPECT_NEAR(out.at("ppl/gen"), std::exp(surprise / tokens), 1e-5);
  EXPECT_NEAR(out.at("entropy/neg"), 3, 1e-6);
  // Of the two right ones the longer got less: -1; rewards of the wrong ones do not vary.
  EXPECT_NEAR(out.at("judge/len_corr"), -2.0 / 7, 1e-12);
}

TEST(UpdateMetrics, RatiosHaveTheirPercentile) {
  train::StepMetrics step;
  for (int i = 1; i <= 200; ++i) {
    step.pass.policy.ratios.push_back(static_cast<float>(i));
    step.pass.policy.ratio_sum += i;
    step.pass.policy.tokens += 1;
  }
  Metrics out;
  write_update_metrics(step, out);
  EXPECT_EQ(out.at("ratio/p99"), 198);
  EXPECT_EQ(out.at("ratio/mean"), 100.5);
}

/// Alarms of the last of eight batches that are quiet, but for what `change` does to batch number n.
std::vector<std::string> alarms_after(const std::function<void(Metrics&, int)>& change) {
  AlarmState state;
  std::vector<std::string> last;
  for (int batch = 0; batch < 9; ++batch) {
    Metrics metrics = {{"mismatch/pearson", 1}, {"entropy/mean", 1},       {"cispo/capfrac", 0.01}, {"grad/norm", 0.3},
                       {"reward/mean", 0.4},    {"verifier/none_rate", 0}, {"len/mean", 20},        {"len/p99", 30},
                       {"ppl/gen", 2},          {"heldout/reward", 0.3}};
    change(metrics, batch);
    last = find_alarms(metrics, 64, state);
  }
  return last;
}

TEST(Alarms, AreQuietWhenAllIsWell) {
  EXPECT_THAT(alarms_after([](Metrics&, int) {}), IsEmpty());
}

TEST(Alarms, EachHasItsCondition) {
  const auto at_the_end = [](const char* name, double value) {
    return alarms_after([=](Metrics& metrics, int batch) {
      if (batch == 8) metrics[name] = value;
    });
  };
  EXPECT_THAT(at_the_end("mismatch/pearson", 0.98), Contains(HasSubstr("disagree")));
  EXPECT_THAT(at_the_end("entropy/mean", 0.29), Contains(HasSubstr("30% of its start")));
  EXPECT_THAT(at_the_end("cispo/capfrac", 0.21), Contains(HasSubstr("cap holds back")));
  EXPECT_THAT(at_the_end("grad/norm", 1.6), Contains(HasSubstr("gradient norm")));
  EXPECT_THAT(at_the_end("verifier/none_rate", 0.03), Contains(HasSubstr("verifiers failed")));
  EXPECT_THAT(alarms_after([](Metrics& metrics, int batch) {
                metrics["len/p99"] = 64;
                metrics["ppl/gen"] = 2 + 0.1 * batch;
              }),
              Contains(HasSubstr("tails")));
  EXPECT_THAT(alarms_after([](Metrics& metrics, int batch) {
                metrics["reward/mean"] = 0.4 + 0.05 * batch;
                metrics["len/mean"] = 20 + 3 * batch;
              }),
              Contains(HasSubstr("talked round")));
  // Where the held-out reward follows, all is well.
  EXPECT_THAT(alarms_after([](Metrics& metrics, int batch) {
                metrics["reward/mean"] = 0.4 + 0.05 * batch;
                metrics["len/mean"] = 20 + 3 * batch;
                metrics["heldout/reward"] = 0.3 + 0.05 * batch;
              }),
              IsEmpty());
}

// Every name that docs/rl.md promises, from a real batch.
TEST(Metrics, AllAreThere) {
  PolicyOptions options;
  options.prompts_per_batch = 4;
  options.minibatches = 2;
  options.schedule = {.peak = 0.01};
  options.windows = {10};
  options.pass_tokens = 256;
  options.gradient_histogram = true;
  RolloutOptions rollout;
  rollout.group_size = 4;
  rollout.scorer = test::score_by_bytes;
  test::Policy policy;
  Curriculum curriculum(test::additions());
  PolicyTrainer trainer(policy.engine, policy.trainer, policy.tokenizer, curriculum, rollout, options);
  const BatchReport report = trainer.step();
  ASSERT_TRUE(report.trained);
  for (const char* name : {"reward/mean",
                           "reward/std",
                           "reward/domain.addition",
                           "adv/absmean",
                           "adv/max",
                           "group/zero_var_0",
                           "group/zero_var_1",
                           "group/tried",
                           "group/kept",
                           "len/mean",
                           "len/p50",
                           "len/p99",
                           "len/max",
                           "len/pos_mean",
                           "len/neg_mean",
                           "trunc_rate",
                           "rep_stop_rate",
                           "format_rate",
                           "verifier/none_rate",
                           "verifier/timeout_rate",
                           "verifier/ms_p99",
                           "entropy/mean",
                           "entropy/pos",
                           "entropy/neg",
                           "ppl/gen",
                           "loss/policy",
                           "loss/aux",
                           "kl/k1",
                           "kl/k3",
                           "ratio/mean",
                           "ratio/max",
                           "ratio/p99",
                           "cispo/capfrac",
                           "cispo/capfrac_pos",
                           "ppo/region_frac",
                           "grad/norm",
                           "grad/clipped",
                           "grad/skipped",
                           "grad/abs_1e-20",
                           "grad/abs_1e0",
                           "upd/param_rms_ratio",
                           "moe/load_cv",
                           "moe/maxfrac",
                           "moe/dead_experts",
                           "moe/router_entropy",
                           "moe/flip_rate",
                           "mismatch/pearson",
                           "mismatch/mean_abs_dlogp",
                           "mismatch/max_abs_dprob",
                           "mismatch/k3",
                           "mismatch/ess",
                           "judge/len_corr",
                           "time/rollout",
                           "time/score",
                           "time/logprob",
                           "time/update",
                           "time/sync",
                           "time/idle",
                           "tok/s",
                           "mem/peak",
                           "staleness/mean",
                           "staleness/max"}) {
    ASSERT_TRUE(report.metrics.contains(name)) << name;
    EXPECT_TRUE(std::isfinite(report.metrics.at(name))) << name;
  }
  EXPECT_GT(report.metrics.at("moe/router_entropy"), 0);
  EXPECT_LE(report.metrics.at("moe/router_entropy"), std::log(4.0));
  EXPECT_LE(report.metrics.at("ratio/p99"), report.metrics.at("ratio/max"));
}

}  // namespace
}  // namespace minimax::rl
