#include "ops/embedding.h"

#include "ops/test_targets.h"

namespace minimax::ops {
namespace {

TEST(Embedding, CopiesRowsExactly) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(1);
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16})
      for (const int64_t hidden : {1, 7, 17, 6144}) {
        const Tensor table = random.normal({11, hidden}, 1, dtype);
        const std::vector<int32_t> tokens = {10, 0, 3, 3, 10, 1, 2};
        EXPECT_EQ(test::relative_error(embedding(ctx, {table}, test::int32s(tokens)),
                                       reference::embedding(test::exact(table), tokens)),
                  0)
            << dtype << " " << hidden;
      }
  });
}

TEST(Embedding, NoTokensGiveNoRows) {
  test::Machine machine(cpu::kernels(), 1);
  EXPECT_EQ(embedding(machine.ctx(), {Tensor::zeros({3, 4}, DType::kFloat32)}, test::int32s({})).shape(),
            Shape({0, 4}));
}

TEST(Embedding, Errors) {
  test::Machine machine(cpu::kernels(), 1);
  const Tensor table = Tensor::zeros({3, 4}, DType::kFloat32);
  auto error = [&](const Tensor& table, const Tensor& tokens) {
    return test::error_of([&] { embedding(machine.ctx(), {table}, tokens); });
  };
  EXPECT_EQ(error(table, test::int32s({0, 2, 3})), "embedding: token 2 has id 3, expected 0 to 2");
  EXPECT_EQ(error(table, test::int32s({-1})), "embedding: token 0 has id -1, expected 0 to 2");
  EXPECT_EQ(error(table, Tensor::zeros({2}, DType::kInt64)), "tokens is I64, expected I32");
  EXPECT_EQ(error(table, Tensor::zeros({2, 1}, DType::kInt32)), "embedding: tokens are [2, 1], expected [tokens]");
  EXPECT_EQ(error(table.view({12}), test::int32s({0})), "embedding: table is [12], expected [vocab, hidden]");
  EXPECT_EQ(error(Tensor::zeros({3, 4}, DType::kUInt8), test::int32s({0})),
            "embedding table is U8, expected F32, BF16 or F16");
}

}  // namespace
}  // namespace minimax::ops
