// The exactness of reinforcement learning: what must hold to the last bit when engine and trainer share weights.
#include "rl/policy_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "io/test_folder.h"
#include "rl/test_loop.h"

namespace minimax::rl {
namespace {

using test::Loop;
using test::loss_options;
using test::Policy;
using test::small_options;
using test::small_rollout;
using testing::HasSubstr;

// Suites whose names begin with Ladder are the steps of the exactness ladder, docs/rl.md.

// Rate 0: all updates of a batch, also the later ones, have ratio 1, no divergence, nothing capped, and the loss
// -mean(A log pi).
TEST(LadderD, AtRateZeroTheRatioIsOne) {
  PolicyOptions options = small_options(0);
  options.epochs = 3;
  options.minibatches = 1;
  Loop loop(options);
  const BatchReport report = loop.trainer.step();
  ASSERT_TRUE(report.trained);
  std::vector<Group> groups;
  for (const Group& group : report.groups)
    if (!group.flat()) groups.push_back(group);
  set_advantages(groups, {});
  double sum = 0, tokens = 0;
  for (const Group& group : groups)
    for (const Sample& sample : group.samples)
      for (size_t token = 0; token < sample.tokens.size(); ++token)
        if (sample.sampled[token]) sum -= sample.advantage * sample.log_probs[token], ++tokens;
  ASSERT_EQ(report.updates.size(), 3u);
  for (const Metrics& update : report.updates) {
    EXPECT_EQ(update.at("ratio/mean"), 1);
    EXPECT_EQ(update.at("ratio/max"), 1);
    EXPECT_EQ(update.at("kl/k1"), 0);
    EXPECT_EQ(update.at("kl/k3"), 0);
    EXPECT_EQ(update.at("cispo/capfrac"), 0);
    EXPECT_NEAR(update.at("loss/policy"), sum / tokens, 1e-12);
  }
}

// The engine's log-probs, decoded one token and one attempt at a time, are the trainer's of the whole sequence.
TEST(LadderI, DecodedLogProbsAreThoseOfTheTrainersForward) {
  Policy policy;
  Curriculum curriculum(test::additions());
  RolloutOptions rollout = small_rollout();
  rollout.group_size = 1;
  rollout.window = 100;  // past the first chunk of 64
  int64_t compared = 0;
  for (int64_t round = 0; round < 3; ++round) {
    const Problem problem = curriculum.next();
    const Sample sample =
        roll_out(policy.engine, policy.tokenizer, std::span(&problem, 1), rollout, round)[0].samples[0];
    train::TrainSequence sequence{.tokens = sample.tokens, .weights = std::vector<double>(sample.tokens.size(), 0.0)};
    std::vector<float> decoded;
    for (size_t token = 0; token < sample.tokens.size(); ++token)
      if (sample.sampled[token]) {
        sequence.weights[token] = 1;
        decoded.push_back(sample.log_probs[token]);
      }
    const std::vector<double> forward = policy.trainer.log_probs(train::pack(std::span(&sequence, 1), 1 << 20)[0]);
    ASSERT_EQ(forward.size(), decoded.size());
    for (size_t i = 0; i < decoded.size(); ++i) EXPECT_EQ(static_cast<float>(forward[i]), decoded[i]) << i;
    compared += static_cast<int64_t>(decoded.size());
  }
  EXPECT_GT(compared, 64);
}

// On-policy the loss is -mean(A log pi), and every preset has the same gradient as plain REINFORCE.
TEST(LadderE, OnPolicyEveryLossIsReinforce) {
  std::vector<double> norms, losses;
  for (const train::PolicyLoss& loss :
       {train::PolicyLoss::reinforce(), train::PolicyLoss::cispo(), train::PolicyLoss::dapo()}) {
    PolicyOptions options = small_options(0);
    options.minibatches = 1;
    Loop loop(options, loss);
    const BatchReport report = loop.trainer.step();
    ASSERT_TRUE(report.trained);
    norms.push_back(report.updates[0].at("grad/norm"));
    losses.push_back(report.updates[0].at("loss/policy"));
    // The loss from the groups themselves.
    double sum = 0, tokens = 0;
    std::vector<Group> groups;
    for (const Group& group : report.groups)
      if (!group.flat()) groups.push_back(group);
    set_advantages(groups, {});
    for (const Group& group : groups)
      for (const Sample& sample : group.samples)
        for (size_t token = 0; token < sample.tokens.size(); ++token)
          if (sample.sampled[token]) sum -= sample.advantage * sample.log_probs[token], ++tokens;
    EXPECT_NEAR(losses.back(), sum / tokens, 1e-12);
  }
  EXPECT_EQ(norms[0], norms[1]);
  EXPECT_EQ(norms[0], norms[2]);
  EXPECT_EQ(losses[0], losses[1]);
}

TEST(LadderG, EqualRewardsMoveNothing) {
  RolloutOptions rollout = small_rollout();
  rollout.scorer = [](const Problem& problem, const Attempt& attempt) {
    Score score = test::score_by_bytes(problem, attempt);
    score.score = 1;
    return score;
  };
  PolicyOptions options = small_options(0.01);
  options.dynamic_sampling = false;  // else nothing would be left to train on
  Loop loop(options, train::PolicyLoss::cispo(), rollout);
  const std::vector<float> before = loop.policy.weights();
  for (int batch = 0; batch < 3; ++batch) {
    const BatchReport report = loop.trainer.step();
    EXPECT_TRUE(report.trained);
    for (const Metrics& update : report.updates) EXPECT_EQ(update.at("grad/norm"), 0);
  }
  EXPECT_EQ(loop.policy.weights(), before);
}

// Dynamic sampling ends: with rewards that never differ it gives up after max_tries, and says so.
TEST(PolicyTrainer, DynamicSamplingIsBounded) {
  RolloutOptions rollout = small_rollout();
  rollout.scorer = [](const Problem&, const Attempt&) { return Score{.score = 0}; };
  PolicyOptions options = small_options(0.01);
  options.max_tries = 3;
  Loop loop(options, train::PolicyLoss::cispo(), rollout);
  const std::vector<float> before = loop.policy.weights();
  const BatchReport report = loop.trainer.step();
  EXPECT_FALSE(report.trained);
  EXPECT_EQ(report.metrics.at("group/tried"), 12);
  EXPECT_EQ(report.metrics.at("group/zero_var_0"), 12);
  ASSERT_FALSE(report.alarms.empty());
  EXPECT_THAT(report.alarms[0], HasSubstr("only 0 of 12"));
  EXPECT_EQ(loop.policy.weights(), before);
}

// A verifier that fails costs its samples, not the run, and is no zero reward.
TEST(PolicyTrainer, AFailingVerifierLeavesSamplesOut) {
  RolloutOptions rollout = small_rollout();
  std::atomic<int> calls = 0;
  rollout.scorer = [&](const Problem& problem, const Attempt& attempt) {
    if (calls++ % 3 == 0) throw std::runtime_error("out of order");
    return test::score_by_bytes(problem, attempt);
  };
  Loop loop(small_options(0.001), train::PolicyLoss::cispo(), rollout);
  const BatchReport report = loop.trainer.step();
  EXPECT_GT(report.metrics.at("verifier/none_rate"), 0.2);
  EXPECT_THAT(report.alarms, testing::Contains(HasSubstr("verifiers failed")));
  for (const Group& group : report.groups)
    for (const Sample& sample : group.samples)
      EXPECT_EQ(std::isnan(sample.reward), sample.score.why.find("out of order") != std::string::npos);
}

// Several updates on one batch: the first is on-policy, later ones are not, and the router's choices stay those of the
// first where they are replayed.
TEST(PolicyTrainer, LaterUpdatesAreOffPolicy) {
  PolicyOptions options = small_options(0.01);
  options.prompts_per_batch = 8;
  options.minibatches = 4;
  options.gradient_histogram = true;
  Loop loop(options);
  const BatchReport report = loop.trainer.step();
  ASSERT_EQ(report.updates.size(), 4u);
  EXPECT_EQ(report.updates[0].at("kl/k3"), 0);
  EXPECT_GT(report.updates[3].at("kl/k3"), 0);
  EXPECT_GT(report.metrics.at("moe/flip_rate"), 0);
  EXPECT_GT(report.metrics.at("upd/param_rms_ratio"), 0);
  double shares = report.metrics.at("grad/abs_0");
  for (int decade = -20; decade <= 0; ++decade) shares += report.metrics.at(cat("grad/abs_1e", decade));
  EXPECT_NEAR(shares, 1, 1e-9);

  options.router_replay = false;
  Loop live(options);
  const BatchReport other = live.trainer.step();
  EXPECT_EQ(other.updates[0].at("grad/norm"), report.updates[0].at("grad/norm"));
  EXPECT_NE(other.updates[3].at("kl/k3"), report.updates[3].at("kl/k3"));
  EXPECT_GT(other.metrics.at("moe/flip_rate"), 0);  // counted all the same
}

struct Saved {
  std::string state;
  std::vector<Tensor> tensors;
  int64_t steps;
};

Tensor copied(const Tensor& x) {
  const Tensor out = Tensor::empty(x.shape(), x.dtype());
  std::memcpy(out.raw(), x.raw(), static_cast<size_t>(x.bytes()));
  return out;
}

TEST(LadderH, GoesOnFromASavedStateWithTheSameBits) {
  const PolicyOptions options = small_options(0.003);
  Loop straight(options);
  Saved saved;
  for (int batch = 0; batch < 4; ++batch) {
    if (batch == 2) {
      saved.state = io::write_json(straight.trainer.state());
      for (const auto& slot : straight.policy.trainer.optimizer().slots())
        for (const Tensor& tensor : {slot.weight, slot.m, slot.v}) saved.tensors.push_back(copied(tensor));
      saved.steps = straight.policy.trainer.optimizer().steps();
    }
    straight.trainer.step();
  }
  Loop resumed(options);
  size_t at = 0;
  for (const auto& slot : resumed.policy.trainer.optimizer().slots())
    for (const Tensor& tensor : {slot.weight, slot.m, slot.v})
      std::memcpy(tensor.raw(), saved.tensors[at].raw(), static_cast<size_t>(tensor.bytes())), ++at;
  resumed.policy.trainer.optimizer().set_steps(saved.steps);
  const io::json::value state = io::parse_json(saved.state, "state");
  resumed.trainer.restore(io::JsonField(state, "state"));
  for (int batch = 2; batch < 4; ++batch) resumed.trainer.step();
  EXPECT_EQ(resumed.policy.weights(), straight.policy.weights());
  EXPECT_EQ(io::write_json(resumed.trainer.state()), io::write_json(straight.trainer.state()));
}

TEST(PolicyTrainer, RollsBackWhenTheRewardIsLost) {
  RolloutOptions rollout = small_rollout();
  bool broken = false;
  int64_t attempts = 0;
  rollout.scoring_threads = 1;
  rollout.scorer = [&](const Problem&, const Attempt&) {
    return Score{.score = !broken && attempts++ % 4 != 0};  // 3 of 4
  };
  PolicyOptions options = small_options(0.003);
  options.dynamic_sampling = false;
  options.rollback_after = 2;
  Loop loop(options, train::PolicyLoss::cispo(), rollout);
  std::vector<float> good;
  for (int batch = 0; batch < 3; ++batch) loop.trainer.step();
  broken = true;
  EXPECT_FALSE(loop.trainer.step().rolled_back);
  const BatchReport report = loop.trainer.step();
  EXPECT_TRUE(report.rolled_back);
  EXPECT_THAT(report.alarms, testing::Contains(HasSubstr("back to the last good weights")));
}

// Harder problems earn less, and nothing is lost by that: no rollback, and the rate stays.
TEST(PolicyTrainer, DoesNotRollBackWhenTheLevelRises) {
  RolloutOptions rollout = small_rollout();
  int64_t attempts = 0;
  rollout.scoring_threads = 1;
  rollout.scorer = [&](const Problem& problem, const Attempt&) {
    ++attempts;
    return Score{.score = problem.level == 1 ? attempts % 8 != 0 : attempts % 8 == 0};
  };
  PolicyOptions options = small_options(0.001);
  options.dynamic_sampling = false;
  options.rollback_after = 2;
  CurriculumOptions harder = test::additions();
  harder.judge_after = 40;
  harder.easier = 0;
  Policy policy(loss_options(train::PolicyLoss::cispo()));
  Curriculum curriculum(harder);
  PolicyTrainer trainer(policy.engine, policy.trainer, policy.tokenizer, curriculum, rollout, options);
  double least = 1;
  for (int batch = 0; batch < 9; ++batch) {
    const BatchReport report = trainer.step();
    EXPECT_FALSE(report.rolled_back) << batch;
    least = std::min(least, report.metrics.at("reward/mean"));
  }
  EXPECT_EQ(curriculum.level("addition"), 2);
  EXPECT_LT(least, 0.3);
}

// A run that goes on while rewards are bad goes back to the same weights as one that never stopped.
TEST(PolicyTrainer, KeepsTheLastGoodWeightsWithACheckpoint) {
  const minimax::test::Folder folder;
  RolloutOptions rollout = small_rollout();
  bool broken = false;
  int64_t attempts = 0;
  rollout.scoring_threads = 1;
  rollout.scorer = [&](const Problem&, const Attempt&) { return Score{.score = attempts++ % 4 < (broken ? 1 : 3)}; };
  PolicyOptions options = small_options(0.003);
  options.dynamic_sampling = false;
  options.rollback_after = 3;
  Loop loop(options, train::PolicyLoss::cispo(), rollout);
  for (int batch = 0; batch < 2; ++batch) loop.trainer.step();
  const std::vector<float> good = loop.policy.weights();
  broken = true;
  for (int batch = 0; batch < 2; ++batch) EXPECT_FALSE(loop.trainer.step().rolled_back);
  EXPECT_NE(loop.policy.weights(), good);
  loop.trainer.save_good_weights(folder.path());
  const io::json::value state = io::parse_json(io::write_json(loop.trainer.state()), "state");

  Loop resumed(options, train::PolicyLoss::cispo(), rollout);
  resumed.trainer.restore(io::JsonField(state, "state"));
  resumed.trainer.load_good_weights(folder.path());
  EXPECT_TRUE(resumed.trainer.step().rolled_back);
  EXPECT_EQ(resumed.policy.weights(), good);
}

TEST(PolicyTrainer, WindowsWidenWhenAnswersFillThem) {
  PolicyOptions options = small_options(0);
  options.windows = {6, 12};
  options.settle_over = 3;
  options.settle_within = 0.5;
  Loop loop(options);
  EXPECT_EQ(loop.trainer.window(), 6);
  for (int batch = 0; batch < 3; ++batch) loop.trainer.step();
  EXPECT_EQ(loop.trainer.window(), 12);  // an untrained model fills any window
  EXPECT_EQ(loop.trainer.step().metrics.at("len/window"), 12);
}

TEST(PolicyTrainer, RefusesWhatCannotWork) {
  RolloutOptions cold = small_rollout();
  cold.sampling.temperature = 0.5;
  EXPECT_THAT(minimax::test::error_of([&] { Loop(small_options(0), {}, cold); }), HasSubstr("temperature 1"));
  RolloutOptions alone = small_rollout();
  alone.group_size = 1;
  EXPECT_THAT(minimax::test::error_of([&] { Loop(small_options(0), {}, alone); }), HasSubstr("group_size 1"));
  PolicyOptions options = small_options(0);
  options.windows = {20, 10};
  EXPECT_THAT(minimax::test::error_of([&] { Loop loop(options); }), HasSubstr("ascending"));
}

// The gradient of a policy step does not depend on the order of its samples nor on how they are packed.
TEST(LadderF, GradientsDoNotDependOnOrderAndPacking) {
  Policy policy(loss_options(train::PolicyLoss::cispo()));
  std::vector<Problem> problems;
  Curriculum curriculum(test::additions());
  for (int i = 0; i < 4; ++i) problems.push_back(curriculum.next());
  RolloutOptions rollout = small_rollout();
  rollout.window = 12;
  std::vector<Group> groups = roll_out(policy.engine, policy.tokenizer, problems, rollout, 0);
  set_rewards(groups, {}, 12);
  set_advantages(groups, {});
  std::vector<train::TrainSequence> sequences;
  for (const Group& group : groups)
    for (const Sample& sample : group.samples) {
      train::TrainSequence& sequence = sequences.emplace_back();
      sequence.tokens = sample.tokens;
      for (size_t token = 0; token < sample.tokens.size(); ++token) {
        sequence.weights.push_back(sample.sampled[token] / 192.0);
        sequence.advantages.push_back(sample.advantage);
        // As if sampled by other weights, so that ratios are not 1.
        sequence.old_log_probs.push_back(sample.log_probs[token] + 0.3 * std::sin(static_cast<double>(token)));
      }
    }
  const auto gradients = [&](std::vector<train::TrainSequence> order, int64_t pass_tokens) {
    Gradients out;
    double loss = 0;
    for (const train::TrainBatch& batch : train::pack(order, pass_tokens))
      loss += train::run_pass(policy.ctx, policy.trainable.model, batch, policy.trainer.options().pass, 1, out).loss;
    std::vector<float> all;
    for (const train::TrainedParameter& parameter : policy.trainable.parameters)
      if (const Tensor* d = out.find(parameter.value))
        all.insert(all.end(), d->span<float>().begin(), d->span<float>().end());
    return std::pair(all, loss);
  };
  const auto [want, loss] = gradients(sequences, 1 << 20);
  double norm = 0;
  for (const float x : want) norm += static_cast<double>(x) * x;
  for (const int64_t pass_tokens : {1 << 20, 200, 1}) {
    std::reverse(sequences.begin(), sequences.end());
    const auto [got, got_loss] = gradients(sequences, pass_tokens);
    EXPECT_NEAR(got_loss, loss, 1e-12);
    ASSERT_EQ(got.size(), want.size());
    double difference = 0;
    for (size_t i = 0; i < got.size(); ++i) difference += std::pow(static_cast<double>(got[i]) - want[i], 2);
    EXPECT_LT(std::sqrt(difference / norm), 1e-6) << pass_tokens;
  }
}

}  // namespace
}  // namespace minimax::rl
