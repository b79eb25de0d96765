#include "ops/norm.h"

#include "ops/test_targets.h"

namespace minimax::ops {
namespace {

using test::exact;
using test::relative_error;

TEST(RmsNorm, AgreesWithFloat64Reference) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(1);
    for (const int64_t hidden : {1, 7, 15, 16, 17, 64, 6144, 8192})
      for (const float eps : {1e-5f, 1e-6f}) {
        const Tensor x = random.normal({3, hidden}), weight = random.normal({hidden});
        const auto want = reference::rms_norm(exact(x), exact(weight), static_cast<double>(eps));
        EXPECT_LT(relative_error(rms_norm(ctx, x, weight, eps), want), 5e-7) << hidden;
      }
  });
}

TEST(RmsNorm, EpsilonCarriesSmallRowsAndZeroRowsStayZero) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(2);
    const Tensor x = random.normal({2, 100}, 1e-4f), weight = random.normal({100});
    std::fill_n(x.data<float>(), 100, 0.0f);
    const Tensor out = rms_norm(ctx, x, weight, 1e-5f);
    for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(out.data<float>()[i], 0.0f);
    EXPECT_LT(relative_error(out, reference::rms_norm(exact(x), exact(weight), static_cast<double>(1e-5f))), 5e-7);
  });
}

TEST(RmsNorm, RowDoesNotDependOnTheOthers) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(3);
    const Tensor x = random.normal({2, 9, 1000}), weight = random.normal({1000});
    const Tensor all = rms_norm(ctx, x, weight, 1e-5f).view({18, 1000});
    const Tensor rows = x.view({18, 1000});
    for (int64_t row = 0; row < 18; ++row)
      EXPECT_TRUE(test::same_bits(rms_norm(ctx, rows.rows(row, row + 1), weight, 1e-5f), all.rows(row, row + 1)));
  });
}

TEST(RmsNorm, Errors) {
  test::Machine machine(cpu::kernels(), 1);
  const Context ctx = machine.ctx();
  const Tensor x = Tensor::zeros({2, 5}, DType::kFloat32), weight = Tensor::zeros({5}, DType::kFloat32);
  EXPECT_EQ(test::error_of([&] { rms_norm(ctx, x, Tensor::zeros({4}, DType::kFloat32), 1e-5f); }),
            "rms_norm: weight [4] for x [2, 5]");
  EXPECT_EQ(test::error_of([&] { rms_norm(ctx, x, weight.view({1, 5}), 1e-5f); }),
            "rms_norm: weight [1, 5] for x [2, 5]");
  EXPECT_EQ(test::error_of([&] { rms_norm(ctx, Tensor::zeros({2, 5}, DType::kBFloat16), weight, 1e-5f); }),
            "x is BF16, expected F32");
  EXPECT_EQ(test::error_of([&] { rms_norm(ctx, x, Tensor::zeros({5}, DType::kBFloat16), 1e-5f); }),
            "weight is BF16, expected F32");
}

}  // namespace
}  // namespace minimax::ops
