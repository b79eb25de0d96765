#include "cpu/logits.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "core/rng.h"
#include "cpu/isa.h"

namespace minimax::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> normal_logits(int64_t size, double deviation, uint64_t seed = 1) {
  Rng rng(seed);
  std::vector<float> logits(size);
  for (float& logit : logits) logit = static_cast<float>(deviation * rng.normal());
  return logits;
}

TEST(LogSumExp, AgreesWithFloat64) {
  for (int64_t size : {1, 2, 7, 8, 9, 31, 64, 1000, 200064})
    for (double deviation : {0.0, 0.5, 3.0, 40.0}) {
      const std::vector<float> logits = normal_logits(size, deviation);
      const LogitsSummary summary = summarize(logits);
      double sum = 0;
      for (float logit : logits) sum += std::exp(static_cast<double>(logit) - static_cast<double>(summary.max));
      EXPECT_NEAR(log_sum_exp(logits, summary.max), static_cast<double>(summary.max) + std::log(sum), 1.5e-7)
          << size << " logits, deviation " << deviation;
    }
}

// The bits are a promise: the same on every machine.
TEST(LogSumExp, KnownBits) {
  std::vector<float> logits(200064);
  for (size_t id = 0; id < logits.size(); ++id) logits[id] = static_cast<float>(id * 7919 % 20011) / 1024.0f;
  EXPECT_EQ(log_sum_exp(logits, summarize(logits).max), 0x1.cc67d82cf4f3cp+4);
}

TEST(LogSumExp, EveryInstructionSetGivesTheSameBits) {
  for (int64_t size : {1, 15, 16, 17, 1000, 200064}) {
    const std::vector<float> logits = normal_logits(size, 5);
    const Kernels& generic = kernels_named("generic");
    const float max = generic.summarize(logits.data(), size).max, quantum = static_cast<float>(weight_quantum(size));
    std::vector<float> expected(size), weights(size);
    const double total = generic.exp_weights(logits.data(), size, max, 1.3f, quantum, expected.data());
    for (const Kernels* table : usable_kernels()) {
      EXPECT_EQ(table->summarize(logits.data(), size).max, max) << table->isa;
      EXPECT_EQ(table->sum_exp(logits.data(), size, max), generic.sum_exp(logits.data(), size, max)) << table->isa;
      EXPECT_EQ(table->exp_weights(logits.data(), size, max, 1.3f, quantum, weights.data()), total) << table->isa;
      EXPECT_EQ(weights, expected) << table->isa;
    }
  }
}

TEST(LogSumExp, MinusInfinityAddsNothing) {
  EXPECT_EQ(log_sum_exp(std::vector<float>{-kInfinity, 2.0f, -kInfinity}, 2.0f), 2.0);
  EXPECT_EQ(log_sum_exp(std::vector<float>{-3e38f, 3e38f}, 3e38f), static_cast<double>(3e38f));
}

TEST(Summarize, FindsTheFirstOfTheLargest) {
  for (int64_t size : {1, 5, 16, 17, 40, 100})
    for (int64_t first = 0; first < size; ++first) {
      std::vector<float> logits(size, -1.0f);
      logits[first] = logits[size - 1] = 2.0f;
      const LogitsSummary summary = summarize(logits);
      EXPECT_EQ(summary.max, 2.0f);
      EXPECT_EQ(summary.argmax, first) << size;
      EXPECT_EQ(summary.not_a_logit, -1);
    }
}

TEST(Summarize, FindsNaNAndInfinityAnywhere) {
  for (float bad : {std::nanf(""), kInfinity})
    for (int64_t size : {1, 16, 17, 40})
      for (int64_t place = 0; place < size; ++place) {
        std::vector<float> logits(size, 0.5f);
        logits[place] = bad;
        logits[size - 1] = bad;
        EXPECT_EQ(summarize(logits).not_a_logit, place) << size;
      }
}

TEST(Summarize, RowOfMinusInfinity) {
  const LogitsSummary summary = summarize(std::vector<float>(20, -kInfinity));
  EXPECT_EQ(summary.max, -kInfinity);
  EXPECT_EQ(summary.not_a_logit, -1);
}

TEST(ExpWeights, AgreeWithFloat64AndAddExactly) {
  for (int64_t size : {1, 9, 512, 200064})
    for (float inverse_temperature : {0.01f, 1.0f, 1.7f, 1e30f}) {
      const std::vector<float> logits = normal_logits(size, 4);
      const float max = summarize(logits).max;
      std::vector<float> weights(size, std::nanf(""));
      const double total = exp_weights(logits, max, inverse_temperature, weights);
      const double quantum = weight_quantum(size);
      double backwards = 0;
      for (int64_t id = size - 1; id >= 0; --id) {
        // As the text: the product is rounded to float32 before the exponential.
        const float exponent = (logits[id] - max) * inverse_temperature;
        const double exact = std::exp(static_cast<double>(exponent));
        ASSERT_NEAR(weights[id], exact, 2e-7 * exact + quantum) << id;
        ASSERT_EQ(std::remainder(weights[id], quantum), 0.0) << id;
        backwards += static_cast<double>(weights[id]);
      }
      EXPECT_EQ(total, backwards);
      EXPECT_EQ(weights[summarize(logits).argmax], 1.0f);
    }
}

}  // namespace
}  // namespace minimax::cpu
