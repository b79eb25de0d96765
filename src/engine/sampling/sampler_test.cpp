#include "engine/sampling/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"

namespace minimax::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> normal_logits(int64_t size, double deviation, uint64_t seed = 1) {
  Rng rng(seed);
  std::vector<float> logits(size);
  for (float& logit : logits) logit = static_cast<float>(deviation * rng.normal());
  return logits;
}

// What the header promises, in float64 and by sorting. The boundary of top_p must not be closer than rounding.
std::vector<double> exact_probabilities(const std::vector<float>& logits, const SamplingParams& params,
                                        const std::vector<int32_t>& prompt = {},
                                        const std::vector<int32_t>& answer = {},
                                        const std::vector<int32_t>& banned = {}) {
  const int64_t vocab = static_cast<int64_t>(logits.size());
  std::vector<double> x(logits.begin(), logits.end());
  for (int32_t id = 0; id < vocab; ++id) {
    const auto in_answer = std::count(answer.begin(), answer.end(), id);
    if (in_answer + std::count(prompt.begin(), prompt.end(), id) > 0)
      x[id] = x[id] > 0 ? x[id] / params.repetition_penalty : x[id] * params.repetition_penalty;
    x[id] -= params.frequency_penalty * static_cast<double>(in_answer);
    if (in_answer > 0) x[id] -= params.presence_penalty;
  }
  for (const auto& [id, bias] : params.logit_bias) x[id] += bias;
  for (int32_t id : banned) x[id] = -kInfinity;
  const double max = *std::max_element(x.begin(), x.end());
  for (double& value : x) value = std::exp((value - max) / params.temperature);

  std::vector<int32_t> ids(vocab);
  std::iota(ids.begin(), ids.end(), 0);
  std::sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return x[a] > x[b] || (x[a] == x[b] && a < b); });
  if (params.top_k > 0 && params.top_k < vocab) ids.resize(params.top_k);
  double mass = 0, sum = 0, kept_mass = 0;
  for (int32_t id : ids) mass += x[id];
  std::vector<double> probabilities(vocab, 0.0);
  for (int32_t id : ids) {
    if (kept_mass > 0 && ((params.top_p < 1 && sum >= params.top_p * mass) || x[id] < params.min_p)) break;
    sum += x[id];
    kept_mass += x[id];
    probabilities[id] = x[id];
  }
  for (double& value : probabilities) value /= kept_mass;
  return probabilities;
}

// Draws 100,000 first tokens (streams 0, 1, ...) and compares the counts with `expected`. Fixed seeds: the outcome
// never changes; a right sampler fails about once in a million choices of seeds (chi-square beyond its mean by 5
// deviations).
void expect_distribution(const std::vector<float>& logits, SamplingParams params, const std::vector<double>& expected,
                         const std::vector<int32_t>& prompt = {}, const std::vector<int32_t>& answer = {},
                         const std::vector<int32_t>& banned = {}) {
  constexpr int64_t kDraws = 100000;
  std::vector<int64_t> counts(logits.size(), 0);
  SamplerScratch scratch;
  for (int64_t draw = 0; draw < kDraws; ++draw) {
    params.stream = static_cast<uint64_t>(draw);
    Sampler sampler(params, static_cast<int64_t>(logits.size()), prompt, banned);
    for (int32_t id : answer) sampler.accept(id);
    ++counts[sampler.sample(logits, scratch).id];
  }
  double chi_square = 0, rest_expected = 0;
  int64_t rest = 0, cells = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (expected[id] == 0) {
      ASSERT_EQ(counts[id], 0) << "id " << id << " should have been cut";
      continue;
    }
    const double mean = expected[id] * kDraws;
    if (mean < 10) {  // too rare for the approximation: one cell for all of these
      rest_expected += mean;
      rest += counts[id];
      continue;
    }
    chi_square += (counts[id] - mean) * (counts[id] - mean) / mean;
    ++cells;
  }
  if (rest_expected > 1) {
    chi_square += (rest - rest_expected) * (rest - rest_expected) / rest_expected;
    ++cells;
  }
  const double freedom = static_cast<double>(std::max<int64_t>(cells - 1, 1));
  EXPECT_LT(chi_square, freedom + 5 * std::sqrt(2 * freedom)) << cells << " cells";
}

SamplingParams plain() {
  SamplingParams params;
  params.top_p = 1;
  params.seed = 7;
  return params;
}

