// A bandit with a rare token at forks: what CISPO is for, in a second of learning.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>

#include "core/rng.h"
#include "rl/tasks/draw.h"
#include "train/policy_loss.h"

namespace minimax::rl {
namespace {

constexpr size_t kPositions = 4, kTokens = 8;
constexpr int64_t kGroup = 16, kPrompts = 64, kMinibatches = 16;

using Table = std::array<std::array<double, kTokens>, kPositions>;  // logits

struct Sample {
  std::array<size_t, kPositions> tokens;
  std::array<double, kPositions> old_log_probs;
  double advantage;
};

std::array<double, kTokens> probabilities(const std::array<double, kTokens>& logits) {
  std::array<double, kTokens> p{};
  const double max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (size_t token = 0; token < kTokens; ++token) sum += p[token] = std::exp(logits[token] - max);
  for (double& x : p) x /= sum;
  return p;
}

/// Batches until the rare token is found more often than not: P(any position has token 7) > 0.9. One table for all
/// prompts; token 7 starts at `rare`, and an answer that has it succeeds with 0.95, else with 0.05.
class Bandit {
 public:
  Bandit(const train::PolicyLoss& loss, double rate, double rare, uint64_t seed)
      : loss_(loss), rate_(rate), rng_(seed) {
    for (auto& position : logits_) {
      position.fill(std::log((1 - rare) / (kTokens - 1)));
      position[7] = std::log(rare);
    }
  }

  int64_t batches_to_learn() {
    for (int64_t batch = 1; batch <= 200; ++batch) {
      train_batch();
      double none = 1;
      for (const auto& position : logits_) none *= 1 - probabilities(position)[7];
      if (1 - none > 0.9) return batch;
    }
    return 200;
  }
  double largest_deviation() const { return largest_deviation_; }  ///< of a ratio from 1

 private:
  void train_batch() {
    std::vector<Sample> samples;
    for (int64_t prompt = 0; prompt < kPrompts; ++prompt) {
      std::vector<double> rewards;
      std::vector<Sample> group;
      for (int64_t answer = 0; answer < kGroup; ++answer) {
        Sample sample{};
        bool found = false;
        for (size_t position = 0; position < kPositions; ++position) {
          const auto p = probabilities(logits_[position]);
          double left = rng_.uniform();
          size_t token = 0;
          while (token + 1 < kTokens && left >= p[token]) left -= p[token++];
          sample.tokens[position] = token;
          sample.old_log_probs[position] = std::log(p[token]);
          found |= token == 7;
        }
        rewards.push_back(rng_.uniform() < (found ? 0.95 : 0.05) ? 1 : 0);
        group.push_back(sample);
      }
      const std::vector<double> advantages = train::group_advantages(rewards, kGroup);
      for (size_t answer = 0; answer < group.size(); ++answer) group[answer].advantage = advantages[answer];
      // A group of equal rewards teaches nothing and is dropped before the batch is cut.
      if (std::any_of(advantages.begin(), advantages.end(), [](double a) { return a != 0; }))
        samples.insert(samples.end(), group.begin(), group.end());
    }
    shuffle(rng_, samples);
    for (int64_t cut = 0; cut < kMinibatches; ++cut) {
      const auto count = static_cast<int64_t>(samples.size());
      const auto begin = samples.begin() + count * cut / kMinibatches;
      const auto end = samples.begin() + count * (cut + 1) / kMinibatches;
      if (begin != end) update(std::vector<Sample>(begin, end));
    }
  }

