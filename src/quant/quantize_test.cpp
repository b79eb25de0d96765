#include "quant/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/rng.h"
#include "quant/rounding_error.h"

namespace minimax::quant {
namespace {

std::vector<float> normal_weights(int64_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> weights(static_cast<size_t>(count));
  for (float& weight : weights) weight = static_cast<float>(rng.normal() * 0.02);
  return weights;
}

// Some large magnitudes among many small ones, as trained weights have.
std::vector<float> heavy_tailed_weights(int64_t count, uint64_t seed) {
  std::vector<float> weights = normal_weights(count, seed);
  Rng rng(seed + 1);
  for (float& weight : weights) weight *= std::exp(static_cast<float>(rng.normal()) * 0.7f);
  return weights;
}

std::vector<float> there_and_back(Format format, const std::vector<float>& weights, Rounding rounding,
                                  const float* importance = nullptr) {
  const auto inputs = static_cast<int64_t>(weights.size());
  std::vector<float> out(weights.size());
  decode_row(format, inputs, encode_row(format, inputs, weights.data(), importance, rounding), out.data());
  return out;
}

double squared_error(const std::vector<float>& a, const std::vector<float>& b, const float* importance = nullptr) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += (importance ? importance[i] : 1.0) * std::pow(static_cast<double>(a[i]) - b[i], 2);
  return sum;
}

double decibels(Format format, const std::vector<float>& weights, Rounding rounding) {
  return 10 * std::log10(squared_error(weights, std::vector<float>(weights.size())) /
                         squared_error(weights, there_and_back(format, weights, rounding)));
}

TEST(RoundingError, IsThatOfAPlainLoop) {
  Rng rng(1);
  for (int trial = 0; trial < 200; ++trial) {
    float weights[32], importance[32];
    for (float& w : weights) w = static_cast<float>(rng.normal());
    for (float& h : importance) h = static_cast<float>(rng.uniform());
    const Grid grid{0.05f + static_cast<float>(rng.uniform()), -7, 8};
    double expected = 0;
    for (int k = 0; k < 32; ++k) {
      const double code = std::clamp(std::nearbyint(static_cast<double>(weights[k]) / grid.scale), -7.0, 8.0);
      expected += importance[k] * std::pow(weights[k] - code * grid.scale, 2);
    }
    EXPECT_NEAR(rounding_error(weights, importance, grid), expected, 1e-5 * expected + 1e-9);
  }
}

TEST(RoundingError, MicroscalingTakesTheNearestValue) {
  for (int i = -700; i <= 700; ++i) {
    const float x = static_cast<float>(i) / 100;
    float nearest = std::numeric_limits<float>::infinity();
    for (uint8_t code = 0; code < 16; ++code) nearest = std::min(nearest, std::fabs(from_e2m1(code) - x));
    EXPECT_FLOAT_EQ(std::fabs(from_e2m1(to_e2m1(x)) - x), nearest) << x;
  }
  EXPECT_EQ(to_e2m1(0.25f), 0);  // ties go to even codes
  EXPECT_EQ(to_e2m1(0.75f), 2);
  EXPECT_EQ(to_e2m1(-5.0f), 8 + 6);
}

// What the formats are worth on normal weights, and that searching is worth something. The last column is what
// docs/formats.md quotes, less a little.
TEST(Quantize, ErrorOnNormalWeights) {
  const std::vector<float> weights = normal_weights(64 * 256, 2);
  struct Expected {
    Format format;
    double best;  // decibels: 10 log10(mean square / mean squared error)
    double gain;  // over kNearest
  };
  for (const Expected& expected :
       {Expected{Format::kQ8, 45.4, 0.05}, Expected{Format::kExpertsInt8, 40.5, 0.0}, Expected{Format::kQ6, 32.2, 0.5},
        Expected{Format::kQ5, 26.9, 0.5}, Expected{Format::kQ4, 21.9, 1.5}, Expected{Format::kMxfp4, 18.8, 0.15}}) {
    const double best = decibels(expected.format, weights, Rounding::kBest);
    EXPECT_GT(best, expected.best) << name(expected.format);
    EXPECT_GE(best, decibels(expected.format, weights, Rounding::kNearest) + expected.gain) << name(expected.format);
  }
}

TEST(Quantize, BestIsNeverWorseThanNearest) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> weights = heavy_tailed_weights(300, seed);
    for (const Format format : all_formats())
      EXPECT_GE(decibels(format, weights, Rounding::kBest), decibels(format, weights, Rounding::kNearest))
          << name(format) << " seed " << seed;
  }
}

TEST(Quantize, ValuesOnTheGridAreExact) {
  Rng rng(5);
  std::vector<float> integers(96);
  for (float& x : integers) x = static_cast<float>(static_cast<int>(rng.below(255)) - 127) * 0.125f;
  integers[0] = integers[40] = integers[70] = 127 * 0.125f;  // each group's largest
  for (const Format format : {Format::kQ8, Format::kExpertsInt8})
    EXPECT_EQ(there_and_back(format, integers, Rounding::kBest), integers) << name(format);

  std::vector<float> small_floats(64);
  for (float& x : small_floats) x = from_e2m1(static_cast<uint8_t>(rng.below(16))) * 0.25f;
  EXPECT_EQ(there_and_back(Format::kMxfp4, small_floats, Rounding::kBest), small_floats);
}