TEST(Sampler, DrawsFromTheSoftmax) {
  const std::vector<float> logits = normal_logits(60, 1.5);
  expect_distribution(logits, plain(), exact_probabilities(logits, plain()));
}

TEST(Sampler, DrawsFromTheCutAndTemperedDistribution) {
  const std::vector<float> logits = normal_logits(60, 1.5, 2);
  for (auto [temperature, top_p, top_k, min_p] : {std::tuple{0.7f, 1.0f, 0, 0.0f},
                                                  {1.0f, 0.95f, 0, 0.0f},
                                                  {1.0f, 1.0f, 5, 0.0f},
                                                  {1.0f, 1.0f, 0, 0.1f},
                                                  {1.3f, 0.8f, 20, 0.05f},
                                                  {2.0f, 0.5f, -1, 0.0f}}) {
    SamplingParams params = plain();
    params.temperature = temperature;
    params.top_p = top_p;
    params.top_k = top_k;
    params.min_p = min_p;
    expect_distribution(logits, params, exact_probabilities(logits, params));
  }
}

TEST(Sampler, DrawsFromThePenalizedDistribution) {
  const std::vector<float> logits = normal_logits(30, 2, 3);
  SamplingParams params = plain();
  params.repetition_penalty = 1.4f;
  params.presence_penalty = 0.5f;
  params.frequency_penalty = -0.25f;
  params.logit_bias = {{3, 2.5f}, {4, -100.0f}, {5, 1.0f}};
  const std::vector<int32_t> prompt = {1, 2, 2, 3, 20}, answer = {2, 6, 6, 7, 6}, banned = {5, 29};
  expect_distribution(logits, params, exact_probabilities(logits, params, prompt, answer, banned), prompt, answer,
                      banned);
}

TEST(Sampler, TemperatureZeroTakesTheFirstOfTheMostProbable) {
  SamplerScratch scratch;
  SamplingParams params;
  params.temperature = 0;
  Sampler sampler(params, 5, {});
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, -2, 3, 0}, scratch).id, 1);
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, -2, 3.0000002f, 0}, scratch).id, 3);
}

TEST(Sampler, NarrowestCutsTakeTheMostProbable) {
  SamplerScratch scratch;
  const std::vector<float> logits = normal_logits(500, 1, 4);
  const auto best = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  for (auto narrow : std::initializer_list<std::function<void(SamplingParams&)>>{
           [](SamplingParams& params) { params.top_k = 1; }, [](SamplingParams& params) { params.top_p = 0; },
           [](SamplingParams& params) { params.min_p = 1; },
           [](SamplingParams& params) { params.temperature = 1e-30f; },
           [](SamplingParams& params) { params.temperature = std::numeric_limits<float>::denorm_min(); }})
    for (uint64_t seed = 0; seed < 100; ++seed) {
      SamplingParams params = plain();
      params.seed = seed;
      params.temperature = 100;
      narrow(params);
      EXPECT_EQ(Sampler(params, 500, {}).sample(logits, scratch).id, best);
    }
}

TEST(Sampler, OneFiniteLogitIsTheOnlyChoice) {
  SamplerScratch scratch;
  for (float top_p : {0.0f, 0.95f, 1.0f}) {
    std::vector<float> logits(1000, -kInfinity);
    logits[777] = -1e30f;
    SamplingParams params;
    params.top_p = top_p;
    params.top_logprobs = 2;
    const Sampled sampled = Sampler(params, 1000, {}).sample(logits, scratch);
    EXPECT_EQ(sampled.id, 777);
    EXPECT_EQ(sampled.log_prob, 0.0f);
    EXPECT_EQ(sampled.top[0].id, 777);
    EXPECT_EQ(sampled.top[1].id, 0);
    EXPECT_EQ(sampled.top[1].log_prob, -kInfinity);
  }
}

TEST(Sampler, HugeLogitsAreFine) {
  SamplerScratch scratch;
  std::vector<float> logits = {3e38f, -3e38f, 3.2e38f, 0};
  const Sampled sampled = Sampler(SamplingParams{}, 4, {}).sample(logits, scratch);
  EXPECT_EQ(sampled.id, 2);
  EXPECT_EQ(sampled.log_prob, 0.0f);
  SamplingParams params;
  params.repetition_penalty = 0.01f;  // would make +inf
  EXPECT_EQ(Sampler(params, 4, std::vector<int32_t>{0}).sample(logits, scratch).id, 0);
}

