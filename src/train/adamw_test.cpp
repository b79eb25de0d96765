#include "train/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/rng.h"
#include "train/schedule.h"

namespace minimax::train {
namespace {

class AdamWTest : public testing::Test {
 protected:
  static Tensor filled(int64_t count, float value) {
    Tensor x = Tensor::empty({count}, DType::kFloat32);
    std::fill_n(x.data<float>(), count, value);
    return x;
  }

  Arena arena;
  ThreadPool threads{2};
  Context ctx{.arena = &arena, .threads = &threads};
};

// With a constant gradient g the update is g / (g + eps) of the rate: eps 1e-15 moves what 1e-8 leaves standing.
TEST_F(AdamWTest, TinyGradientsMoveTheirParameters) {
  struct Case {
    float gradient;
    double share;
  };
  for (const Case& c : {Case{1e-5f, 1}, {1e-10f, 1}, {1e-14f, .909}, {1e-16f, .0909}, {1e-18f, .001}}) {
    Tensor w = filled(3, 0.0f);
    AdamW optimizer({.max_norm = 0});
    optimizer.add(ctx, w, false);
    Gradients d;
    d.add(w, filled(3, c.gradient));
    float before = 0;
    for (int step = 0; step < 200; ++step) {
      before = w.data<float>()[1];
      optimizer.step(ctx, d, 0.5);
    }
    EXPECT_NEAR((before - w.data<float>()[1]) / 0.5, c.share, 0.01 * c.share + 1e-4) << c.gradient;
  }
}

TEST_F(AdamWTest, FollowsTheFormulaInDouble) {
  const AdamWOptions options{.weight_decay = 0.1, .max_norm = 0.7};
  AdamW optimizer(options);
  Rng rng(3);
  const int64_t count = 40000;  // several pieces
  Tensor w = Tensor::empty({count}, DType::kFloat32);
  std::vector<double> expected, m(count, 0.0), v(count, 0.0);
  for (float& value : w.span<float>()) expected.push_back(value = static_cast<float>(rng.normal()));
  optimizer.add(ctx, w, true);
  for (int step = 1; step <= 5; ++step) {
    Tensor g = Tensor::empty({count}, DType::kFloat32);
    double squares = 0;
    for (float& value : g.span<float>()) {
      value = static_cast<float>(rng.normal());
      squares += static_cast<double>(value) * value;
    }
    Gradients d;
    d.add(w, g);
    const StepReport report = optimizer.step(ctx, d, 0.01);
    EXPECT_NEAR(report.gradient_norm, std::sqrt(squares), 1e-9 * std::sqrt(squares));
    for (int64_t i = 0; i < count; ++i) {
      const double clipped = g.data<float>()[i] * 0.7 / std::sqrt(squares);
      m[i] = 0.9 * m[i] + 0.1 * clipped;
      v[i] = 0.95 * v[i] + 0.05 * clipped * clipped;
      const double mh = m[i] / (1 - std::pow(0.9, step)), vh = v[i] / (1 - std::pow(0.95, step));
      expected[i] -= 0.01 * (mh / (std::sqrt(vh) + 1e-15) + 0.1 * expected[i]);
    }
  }
  for (int64_t i = 0; i < count; ++i) ASSERT_NEAR(w.data<float>()[i], expected[i], 2e-6) << i;
}

TEST_F(AdamWTest, BFloat16WeightsFollowTheirMasters) {
  Tensor w = Tensor::empty({1}, DType::kBFloat16);
  w.data<bfloat16>()[0] = to_bfloat16(1.0f);
  AdamW optimizer({.max_norm = 0});
  optimizer.add(ctx, w, false);
  Gradients d;
  d.add(w, filled(1, 1.0f));
  // Each step is a thirtieth of the spacing of bfloat16 below 1; without a master none of them would be seen.
  for (int step = 0; step < 60; ++step) optimizer.step(ctx, d, 0x1p-8 / 30);
  EXPECT_NEAR(to_float(w.data<bfloat16>()[0]), 1 - 2 * 0x1p-8, 1e-6);
}

TEST_F(AdamWTest, SkipsStepsThatAreNotFinite) {
  Tensor w = filled(2, 1.0f), other = filled(2, 1.0f);
  AdamW optimizer;
  optimizer.add(ctx, w, false);
  optimizer.add(ctx, other, false);
  Gradients d;
  d.add(w, filled(2, 1.0f));
  d.add(other, filled(2, std::numeric_limits<float>::infinity()));
  EXPECT_TRUE(optimizer.step(ctx, d, 0.1).skipped);
  EXPECT_EQ(w.data<float>()[0], 1.0f);
  EXPECT_EQ(optimizer.steps(), 0);
}

TEST_F(AdamWTest, SameBitsForAnyNumberOfThreads) {
  std::vector<float> results[2];
  for (const int count : {1, 5}) {
    ThreadPool pool(count);
    const Context own{.arena = &arena, .threads = &pool};
    Rng rng(9);
    Tensor w = filled(70001, 0.5f), g = Tensor::empty({70001}, DType::kFloat32);
    for (float& value : g.span<float>()) value = static_cast<float>(rng.normal());
    AdamW optimizer;
    optimizer.add(ctx, w, true);
    Gradients d;
    d.add(w, g);
    optimizer.step(own, d, 0.1);
    results[count == 5].assign(w.span<float>().begin(), w.span<float>().end());
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST_F(AdamWTest, RefusesOtherTypes) {
  AdamW optimizer;
  EXPECT_THROW(optimizer.add(ctx, Tensor::zeros({2}, DType::kFloat16), false), Error);
}

TEST(Schedule, WarmsUpAndDecays) {
  const Schedule constant{.peak = 2, .warmup_steps = 4};
  EXPECT_DOUBLE_EQ(constant.at(0), 0.5);
  EXPECT_DOUBLE_EQ(constant.at(3), 2);
  EXPECT_DOUBLE_EQ(constant.at(1000), 2);
  const Schedule cosine{.peak = 2, .warmup_steps = 2, .total_steps = 103, .decay = Decay::kCosine, .final_share = 0.1};
  EXPECT_DOUBLE_EQ(cosine.at(2), 2);
  EXPECT_DOUBLE_EQ(cosine.at(52), 1.1);
  EXPECT_NEAR(cosine.at(102), 0.2, 1e-12);
  EXPECT_NEAR(cosine.at(500), 0.2, 1e-12);
  const Schedule wsd{.peak = 2, .warmup_steps = 2, .total_steps = 101, .decay = Decay::kWsd, .decay_steps = 20};
  EXPECT_DOUBLE_EQ(wsd.at(80), 2);
  EXPECT_DOUBLE_EQ(wsd.at(90), 1);
  EXPECT_DOUBLE_EQ(wsd.at(100), 0);
}

}  // namespace
}  // namespace minimax::train
