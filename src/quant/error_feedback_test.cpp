#include "quant/error_feedback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/rng.h"
#include "quant/quantize.h"

namespace minimax::quant {
namespace {

std::vector<float> normal(int64_t count, Rng& rng, double deviation) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(rng.normal() * deviation);
  return values;
}

// Inputs that go together: a few hidden causes and some noise, as what a norm hands on in a trained model.
std::vector<float> correlated_rows(int64_t rows, int64_t inputs, Rng& rng) {
  constexpr int64_t kCauses = 24;
  const std::vector<float> mixing = normal(kCauses * inputs, rng, 1);
  std::vector<float> x(static_cast<size_t>(rows * inputs));
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<float> causes = normal(kCauses, rng, 1);
    for (int64_t k = 0; k < inputs; ++k) {
      double sum = rng.normal() * 0.5;
      for (int64_t c = 0; c < kCauses; ++c)
        sum += causes[static_cast<size_t>(c)] * mixing[static_cast<size_t>(c * inputs + k)];
      x[static_cast<size_t>(row * inputs + k)] = static_cast<float>(sum);
    }
  }
  return x;
}

std::vector<float> moments_of(const std::vector<float>& x, int64_t inputs) {
  const auto rows = static_cast<int64_t>(x.size()) / inputs;
  std::vector<float> moments(static_cast<size_t>(block_count(inputs) * kTriangle));
  for (int64_t i = 0; i < inputs; ++i)
    for (int64_t j = i / kBlock * kBlock; j <= i; ++j) {
      double sum = 0;
      for (int64_t row = 0; row < rows; ++row)
        sum += static_cast<double>(x[static_cast<size_t>(row * inputs + i)]) * x[static_cast<size_t>(row * inputs + j)];
      const int64_t in_block = i % kBlock;
      moments[static_cast<size_t>(i / kBlock * kTriangle + in_block * (in_block + 1) / 2 + j % kBlock)] =
          static_cast<float>(sum / static_cast<double>(rows));
    }
  return moments;
}

std::vector<float> rounded(Format format, const std::vector<float>& weights, const ErrorFeedback* feedback) {
  const auto inputs = static_cast<int64_t>(weights.size());
  std::vector<float> out(weights.size());
  decode_row(format, inputs, encode_row(format, inputs, weights.data(), nullptr, Rounding::kBest, feedback),
             out.data());
  return out;
}

// Of the product of rows x with the weights, by definition.
double product_error(const std::vector<float>& x, const std::vector<float>& weights, const std::vector<float>& other) {
  double error = 0;
  for (size_t row = 0; row < x.size() / weights.size(); ++row) {
    double difference = 0;
    for (size_t k = 0; k < weights.size(); ++k)
      difference += static_cast<double>(x[row * weights.size() + k]) * (weights[k] - other[k]);
    error += difference * difference;
  }
  return error / static_cast<double>(x.size() / weights.size());
}

struct ErrorFeedbackTest : testing::Test {
  ThreadPool threads{2};
  Rng rng{7};
};

TEST_F(ErrorFeedbackTest, MakesTheProductBetterOnInputsItHasNotSeen) {
  constexpr int64_t kInputs = 192;  // one block, which is not full
  const std::vector<float> all = correlated_rows(3000, kInputs, rng);
  const std::vector<float> seen(all.begin(), all.begin() + 2000 * kInputs),
      fresh(all.begin() + 2000 * kInputs, all.end());
  const ErrorFeedback feedback(kInputs, moments_of(seen, kInputs), {}, threads);
  for (const Format format : all_formats()) {
    double plain = 0, better = 0;
    for (int row = 0; row < 16; ++row) {
      const std::vector<float> weights = normal(kInputs, rng, 0.02);
      plain += product_error(fresh, weights, rounded(format, weights, nullptr));
      better += product_error(fresh, weights, rounded(format, weights, &feedback));
    }
    EXPECT_LT(better, 0.5 * plain) << name(format);
  }
}

TEST_F(ErrorFeedbackTest, ItsErrorIsThatOfTheProduct) {
  constexpr int64_t kInputs = 256;
  const std::vector<float> x = correlated_rows(600, kInputs, rng);
  const ErrorFeedback feedback(kInputs, moments_of(x, kInputs), {}, threads);
  const std::vector<float> weights = normal(kInputs, rng, 0.02), other = normal(kInputs, rng, 0.02);
  const double expected = product_error(x, weights, other);
  // The damping is in it.
  EXPECT_NEAR(feedback.output_error(weights.data(), other.data()), expected, 0.02 * expected);
}

