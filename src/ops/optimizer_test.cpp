#include "ops/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "core/rng.h"
#include "cpu/isa.h"

namespace minimax::ops {
namespace {

using testing::HasSubstr;

Tensor normal(int64_t count, uint64_t seed) {
  Rng rng(seed);
  Tensor x = Tensor::empty({count}, DType::kFloat32);
  for (float& value : x.span<float>()) value = static_cast<float>(rng.normal());
  return x;
}

class OptimizerTest : public testing::Test {
 protected:
  Arena arena;
};

TEST_F(OptimizerTest, NormIsThatOfAllTensorsWhateverThreadsAndKernels) {
  const Tensor a = normal(70001, 1), b = normal(17, 2);
  double expected = 0;
  for (const Tensor* x : {&a, &b})
    for (const float value : x->span<float>()) expected += static_cast<double>(value) * value;
  double first = 0;
  for (const cpu::Kernels* table : cpu::usable_kernels())
    for (const int count : {1, 3}) {
      const cpu::ScopedKernels scoped(*table);
      ThreadPool threads(count);
      const Context ctx{.arena = &arena, .threads = &threads};
      const double norm = global_norm(ctx, std::vector<Tensor>{a, Tensor(), b});
      EXPECT_NEAR(norm, std::sqrt(expected), 1e-9 * norm);
      if (first == 0) first = norm;
      EXPECT_EQ(norm, first) << table->isa << " " << count;
    }
  ThreadPool threads(1);
  const Context ctx{.arena = &arena, .threads = &threads};
  b.data<float>()[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(global_norm(ctx, std::vector<Tensor>{a, b})));
}

TEST_F(OptimizerTest, EveryTableStepsAlikeAndRoundsTheMaster) {
  std::vector<float> expected;
  for (const cpu::Kernels* table : cpu::usable_kernels()) {
    const cpu::ScopedKernels scoped(*table);
    ThreadPool threads(2);
    const Context ctx{.arena = &arena, .threads = &threads};
    AdamWSlot slot{.weight = Tensor::zeros({40001}, DType::kBFloat16),
                   .master = normal(40001, 3),
                   .m = normal(40001, 4),
                   .v = Tensor::zeros({40001}, DType::kFloat32),
                   .gradient = normal(40001, 5),
                   .decay = 0.1};
    adamw(ctx, {&slot, 1}, {.step = 2, .rate = 0.01});
    for (int64_t i = 0; i < slot.master.elements(); ++i)
      ASSERT_EQ(to_float(slot.weight.data<bfloat16>()[i]), to_float(to_bfloat16(slot.master.data<float>()[i])));
    const std::vector<float> got(slot.master.span<float>().begin(), slot.master.span<float>().end());
    if (expected.empty()) expected = got;
    EXPECT_EQ(std::memcmp(expected.data(), got.data(), got.size() * sizeof(float)), 0) << table->isa;
    fill_zero(ctx, slot.master);
    for (const float value : slot.master.span<float>()) ASSERT_EQ(value, 0.0f);
  }
}

TEST_F(OptimizerTest, RefusesWhatDoesNotFit) {
  ThreadPool threads(1);
  const Context ctx{.arena = &arena, .threads = &threads};
  const AdamWSlot slot{.weight = normal(3, 1), .master = normal(3, 1), .m = normal(4, 1), .v = normal(3, 1)};
  try {
    adamw(ctx, {&slot, 1}, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(std::string(error.what()), HasSubstr("[4] beside a weight [3]"));
  }
}

}  // namespace
}  // namespace minimax::ops
