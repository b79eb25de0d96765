#include "ops/gather.h"

#include "ops/test_targets.h"

namespace minimax::ops {
namespace {

TEST(GatherRows, CopiesTheRowsAskedFor) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(1);
    const Tensor x = random.normal({5, 7});
    const std::vector<int32_t> rows = {4, 0, 0, 3};
    const Tensor out = gather_rows(ctx, x, test::int32s(rows));
    ASSERT_EQ(out.shape(), Shape({4, 7}));
    for (int64_t i = 0; i < 4; ++i) EXPECT_TRUE(test::same_bits(out.rows(i, i + 1), x.rows(rows[i], rows[i] + 1)));
    EXPECT_EQ(gather_rows(ctx, x, test::int32s({})).shape(), Shape({0, 7}));
  });
}

TEST(GatherRows, Errors) {
  test::Machine machine(cpu::kernels(), 1);
  const Tensor x = Tensor::zeros({3, 4}, DType::kFloat32), rows = test::int32s({0, 1});
  auto error = [&](const Tensor& x, const Tensor& rows) {
    return test::error_of([&] { gather_rows(machine.ctx(), x, rows); });
  };
  EXPECT_EQ(error(x, test::int32s({0, 3})), "gather_rows: row 1 is 3, expected 0 to 2");
  EXPECT_EQ(error(x, test::int32s({-1})), "gather_rows: row 0 is -1, expected 0 to 2");
  EXPECT_EQ(error(x.view({12}), rows), "gather_rows: rows [2] of x [12]");
  EXPECT_EQ(error(x, rows.view({1, 2})), "gather_rows: rows [1, 2] of x [3, 4]");
  EXPECT_EQ(error(Tensor::zeros({3, 4}, DType::kBFloat16), rows), "x is BF16, expected F32");
  EXPECT_EQ(error(x, Tensor::zeros({2}, DType::kInt64)), "rows is I64, expected I32");
}

}  // namespace
}  // namespace minimax::ops