  void update(const std::vector<Sample>& samples) {
    std::array<std::array<double, kTokens>, kPositions> p;
    for (size_t position = 0; position < kPositions; ++position) p[position] = probabilities(logits_[position]);
    std::vector<double> log_probs, old_log_probs, advantages;
    std::vector<int64_t> starts = {0};
    for (const Sample& sample : samples) {
      for (size_t position = 0; position < kPositions; ++position) {
        log_probs.push_back(std::log(p[position][sample.tokens[position]]));
        old_log_probs.push_back(sample.old_log_probs[position]);
        advantages.push_back(sample.advantage);
        largest_deviation_ =
            std::max(largest_deviation_, std::abs(std::exp(log_probs.back() - old_log_probs.back()) - 1));
      }
      starts.push_back(static_cast<int64_t>(log_probs.size()));
    }
    const std::vector<double> mask(log_probs.size(), 1.0);
    const train::PolicyGradient gradient = train::policy_gradient(loss_, {.log_probs = log_probs,
                                                                          .old_log_probs = old_log_probs,
                                                                          .advantages = advantages,
                                                                          .loss_mask = mask,
                                                                          .starts = starts});
    Table d{};
    for (size_t sample = 0, token = 0; sample < samples.size(); ++sample)
      for (size_t position = 0; position < kPositions; ++position, ++token)
        for (size_t v = 0; v < kTokens; ++v)
          d[position][v] += gradient.dlog_probs[token] * ((v == samples[sample].tokens[position]) - p[position][v]);
    adam(d);
  }

  void adam(const Table& d) {
    ++steps_;
    const double first = 1 - std::pow(0.9, steps_), second = 1 - std::pow(0.95, steps_);
    for (size_t position = 0; position < kPositions; ++position)
      for (size_t v = 0; v < kTokens; ++v) {
        double &m = m_[position][v], &s = v_[position][v];
        m = 0.9 * m + 0.1 * d[position][v];
        s = 0.95 * s + 0.05 * d[position][v] * d[position][v];
        logits_[position][v] -= rate_ * (m / first) / (std::sqrt(s / second) + 1e-15);
      }
  }

  train::PolicyLoss loss_;
  double rate_;
  Rng rng_;
  Table logits_{}, m_{}, v_{};
  double steps_ = 0, largest_deviation_ = 0;
};

struct Learned {
  int64_t median;
  double largest_deviation;
};

Learned learn(const train::PolicyLoss& loss, double rate, double rare) {
  std::vector<int64_t> batches;
  double largest = 0;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    Bandit bandit(loss, rate, rare, seed);
    batches.push_back(bandit.batches_to_learn());
    largest = std::max(largest, bandit.largest_deviation());
  }
  std::sort(batches.begin(), batches.end());
  return {batches[2], largest};
}

TEST(ForkTokens, CispoLearnsThemNoSlowerThanDapoAndDapoThanGrpo) {
  for (const auto& [rate, rare] : {std::pair{0.02, 0.01}, {0.05, 0.01}, {0.1, 0.01}, {0.05, 0.001}, {0.1, 0.001}}) {
    const int64_t grpo = learn(train::PolicyLoss::grpo(), rate, rare).median;
    const int64_t dapo = learn(train::PolicyLoss::dapo(), rate, rare).median;
    const int64_t cispo = learn(train::PolicyLoss::cispo(), rate, rare).median;
    SCOPED_TRACE(testing::Message() << "rate " << rate << " rare " << rare << ": grpo " << grpo << " dapo " << dapo
                                    << " cispo " << cispo);
    EXPECT_LE(cispo, dapo);
    EXPECT_LE(dapo, grpo);
    EXPECT_LT(cispo, grpo);  // ratios leave the band in each of these
    EXPECT_LT(grpo, 200);
  }
}

TEST(ForkTokens, AllAreTheSameWhileRatiosStayInTheBand) {
  train::PolicyLoss grpo = train::PolicyLoss::grpo();
  grpo.normalizer = train::Normalizer::kToken;  // answers have one length: the same weights, in another order of sums
  const double rate = 0.008, rare = 0.01;
  const Learned cispo = learn(train::PolicyLoss::cispo(), rate, rare);
  const Learned dapo = learn(train::PolicyLoss::dapo(), rate, rare);
  EXPECT_LT(cispo.largest_deviation, 0.2);
  EXPECT_EQ(cispo.median, dapo.median);
  EXPECT_EQ(cispo.median, learn(grpo, rate, rare).median);
  EXPECT_EQ(cispo.largest_deviation, dapo.largest_deviation);  // token for token the same run
}

}  // namespace
}  // namespace minimax::rl
