#include "ops/activation.h"

#include <limits>

#include "ops/test_targets.h"

namespace minimax::ops {
namespace {

using test::exact;
using test::relative_error;

TEST(Activation, AgreesWithFloat64Reference) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(1);
    for (const int64_t columns : {1, 3, 4, 15, 16, 17, 33, 100, 24576}) {
      const Tensor x = random.normal({3, columns}, 3), y = random.normal({3, columns}, 3);
      EXPECT_LT(relative_error(silu(ctx, x), reference::silu(exact(x))), 3e-7) << columns;
      EXPECT_LT(relative_error(silu_mul(ctx, x, y), reference::silu_mul(exact(x), exact(y))), 3e-7) << columns;
      EXPECT_LT(relative_error(sigmoid_mul(ctx, x, y), reference::sigmoid_mul(exact(x), exact(y))), 3e-7) << columns;
      const float alpha = 3.5565588f, beta = -0.7f;
      EXPECT_LT(relative_error(scaled_add(ctx, alpha, x, beta, y),
                               reference::scaled_add(double{alpha}, exact(x), double{beta}, exact(y))),
                2e-7)
          << columns;
    }
  });
}

/// float32 values from -range to range, dense near 0: every 2^12th bit pattern.
Tensor sweep(float range) {
  std::vector<float> values;
  for (uint32_t bits = 0; std::bit_cast<float>(bits) <= range; bits += 1 << 12)
    for (const uint32_t sign : {0u, 0x80000000u}) values.push_back(std::bit_cast<float>(bits | sign));
  return Tensor::from(std::span<const float>(values), {static_cast<int64_t>(values.size())});
}

/// The largest error of `got` in units of the spacing of float32 at the true value (of 2^-126 below that).
double worst_ulps(const Tensor& x, const Tensor& got, double (*want)(double)) {
  double worst = 0;
  for (int64_t i = 0; i < x.elements(); ++i) {
    const double value = want(static_cast<double>(x.data<float>()[i]));
    const double spacing = std::exp2(std::max(std::ilogb(value), -126) - 23);
    const double error = std::abs(static_cast<double>(got.data<float>()[i]) - value) / spacing;
    if (!(error <= worst)) worst = error;
    if (std::isnan(error)) return error;
  }
  return worst;
}

// The sigmoid is the exponential's only way out of the elementwise kernels: sigmoid(x) * 1 and x * sigmoid(x).
TEST(Activation, SigmoidAndSiluToAFewUlpsOverTheWholeRange) {
  test::for_each_isa([](const Context& ctx) {
    const Tensor x = sweep(87);
    const Tensor ones = ctx.empty(x.shape());
    std::fill_n(ones.data<float>(), ones.elements(), 1.0f);
    const double sigmoid_ulps = worst_ulps(x, sigmoid_mul(ctx, x, ones), reference::sigmoid<double>);
    const double silu_ulps = worst_ulps(x, silu(ctx, x), reference::silu<double>);
    EXPECT_LT(sigmoid_ulps, 4.0);
    EXPECT_LT(silu_ulps, 4.0);
    testing::Test::RecordProperty(cpu::kernels().isa, cat("sigmoid ", sigmoid_ulps, " ulp, silu ", silu_ulps, " ulp"));
  });
}

TEST(Activation, ExtremesHaveTheirLimits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float kLargest = std::numeric_limits<float>::max(), kTiny = std::numeric_limits<float>::denorm_min();
  const std::vector<float> inputs = {
      88,         89,   1000, kLargest, kInfinity, -88, -89, -1000, -kLargest,
      -kInfinity, kNaN, 0,    kTiny,    1,         -1,  2,   3,     kNaN};  // 18 of them: whole vectors and tails
  test::for_each_target([&](const Context& ctx) {
    const Tensor x = Tensor::from(std::span(inputs), {18}), ones = ctx.empty({18});
    std::fill_n(ones.data<float>(), 18, 1.0f);
    const Tensor sigmoids = sigmoid_mul(ctx, x, ones), silus = silu(ctx, x);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const float in = inputs[i], sigmoid = sigmoids.data<float>()[i], silu = silus.data<float>()[i];
      SCOPED_TRACE(in);
      if (std::isnan(in)) {
        EXPECT_TRUE(std::isnan(sigmoid));
        EXPECT_TRUE(std::isnan(silu));
      } else if (in >= 88) {
        EXPECT_EQ(sigmoid, 1.0f);
        EXPECT_EQ(silu, in);
      } else if (in == -kInfinity) {
        EXPECT_EQ(sigmoid, 0.0f);
        EXPECT_TRUE(std::isnan(silu));  // -inf * 0, as in the published code: it is not hidden
      } else if (in <= -88) {
        EXPECT_GE(sigmoid, 0.0f);
        EXPECT_LE(sigmoid, 1e-37f);
        EXPECT_LE(silu, 0.0f);
        EXPECT_GE(silu, -1e-35f);
      }
    }
  });
}

TEST(Activation, PiecesOfThreadsMeetWithoutGaps) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(4);
    const Tensor x = random.normal({100003}), y = random.normal({100003});
    const Tensor out = silu_mul(ctx, x, y);
    for (const int64_t place : {0, 16383, 16384, 32768, 65535, 100002})
      EXPECT_TRUE(test::same_bits(silu_mul(ctx, x.rows(place, place + 1), y.rows(place, place + 1)),
                                  out.rows(place, place + 1)))
          << place;
    EXPECT_LT(relative_error(out, reference::silu_mul(exact(x), exact(y))), 3e-7);
  });
}

TEST(Activation, Errors) {
  test::Machine machine(cpu::kernels(), 1);
  const Context ctx = machine.ctx();
  const Tensor x = Tensor::zeros({2, 5}, DType::kFloat32), other = Tensor::zeros({5, 2}, DType::kFloat32);
  const Tensor half = Tensor::zeros({2, 5}, DType::kBFloat16);
  const std::string shapes = "F32 [2, 5] with F32 [5, 2], expected two F32 tensors of one shape";
  EXPECT_EQ(test::error_of([&] { silu(ctx, half); }), "x is BF16, expected F32");
  EXPECT_EQ(test::error_of([&] { silu_mul(ctx, x, other); }), "silu_mul: " + shapes);
  EXPECT_EQ(test::error_of([&] { sigmoid_mul(ctx, x, other); }), "sigmoid_mul: " + shapes);
  EXPECT_EQ(test::error_of([&] { scaled_add(ctx, 1, x, 1, other); }), "scaled_add: " + shapes);
  EXPECT_EQ(test::error_of([&] { silu_mul(ctx, x, half); }),
            "silu_mul: F32 [2, 5] with BF16 [2, 5], expected two F32 tensors of one shape");
}

}  // namespace
}  // namespace minimax::ops
