#include "train/policy_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>

#include "core/error.h"

namespace minimax::train {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

/// Eight samples in two groups of four, up to six tokens each. The expected figures come from running the loss
/// functions of TRL and verl in float64 on these numbers.
class Fixture : public testing::Test {
 protected:
  static constexpr double kRewards[8] = {1, 0, 0, 1, 0, 0, 1, 0};
  static constexpr int64_t kLengths[8] = {6, 4, 5, 6, 3, 6, 2, 6};

  Fixture() {
    for (int64_t i = 0; i < 8; ++i) {
      for (int64_t t = 0; t < kLengths[i]; ++t) {
        const double log_prob = -(1.0 + static_cast<double>((7 * i + 3 * t) % 11)) / 10;
        log_probs.push_back(log_prob);
        old_log_probs.push_back(log_prob - 0.45 * static_cast<double>((5 * i + 2 * t) % 9 - 4));
      }
      starts.push_back(static_cast<int64_t>(log_probs.size()));
    }
    mask.assign(log_probs.size(), 1.0);
  }

  PolicyGradient run(const PolicyLoss& loss, const AdvantageOptions& options = {}) {
    const std::vector<double> by_sample = group_advantages(kRewards, 4, options);
    advantages.clear();
    for (size_t i = 0; i < 8; ++i) advantages.insert(advantages.end(), kLengths[i], by_sample[i]);
    return policy_gradient(loss, {.log_probs = log_probs,
                                  .old_log_probs = old_log_probs,
                                  .advantages = advantages,
                                  .loss_mask = mask,
                                  .starts = starts,
                                  .group_size = 4});
  }

  static double sum_of_sizes(const PolicyGradient& gradient) {
    double sum = 0;
    for (const double d : gradient.dlog_probs) sum += std::abs(d);
    return sum;
  }
  static int64_t nonzero(const PolicyGradient& gradient) {
    return std::count_if(gradient.dlog_probs.begin(), gradient.dlog_probs.end(), [](double d) { return d != 0; });
  }

