#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/dtype.h"
#include "core/error.h"
#include "core/rng.h"
#include "core/tensor.h"

namespace minimax {
namespace {

TEST(DType, EveryFloat16RoundTrips) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float16 half{static_cast<uint16_t>(bits)};
    const float value = to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(to_float(to_float16(value))));
    } else {
      EXPECT_EQ(to_float16(value).bits, half.bits) << value;
    }
  }
}

TEST(DType, Float16RoundsToNearestEvenAndOverflowsToInfinity) {
  EXPECT_EQ(to_float(to_float16(1.0f + 0x1p-11f)), 1.0f);                // tie: to even
  EXPECT_EQ(to_float(to_float16(1.0f + 3 * 0x1p-11f)), 1.0f + 0x1p-9f);  // tie: to even, upward
  EXPECT_EQ(to_float(to_float16(65519.0f)), 65504.0f);
  EXPECT_TRUE(std::isinf(to_float(to_float16(65520.0f))));
  EXPECT_EQ(to_float(to_float16(0x1p-25f)), 0.0f);
  EXPECT_EQ(to_float(to_float16(0x1.8p-25f)), 0x1p-24f);
}

TEST(DType, BFloat16RoundsToNearestEven) {
  EXPECT_EQ(to_float(to_bfloat16(1.0f + 0x1p-8f)), 1.0f);
  EXPECT_EQ(to_float(to_bfloat16(1.0f + 3 * 0x1p-8f)), 1.0f + 0x1p-6f);
  EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isinf(to_float(to_bfloat16(std::numeric_limits<float>::max()))));
}

TEST(Tensor, RowsAndViewShareBytes) {
  Tensor x = Tensor::zeros({3, 4}, DType::kFloat32);
  Tensor last = x.rows(2, 3);
  x = Tensor();
  last.view({4}).data<float>()[3] = 5;
  EXPECT_EQ(last.data<float>()[3], 5);
  EXPECT_EQ(last.shape(), Shape({1, 4}));
}

TEST(Tensor, ErrorsNameFoundAndExpected) {
  Tensor x = Tensor::zeros({3, 4}, DType::kBFloat16);
  auto message = [](auto&& action) -> std::string {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message([&] { MM_CHECK_SHAPE(x, 3, 5); }), "x is [3, 4], expected [3, 5] = [3, 5]");
  EXPECT_EQ(message([&] { x.data<float>(); }), "tensor is BF16, read as F32");
  EXPECT_EQ(message([&] { x.rows(2, 4); }), "rows 2 to 4 of [3, 4]");
  EXPECT_THAT(message([&] { x.view({5}); }), testing::HasSubstr("[3, 4] as [5]"));
  EXPECT_THAT(message([] { Shape({int64_t{1} << 40, int64_t{1} << 40}).elements(); }), testing::HasSubstr("2^63"));
  EXPECT_THAT(message([] { Tensor::empty({int64_t{1} << 50}, DType::kUInt8); }), testing::HasSubstr("cannot allocate"));
}

// Known answers of the Random123 distribution (philox4x32 10).
TEST(Rng, PhiloxKnownAnswers) {
  EXPECT_THAT(philox(0, 0, 0), testing::ElementsAre(0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u));
  EXPECT_THAT(philox(~0ull, ~0ull, ~0ull), testing::ElementsAre(0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu));
}

TEST(Rng, SeekReturnsToTheSameNumbers) {
  Rng rng(7, 3);
  for (int i = 0; i < 5; ++i) rng.next_u32();
  const uint64_t place = rng.position();
  const double expected = rng.uniform();
  rng.next_u64();
  rng.seek(place);
  EXPECT_EQ(rng.uniform(), expected);
}

TEST(Rng, UniformAndNormalHaveTheirMoments) {
  Rng rng(1);
  const int n = 200000;
  double uniform_sum = 0, normal_sum = 0, normal_squares = 0;
  for (int i = 0; i < n; ++i) {
    const double u = rng.uniform(), z = rng.normal();
    ASSERT_TRUE(u >= 0 && u < 1);
    uniform_sum += u;
    normal_sum += z;
    normal_squares += z * z;
  }
  EXPECT_NEAR(uniform_sum / n, 0.5, 0.003);
  EXPECT_NEAR(normal_sum / n, 0.0, 0.01);
  EXPECT_NEAR(normal_squares / n, 1.0, 0.015);
}

}  // namespace
}  // namespace minimax