TEST(Quantize, ZerosStayZeros) {
  std::vector<float> weights(300, 0.0f);
  for (const Format format : all_formats())
    EXPECT_EQ(there_and_back(format, weights, Rounding::kBest), weights) << name(format);
  weights[270] = 0.5f;  // the other groups of the row, and the rest of its own
  for (const Format format : all_formats()) {
    std::vector<float> out = there_and_back(format, weights, Rounding::kBest);
    EXPECT_NEAR(out[270], 0.5f, 0.03f) << name(format);
    out[270] = 0;
    for (const float x : out) EXPECT_EQ(x, 0) << name(format);
  }
}

TEST(Quantize, TinyAndLargeWeights) {
  for (const float size : {1e-6f, 1e-3f, 1e3f, 1e6f}) {
    std::vector<float> weights = normal_weights(256, 7);
    for (float& weight : weights) weight *= size / 0.02f;
    for (const Format format : all_formats()) {
      const double expected = size < 1e-5f ? 8 : 17;  // float16 scales run out of bits below 1e-5
      EXPECT_GT(decibels(format, weights, Rounding::kBest), expected) << name(format) << " " << size;
    }
  }
}

TEST(Quantize, IntegersStayInsideInt8) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const std::vector<float> weights = heavy_tailed_weights(512, 100 + seed);
    for (const Format format : {Format::kQ4, Format::kQ5, Format::kQ6}) {
      for (const Rounding rounding : {Rounding::kNearest, Rounding::kBest}) {
        const RowCodes row = encode_row(format, 512, weights.data(), nullptr, rounding);
        for (size_t k = 0; k < 512; ++k) {
          const int zero = row.zeros.empty() ? 1 << (code_bits(format) - 1) : row.zeros[k / 32];
          const int integer = row.steps[k / 32] * (row.codes[k] - zero);
          ASSERT_GE(integer, -128) << name(format);
          ASSERT_LE(integer, 127) << name(format);
        }
      }
    }
  }
}

TEST(Quantize, ImportantInputsAreRoundedBetter) {
  const std::vector<float> weights = heavy_tailed_weights(512, 9);
  std::vector<float> importance(512, 0.01f);
  for (size_t k = 0; k < 512; k += 8) importance[k] = 1;
  for (const Format format : {Format::kExpertsInt8, Format::kQ6, Format::kQ5, Format::kQ4, Format::kMxfp4}) {
    const std::vector<float> plain = there_and_back(format, weights, Rounding::kBest);
    const std::vector<float> weighted = there_and_back(format, weights, Rounding::kBest, importance.data());
    EXPECT_LT(squared_error(weights, weighted, importance.data()), squared_error(weights, plain, importance.data()))
        << name(format);
  }
}

TEST(Quantize, RefusesWhatHasNoNumber) {
  std::vector<float> weights(32, 1.0f);
  weights[7] = NAN;
  const auto message = [&](Format format) -> std::string {
    try {
      encode_row(format, 32, weights.data());
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message(Format::kQ4), testing::HasSubstr("weight 7 of a row is nan, expected a finite number"));
  weights[7] = 1e9f;
  EXPECT_THAT(message(Format::kQ8), testing::HasSubstr("more than float16 holds"));
  EXPECT_EQ(message(Format::kMxfp4), "");
}

TEST(Quantize, AMatrixIsItsPanelsWhateverTheThreads) {
  constexpr int64_t kOutputs = 70, kInputs = 290;
  const std::vector<float> weights = normal_weights(kOutputs * kInputs, 11);
  const RowReader read = [&](int64_t first, int64_t rows, float* out) {
    std::memcpy(out, weights.data() + first * kInputs, static_cast<size_t>(rows * kInputs) * 4);
  };
  for (const Format format : all_formats()) {
    std::vector<std::vector<std::byte>> packed;
    for (const int count : {1, 3}) {
      ThreadPool threads(count);
      packed.emplace_back(static_cast<size_t>(packed_bytes(format, kOutputs, kInputs)), std::byte{0x5a});
      quantize_matrix(format, kOutputs, kInputs, read, nullptr, Rounding::kBest, threads, packed.back().data());
    }
    EXPECT_EQ(packed[0], packed[1]) << name(format);
    std::vector<float> out(weights.size());
    dequantize_rows(format, kInputs, packed[0].data(), 0, kOutputs, out.data());
    EXPECT_LT(squared_error(weights, out), 0.02 * squared_error(weights, std::vector<float>(weights.size())));
    std::vector<float> padding(26 * kInputs);
    dequantize_rows(format, kInputs, packed[0].data(), 70, 26, padding.data());
    for (const float x : padding) EXPECT_EQ(x, 0) << name(format);
  }
}

}  // namespace
}  // namespace minimax::quant
