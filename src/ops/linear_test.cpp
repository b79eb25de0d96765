#include "ops/linear.h"

#include "ops/test_targets.h"

namespace minimax::ops {
namespace {

using test::exact;
using test::relative_error;

constexpr DType kWeightTypes[] = {DType::kFloat32, DType::kBFloat16, DType::kFloat16};

TEST(Linear, AgreesWithFloat64Reference) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(1);
    struct Size {
      int64_t rows, inputs, outputs;
    };
    for (const DType dtype : kWeightTypes)
      for (const Size& size : {Size{1, 1, 1}, Size{3, 7, 5}, Size{5, 33, 17}, Size{9, 64, 100}, Size{2, 6144, 19}}) {
        const Tensor x = random.normal({size.rows, size.inputs});
        const Tensor weight = random.normal({size.outputs, size.inputs}, 1, dtype);
        EXPECT_LT(relative_error(linear(ctx, x, {weight}), reference::linear(exact(x), exact(weight))), 1e-6)
            << dtype << " " << size.rows << " rows, " << size.inputs << " -> " << size.outputs;
      }
  });
}

TEST(Linear, RowDoesNotDependOnTheOthers) {
  test::for_each_target([](Context ctx) {
    test::Random random(2);
    for (const MatmulPrecision precision : {MatmulPrecision::kFloat32, MatmulPrecision::kBFloat16})
      for (const DType dtype : kWeightTypes) {
        ctx.matmul_precision = precision;
        const Tensor x = random.normal({35, 100}), weight = random.normal({37, 100}, 1, dtype);
        const Tensor all = linear(ctx, x, {weight});
        for (const int64_t rows : {1, 2, 3, 7, 16})
          for (int64_t first = 0; first + rows <= 35; first += rows)
            ASSERT_TRUE(
                test::same_bits(linear(ctx, x.rows(first, first + rows), {weight}), all.rows(first, first + rows)))
                << dtype << ", rows " << first << " to " << first + rows;
      }
  });
}

TEST(Linear, BFloat16ActivationsAreAskedForAndRounded) {
  test::for_each_target([](Context ctx) {
    test::Random random(3);
    const Tensor x = random.normal({3, 200}), weight = random.normal({20, 200}, 1, DType::kBFloat16);
    const Tensor exactly = linear(ctx, x, {weight});
    ctx.matmul_precision = MatmulPrecision::kBFloat16;
    const Tensor rounded = linear(ctx, x, {weight});
    test::Matrix x16 = exact(x);
    for (double& value : x16.values) value = static_cast<double>(to_float(to_bfloat16(static_cast<float>(value))));
    if (cpu::kernels().has_bf16_dot)
      EXPECT_LT(relative_error(rounded, reference::linear(x16, exact(weight))), 1e-6);
    else
      EXPECT_TRUE(test::same_bits(rounded, exactly));
  });
}

TEST(Linear, NoRowsNoOutputsAndNoInputs) {
  test::for_each_target([](const Context& ctx) {
    const Tensor x = Tensor::zeros({2, 3}, DType::kFloat32), weight = Tensor::zeros({4, 3}, DType::kFloat32);
    EXPECT_EQ(linear(ctx, x.rows(0, 0), {weight}).shape(), Shape({0, 4}));
    EXPECT_EQ(linear(ctx, x, {weight.rows(0, 0)}).shape(), Shape({2, 0}));
    const Tensor empty_sum =
        linear(ctx, Tensor::zeros({2, 0}, DType::kFloat32), {Tensor::zeros({4, 0}, DType::kFloat32)});
    for (const float value : empty_sum.span<float>()) EXPECT_EQ(value, 0.0f);
  });
}

TEST(Linear, Errors) {
  test::Machine machine(cpu::kernels(), 2);
  const Tensor x = Tensor::zeros({2, 3}, DType::kFloat32), weight = Tensor::zeros({4, 3}, DType::kFloat32);
  auto error = [&](const Tensor& x, const Tensor& weight) {
    return test::error_of([&] { linear(machine.ctx(), x, {weight}); });
  };
  EXPECT_EQ(error(Tensor::zeros({2, 3}, DType::kBFloat16), weight), "x is BF16, expected F32");
  EXPECT_EQ(error(x, weight.view({3, 4})), "linear: weight [3, 4] for x [2, 3]");
  EXPECT_EQ(error(x.view({6}), weight), "linear: weight [4, 3] for x [6]");
  EXPECT_EQ(error(x, weight.view({12})), "linear: weight [12] for x [2, 3]");
  EXPECT_EQ(error(x, Tensor::zeros({4, 3}, DType::kUInt8)), "weight is U8, expected F32, BF16 or F16");
}

}  // namespace
}  // namespace minimax::ops