TEST_F(ErrorFeedbackTest, NoRowBecomesWorse) {
  constexpr int64_t kInputs = 2 * kBlock + 70;
  const std::vector<float> x = correlated_rows(900, kInputs, rng);
  const ErrorFeedback feedback(kInputs, moments_of(x, kInputs), {}, threads);
  for (const Format format : all_formats())
    for (int row = 0; row < 8; ++row) {
      const std::vector<float> weights = normal(kInputs, rng, std::exp(rng.normal()));
      const std::vector<float> plain = rounded(format, weights, nullptr), better = rounded(format, weights, &feedback);
      EXPECT_LE(feedback.output_error(weights.data(), better.data()),
                feedback.output_error(weights.data(), plain.data()) * (1 + 1e-5))
          << name(format);
    }
}

// What is written can be read, and q4's steps and zero points stay inside int8.
TEST_F(ErrorFeedbackTest, StaysInsideTheFormat) {
  constexpr int64_t kInputs = kBlock + 40;
  const ErrorFeedback feedback(kInputs, moments_of(correlated_rows(300, kInputs, rng), kInputs), {}, threads);
  for (const Format format : all_formats()) {
    const std::vector<float> weights = normal(kInputs, rng, 0.3);
    const RowCodes row = encode_row(format, kInputs, weights.data(), nullptr, Rounding::kBest, &feedback);
    std::vector<std::byte> panel(static_cast<size_t>(panel_bytes(format, kInputs)));
    pack_row(format, kInputs, row, 5, panel.data());
    const RowCodes back = unpack_row(format, kInputs, panel.data(), 5);
    EXPECT_EQ(back.codes, row.codes) << name(format);
    EXPECT_EQ(back.steps, row.steps) << name(format);
    EXPECT_EQ(back.zeros, row.zeros) << name(format);
    EXPECT_EQ(back.scales, row.scales) << name(format);
    const RowCodes zeros = zero_row(format, kInputs);
    for (size_t k = kInputs; k < row.codes.size() && row.zeros.empty(); ++k) EXPECT_EQ(row.codes[k], zeros.codes[k]);
    for (size_t g = 0; g < row.zeros.size(); ++g) {
      EXPECT_LE(row.steps[g] * row.zeros[g], 128);
      EXPECT_LE(row.steps[g] * (15 - row.zeros[g]), 127);
    }
  }
}

// Columns times f and inputs through f: the same product, so the same error when nothing else changes.
TEST_F(ErrorFeedbackTest, KnowsFactorsOfColumns) {
  constexpr int64_t kInputs = 64;
  const std::vector<float> x = correlated_rows(500, kInputs, rng);
  std::vector<float> factors(kInputs), scaled(x);
  for (size_t k = 0; k < factors.size(); ++k) factors[k] = std::ldexp(1.0f, static_cast<int>(k % 5) - 2);
  for (size_t i = 0; i < scaled.size(); ++i) scaled[i] /= factors[i % kInputs];
  const ErrorFeedback by_factors(kInputs, moments_of(x, kInputs), factors, threads);
  const ErrorFeedback by_inputs(kInputs, moments_of(scaled, kInputs), {}, threads);
  const std::vector<float> weights = normal(kInputs, rng, 0.02);
  EXPECT_EQ(rounded(Format::kQ4, weights, &by_factors), rounded(Format::kQ4, weights, &by_inputs));
}

TEST_F(ErrorFeedbackTest, RefusesWhatDoesNotFit) {
  const auto problem = [&](int64_t inputs, const std::vector<float>& moments, const std::vector<float>& factors) {
    try {
      ErrorFeedback(inputs, moments, factors, threads);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("(no error)");
  };
  std::vector<float> moments(kTriangle, 0.0f);
  EXPECT_EQ(problem(100, moments, {}), "(no error)");
  EXPECT_THAT(problem(300, moments, {}), testing::HasSubstr("32896 moments, expected 65792 for 300 inputs"));
  EXPECT_THAT(problem(100, moments, {1, 2}), testing::HasSubstr("2 factors, expected 100"));
  moments[4] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(problem(100, moments, {}), testing::HasSubstr("is nan, expected a finite number"));
}

// Numbers that are no moments of anything: codes of some kind, and nothing worse.
TEST_F(ErrorFeedbackTest, LivesWithMomentsOfNothing) {
  constexpr int64_t kInputs = 96;
  const std::vector<float> weights = normal(kInputs, rng, 0.02);
  for (const double size : {0.0, 1e-30, 1.0, 1e30}) {
    const ErrorFeedback feedback(kInputs, normal(kTriangle, rng, size), {}, threads);
    for (const Format format : all_formats())
      for (const float weight : rounded(format, weights, &feedback)) EXPECT_TRUE(std::isfinite(weight));
  }
}

}  // namespace
}  // namespace minimax::quant