TEST(Sampler, LogProbIsTheModelsOwn) {
  SamplerScratch scratch;
  const std::vector<float> logits = normal_logits(1000, 2, 5);
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit));
  SamplingParams params;
  params.temperature = 0.5f;
  params.top_k = 10;
  params.repetition_penalty = 2;
  params.logit_bias = {{17, 50.0f}};
  params.top_logprobs = 5;
  const Sampled sampled = Sampler(params, 1000, std::vector<int32_t>{1, 2, 3}).sample(logits, scratch);
  EXPECT_EQ(sampled.id, 17);
  EXPECT_NEAR(sampled.log_prob, logits[17] - std::log(sum), 2e-6);

  std::vector<int32_t> ids(1000);
  std::iota(ids.begin(), ids.end(), 0);
  std::sort(ids.begin(), ids.end(),
            [&](int32_t a, int32_t b) { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); });
  ASSERT_EQ(sampled.top.size(), 5u);
  for (size_t rank = 0; rank < 5; ++rank) {
    EXPECT_EQ(sampled.top[rank].id, ids[rank]);
    EXPECT_NEAR(sampled.top[rank].log_prob, logits[ids[rank]] - std::log(sum), 2e-6);
  }
}

TEST(Sampler, TopLogProbsOfEqualsAreTheLowerIds) {
  SamplerScratch scratch;
  std::vector<float> logits(200, 0.25f);
  logits[150] = 1;
  for (int64_t count : {0, 1, 2, 3, 40, 200}) {
    SamplingParams params;
    params.top_logprobs = count;
    const Sampled sampled = Sampler(params, 200, {}).sample(logits, scratch);
    ASSERT_EQ(static_cast<int64_t>(sampled.top.size()), count);
    for (int64_t rank = 0; rank < count; ++rank)
      EXPECT_EQ(sampled.top[rank].id, rank == 0 ? 150 : rank <= 150 ? rank - 1 : rank);
  }
}

TEST(Sampler, ATokenDependsOnSeedStreamAndPlaceAlone) {
  SamplerScratch scratch, other_scratch;
  const std::vector<float> logits = normal_logits(5000, 1, 6), other_logits = normal_logits(5000, 1, 7);
  const auto answer = [&](uint64_t seed, uint64_t stream, bool disturbed) {
    SamplingParams params;
    params.seed = seed;
    params.stream = stream;
    Sampler sampler(params, 5000, {}), other(params, 5000, {});
    std::vector<int32_t> ids;
    for (int token = 0; token < 20; ++token) {
      if (disturbed) {
        sampler.sample(other_logits, scratch);  // asked and not accepted
        other.accept(other.sample(other_logits, scratch).id);
      }
      ids.push_back(sampler.sample(logits, disturbed ? scratch : other_scratch).id);
      sampler.accept(ids.back());
    }
    return ids;
  };
  const std::vector<int32_t> ids = answer(1, 0, false);
  EXPECT_EQ(ids, answer(1, 0, true));
  EXPECT_NE(ids, answer(2, 0, false));
  EXPECT_NE(ids, answer(1, 1, false));
  EXPECT_NE(ids[0], ids[1]);
}

RC_GTEST_PROP(Sampler, NeverChoosesWhatIsBanned, ()) {
  constexpr int64_t kVocab = 150;
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  const std::vector<float> logits = normal_logits(kVocab, *rc::gen::inRange(0, 10), seed);
  const auto banned = *rc::gen::container<std::vector<int32_t>>(rc::gen::inRange(0, 150));
  std::vector<uint64_t> allowed = *rc::gen::container<std::vector<uint64_t>>(3, rc::gen::arbitrary<uint64_t>());
  const auto may = [&](int32_t id) {
    return (allowed[id / 64] >> (id % 64) & 1) && std::find(banned.begin(), banned.end(), id) == banned.end();
  };
  SamplingParams params;
  params.seed = seed;
  params.temperature = static_cast<float>(*rc::gen::inRange(0, 3));
  for (int32_t id = 0; id < kVocab; id += 7) params.logit_bias.push_back({id, 100.0f});
  bool any = false;
  for (int32_t id = 0; id < kVocab; ++id) any |= may(id);
  Sampler sampler(params, kVocab, {}, banned);
  SamplerScratch scratch;
  if (any) {
    RC_ASSERT(may(sampler.sample(logits, scratch, allowed).id));
  } else {
    RC_ASSERT_THROWS_AS(sampler.sample(logits, scratch, allowed), Error);
  }
}

