#include "ops/log_probs.h"

#include "ops/test_targets.h"

namespace minimax::ops {
namespace {

using test::exact;

std::vector<int32_t> random_targets(test::Random& random, int64_t rows, int64_t vocab) {
  std::vector<int32_t> targets;
  for (int64_t row = 0; row < rows; ++row) targets.push_back(static_cast<int32_t>(random.below(vocab)));
  return targets;
}

TEST(LogProbs, AgreesWithFloat64Reference) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(1);
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16})
      for (const int64_t vocab : {1, 2, 33, 1000}) {
        const Tensor x = random.normal({7, 40}), head = random.normal({vocab, 40}, 0.5f, dtype);
        const std::vector<int32_t> targets = random_targets(random, 7, vocab);
        const test::Matrix logits = reference::linear(exact(x), exact(head));
        const Tensor got = log_probs(ctx, x, {head}, test::int32s(targets));
        for (int64_t row = 0; row < 7; ++row) {
          const double* of_row = &logits(row, 0);
          const double want = std::log(reference::softmax(std::vector<double>(of_row, of_row + vocab))[targets[row]]);
          EXPECT_NEAR(got.data<float>()[row], want, 3e-6) << dtype << " " << vocab;
        }
      }
  });
}

// Blocks of rows, threads and precision of the products change no bit of a row.
TEST(LogProbs, RowDoesNotDependOnTheOthers) {
  test::Random random(2);
  constexpr int64_t kRows = 18, kVocab = 1000 * 1000;  // 16 rows to a block
  const Tensor x = random.normal({kRows, 2}), head = Tensor::empty({kVocab, 2}, DType::kBFloat16);
  const Tensor some = random.normal({1000, 2}, 1, DType::kBFloat16);
  for (int64_t i = 0; i < head.elements(); ++i) head.data<bfloat16>()[i] = some.data<bfloat16>()[i % 2000];
  const Tensor targets = test::int32s(random_targets(random, kRows, kVocab));
  for (const int threads : {1, 5}) {
    test::Machine machine(cpu::kernels(), threads);
    Context ctx = machine.ctx();
    const Tensor all = log_probs(ctx, x, {head}, targets);
    ctx.matmul_precision = MatmulPrecision::kBFloat16;  // the head stays in float32
    for (const int64_t row : {0, 15, 16, 17})
      EXPECT_TRUE(test::same_bits(log_probs(ctx, x.rows(row, row + 1), {head}, targets.rows(row, row + 1)),
                                  all.rows(row, row + 1)))
          << row;
  }
}

TEST(LogProbs, Errors) {
  test::Machine machine(cpu::kernels(), 1);
  const Tensor x = Tensor::zeros({2, 4}, DType::kFloat32), head = Tensor::zeros({5, 4}, DType::kFloat32);
  const Tensor targets = test::int32s({0, 4});
  auto error = [&](const Tensor& x, const Tensor& head, const Tensor& targets) {
    return test::error_of([&] { log_probs(machine.ctx(), x, {head}, targets); });
  };
  EXPECT_EQ(error(x, head, targets), "no error");
  EXPECT_EQ(error(x, head, test::int32s({0, 5})), "log_probs: target 1 is 5, expected 0 to 4");
  EXPECT_EQ(error(x, head, test::int32s({-1, 0})), "log_probs: target 0 is -1, expected 0 to 4");
  EXPECT_EQ(error(x, head, test::int32s({0})), "log_probs: targets [1] for x [2, 4]");
  EXPECT_EQ(error(x.view({8}), head, targets), "log_probs: targets [2] for x [8]");
  EXPECT_EQ(error(x, head, Tensor::zeros({2}, DType::kInt64)), "targets is I64, expected I32");
  EXPECT_EQ(error(x, Tensor::zeros({5, 3}, DType::kFloat32), targets), "linear: weight [5, 3] for x [2, 4]");
}

}  // namespace
}  // namespace minimax::ops