  std::vector<double> log_probs, old_log_probs, advantages, mask;
  std::vector<int64_t> starts = {0};
};

// Suites whose names begin with Ladder are the steps of the exactness ladder, docs/rl.md.
using LadderA = Fixture;
using LadderC = Fixture;
using LadderF = Fixture;

constexpr AdvantageOptions kVerl{.eps = 1e-6};
constexpr AdvantageOptions kPopulation{.ddof = 0, .eps = 0};

TEST_F(LadderA, Advantages) {
  EXPECT_THAT(group_advantages(kRewards, 4),
              ElementsAre(DoubleNear(0.8658754297607016, 1e-15), DoubleNear(-0.8658754297607016, 1e-15),
                          DoubleNear(-0.8658754297607016, 1e-15), DoubleNear(0.8658754297607016, 1e-15),
                          DoubleNear(-0.4999000199960008, 1e-15), DoubleNear(-0.4999000199960008, 1e-15),
                          DoubleNear(1.4997000599880024, 1e-15), DoubleNear(-0.4999000199960008, 1e-15)));
  EXPECT_NEAR(group_advantages(kRewards, 4, kVerl)[6], 1.499997000006, 1e-12);
  EXPECT_NEAR(group_advantages(kRewards, 4, kPopulation)[6], 1.7320508075688772, 1e-15);
}

TEST_F(LadderA, CispoAtEveryCap) {
  struct Case {
    double cap, loss, size, clipped;
  };
  for (const Case& c : {Case{5.0, -0.103489480075, 1.268844357437, .052632},
                        {2.0, -0.042201780451, 0.844317160094, .131579},
                        {0.2, -0.008681298248, 0.147669005153, .342105}}) {
    SCOPED_TRACE(c.cap);
    const PolicyGradient got = run({.ratio_max = c.cap});
    EXPECT_NEAR(got.loss, c.loss, 1e-12);
    EXPECT_NEAR(sum_of_sizes(got), c.size, 1e-12);
    EXPECT_EQ(nonzero(got), 38);
    EXPECT_NEAR(got.capped_positive, c.clipped, 1e-6);
  }
  double sum = 0;
  for (const double d : run(PolicyLoss::cispo()).dlog_probs) sum += d;
  EXPECT_NEAR(std::abs(sum), 0.043237811090, 1e-12);
}

TEST_F(LadderA, CispoAsVerlHasIt) {
  const PolicyGradient wide = run({.ratio_max = 5}, kVerl);
  EXPECT_NEAR(wide.loss, -0.103511384947, 1e-12);
  EXPECT_NEAR(sum_of_sizes(wide), 1.269074094949, 1e-12);
  EXPECT_NEAR(wide.capped, .105263, 1e-6);
  const PolicyGradient narrow = run({.ratio_max = 1.2}, kVerl);
  EXPECT_NEAR(narrow.loss, -0.029379013071, 1e-12);
  EXPECT_NEAR(sum_of_sizes(narrow), 0.609121617373, 1e-12);
  EXPECT_NEAR(narrow.capped, .473684, 1e-6);
}

TEST_F(LadderA, CispoWithEveryNormalizer) {
  EXPECT_NEAR(run(PolicyLoss::cispo(), kPopulation).loss, -0.119524907471, 1e-12);
  const PolicyGradient group = run({.normalizer = Normalizer::kGroup});
  EXPECT_NEAR(group.loss, -0.127012403448, 1e-12);
  EXPECT_NEAR(sum_of_sizes(group), 1.245631800213, 1e-12);
  const PolicyGradient sample = run({.normalizer = Normalizer::kSample});
  EXPECT_NEAR(sample.loss, -0.103946555470, 1e-12);
  EXPECT_NEAR(sum_of_sizes(sample), 1.260112845824, 1e-12);
}

// The gradients of the PPO-style losses, by the mask with an unbounded ratio. Their loss values are of another form.
TEST_F(LadderA, DapoAndGrpoGradients) {
  const PolicyGradient dapo = run(PolicyLoss::dapo());
  EXPECT_NEAR(sum_of_sizes(dapo), 0.706904420468, 1e-12);
  EXPECT_EQ(nonzero(dapo), 20);
  EXPECT_NEAR(dapo.masked_low, .289474, 1e-6);
  EXPECT_NEAR(dapo.masked_high, .184211, 1e-6);
  EXPECT_NEAR(dapo.loss, -0.310161274368, 1e-12);
  EXPECT_NEAR(sum_of_sizes(run(PolicyLoss::grpo())), 0.704019472509, 1e-12);
  PolicyLoss dr = PolicyLoss::grpo();
  dr.normalizer = Normalizer::kLength;
  dr.max_tokens = 6;
  EXPECT_NEAR(sum_of_sizes(run(dr)), 0.559632666204, 1e-12);
}

// Token by token: the unified form with the mask has the gradient of -min(r A, clip(r) A), which is -r A where the
// minimum is the unclipped term and 0 elsewhere.
TEST_F(LadderC, TheMaskIsPposClipping) {
  for (const auto& [low, high] : {std::pair{0.2, 0.28}, {0.2, 0.2}, {0.5, 3.0}}) {
    PolicyLoss loss = PolicyLoss::dapo();
    loss.mask_low = low;
    loss.mask_high = high;
    const PolicyGradient got = run(loss);
    int64_t dropped = 0;
    for (size_t i = 0; i < log_probs.size(); ++i) {
      const double r = std::exp(log_probs[i] - old_log_probs[i]), a = advantages[i];
      const bool unclipped = r * a <= std::clamp(r, 1 - low, 1 + high) * a;
      EXPECT_NEAR(got.dlog_probs[i], unclipped ? -r * a / 38 : 0, 1e-16) << i;
      dropped += !unclipped;
    }
    EXPECT_GT(dropped, 0);
    EXPECT_LT(dropped, 38);
  }
}

// In float64: the order of the groups and of the samples in them, and how a step is cut into passes, change nothing.
TEST_F(LadderF, OrderAndPassesDoNotMatter) {
  for (const Normalizer normalizer :
       {Normalizer::kToken, Normalizer::kGroup, Normalizer::kSample, Normalizer::kMixed}) {
    const PolicyLoss loss{.normalizer = normalizer};
    const PolicyGradient want = run(loss);
    // The second group first, each from its last sample to its first.
    const size_t order[] = {7, 6, 5, 4, 3, 2, 1, 0};
    const std::vector<double> by_sample = group_advantages(kRewards, 4);
    std::vector<double> lp, old, adv;
    std::vector<int64_t> places, ends = {0};
    for (const size_t sample : order) {
      for (int64_t token = starts[sample]; token < starts[sample + 1]; ++token) {
        lp.push_back(log_probs[static_cast<size_t>(token)]);
        old.push_back(old_log_probs[static_cast<size_t>(token)]);
        adv.push_back(by_sample[sample]);
        places.push_back(token);
      }
      ends.push_back(static_cast<int64_t>(lp.size()));
    }
    const std::vector<double> weights = token_weights(loss, mask, ends, 4);
    double sum = 0;
    size_t compared = 0;
    for (const size_t pass : {size_t{5}, size_t{20}, lp.size()}) {  // passes end after so many tokens
      const size_t count = pass - compared;
      const auto part = [&](const std::vector<double>& all) { return std::span(all).subspan(compared, count); };
      const PolicyTerms terms = policy_terms(loss, part(lp), part(old), part(adv), part(weights));
      for (size_t i = 0; i < count; ++i)
        EXPECT_NEAR(terms.dlog_probs[i], want.dlog_probs[static_cast<size_t>(places[compared + i])], 1e-15);
      sum += terms.loss;
      compared = pass;
    }
    EXPECT_NEAR(sum, want.loss, 1e-12);
  }
}

TEST_F(LadderA, DualClipAsVerlHasIt) {
  PolicyLoss loss = PolicyLoss::dapo();
  loss.dual_clip = 3;
  EXPECT_NEAR(sum_of_sizes(run(loss, kVerl)), 0.270502005150, 1e-12);
  EXPECT_EQ(nonzero(run(loss, kVerl)), 14);
  loss.mask_high = 0.2;
  loss.normalizer = Normalizer::kSample;
  // verl adds 1e-8 to each sample's number of tokens before dividing.
  EXPECT_NEAR(sum_of_sizes(run(loss, kVerl)), 0.309843582652, 1e-9);
}

// What the loss says its gradient is: the clipped ratio held constant, by central differences of the rest.
TEST_F(Fixture, GradientIsTheDerivativeWithTheRatioHeld) {
  const PolicyGradient at = run(PolicyLoss::cispo());
  double loss = 0;
  for (size_t i = 0; i < log_probs.size(); ++i) loss += at.dlog_probs[i] * log_probs[i];
  EXPECT_NEAR(loss, at.loss, 1e-14);
}

TEST_F(Fixture, MaskedTokensAndUnscoredSamplesDoNotCount) {
  const PolicyGradient all = run(PolicyLoss::cispo());
  const double nan = std::nan("");
  EXPECT_THAT(group_advantages(std::vector<double>{1, nan, 0, nan}, 4, {.ddof = 0, .eps = 0}),
              ElementsAre(1, 0, -1, 0));
  EXPECT_THAT(group_advantages(std::vector<double>{1, 1, nan, nan}, 2, {}), ElementsAre(0, 0, 0, 0));
  mask[3] = 0;
  const PolicyGradient without = run(PolicyLoss::cispo());
  EXPECT_EQ(without.dlog_probs[3], 0);
  EXPECT_NEAR(without.dlog_probs[4], all.dlog_probs[4] * 38 / 37, 1e-15);
  mask.assign(mask.size(), 0);
  EXPECT_EQ(run(PolicyLoss::cispo()).loss, 0);
}

TEST_F(Fixture, HugeRatiosStayFinite) {
  old_log_probs[0] = -1e6;
  old_log_probs[1] = 1e6;
  for (const double d : run(PolicyLoss::reinforce()).dlog_probs) EXPECT_TRUE(std::isfinite(d));
}

TEST_F(Fixture, ErrorsNameFoundAndExpected) {
  const auto message = [](auto action) -> std::string {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message([] { group_advantages(kRewards, 3); }), HasSubstr("8 rewards in groups of 3"));
  mask.pop_back();
  EXPECT_THAT(message([&] { run(PolicyLoss::cispo()); }), HasSubstr("37 loss_mask"));
  mask.push_back(1);
  EXPECT_THAT(message([&] { run({.normalizer = Normalizer::kLength}); }), HasSubstr("max_tokens is 0"));
  starts[1] = 60;
  EXPECT_THAT(message([&] { run(PolicyLoss::cispo()); }), HasSubstr("do not rise from 0 to 38"));
}

}  // namespace
}  // namespace minimax::train