template <typename Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Sampler, BadLogitsAreAnErrorOfThisRequest) {
  SamplerScratch scratch;
  const Sampler sampler(SamplingParams{}, 100, {}, std::vector<int32_t>{3});
  std::vector<float> logits(100, 0.0f);
  logits[42] = std::nanf("");
  EXPECT_EQ(message_of([&] { sampler.sample(logits, scratch); }),
            "the model's logit of token id 42 is nan, expected a finite number or -inf");
  logits[42] = kInfinity;
  EXPECT_THAT(message_of([&] { sampler.sample(logits, scratch); }), testing::HasSubstr("id 42 is inf"));
  logits.assign(100, -kInfinity);
  EXPECT_EQ(message_of([&] { sampler.sample(logits, scratch); }), "the model's logits are all -inf");
  logits[3] = 0;
  EXPECT_EQ(message_of([&] { sampler.sample(logits, scratch); }), "no token is left to choose: all 100 ids are banned");
  logits.resize(99);
  EXPECT_EQ(message_of([&] { sampler.sample(logits, scratch); }), "sampler got 99 logits, expected 100");
  logits.assign(100, 0);
  EXPECT_EQ(message_of([&] { sampler.sample(logits, scratch, std::vector<uint64_t>(1)); }),
            "mask of allowed ids has 1 words, expected 2");
  EXPECT_GE(sampler.sample(logits, scratch).id, 0);  // and it goes on
}

TEST(Sampler, BadIdsAreNamed) {
  EXPECT_EQ(message_of([] { Sampler({}, 10, std::vector<int32_t>{1, 10}); }), "token id 10, expected one from 0 to 9");
  EXPECT_EQ(message_of([] { Sampler({}, 10, {}, std::vector<int32_t>{-1}); }),
            "banned token id -1, expected one from 0 to 9");
  EXPECT_EQ(message_of([] { Sampler({}, 10, {}).accept(12); }), "token id 12, expected one from 0 to 9");
}

TEST(SamplingParams, ErrorsNameFieldValueAndRange) {
  const auto message = [](const std::function<void(SamplingParams&)>& change) {
    SamplingParams params;
    change(params);
    return message_of([&] { params.validate(100); });
  };
  EXPECT_EQ(message([](SamplingParams&) {}), "no error");
  EXPECT_EQ(message([](SamplingParams& p) { p.temperature = -0.5f; }),
            "temperature is -0.5, expected a number of at least 0");
  EXPECT_EQ(message([](SamplingParams& p) { p.temperature = std::nanf(""); }),
            "temperature is nan, expected a number of at least 0");
  EXPECT_EQ(message([](SamplingParams& p) { p.top_p = 1.5f; }), "top_p is 1.5, expected a number from 0 to 1");
  EXPECT_EQ(message([](SamplingParams& p) { p.top_k = -2; }),
            "top_k is -2, expected a count of at least 1, or 0 or -1 for no limit");
  EXPECT_EQ(message([](SamplingParams& p) { p.min_p = -1; }), "min_p is -1, expected a number from 0 to 1");
  EXPECT_EQ(message([](SamplingParams& p) { p.repetition_penalty = 0; }),
            "repetition_penalty is 0, expected a number above 0");
  EXPECT_EQ(message([](SamplingParams& p) { p.presence_penalty = 3; }),
            "presence_penalty is 3, expected a number from -2 to 2");
  EXPECT_EQ(message([](SamplingParams& p) { p.frequency_penalty = -kInfinity; }),
            "frequency_penalty is -inf, expected a number from -2 to 2");
  EXPECT_EQ(message([](SamplingParams& p) { p.top_logprobs = 101; }),
            "top_logprobs is 101, expected a count from 0 to 100, the size of the vocabulary");
  EXPECT_EQ(message([](SamplingParams& p) { p.logit_bias = {{100, 1.0f}}; }),
            "logit_bias: token id 100, expected one from 0 to 99");
  EXPECT_EQ(message([](SamplingParams& p) { p.logit_bias = {{5, 101.0f}}; }),
            "logit_bias of token id 5 is 101, expected a number from -100 to 100");
  EXPECT_EQ(message([](SamplingParams& p) { p.logit_bias = {{5, 1.0f}, {5, 2.0f}}; }),
            "logit_bias: token id 5 is there twice");
}

}  // namespace
}  // namespace minimax::engine
