#include "ops/rotary.h"

#include "ops/test_targets.h"

namespace minimax::ops {
namespace {

using test::exact;
using test::int32s;
using test::relative_error;

constexpr double kTheta = 1e7;
const std::vector<int32_t> kPositions = {0, 1, 4095, 1000000, 10000000};

TEST(Rotary, AgreesWithFloat64ReferenceAtPartialWidths) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(1);
    struct Size {
      int64_t heads, head_dim, rotary_dim;
    };
    for (const Size& size : {Size{64, 128, 64}, Size{2, 128, 128}, Size{3, 20, 6}, Size{1, 2, 2}, Size{2, 16, 0}}) {
      const Tensor x = random.normal({5, size.heads * size.head_dim}), positions = int32s(kPositions);
      const Tensor out = rotate(ctx, x, rotary_table(ctx, positions, size.rotary_dim, kTheta), size.head_dim);
      const auto want = reference::rotate(exact(x), kPositions, size.head_dim, size.rotary_dim, kTheta);
      EXPECT_LT(relative_error(out, want), 1e-7) << size.rotary_dim << " of " << size.head_dim;
      for (int64_t i = 0; i < x.elements(); ++i)
        if (i % size.head_dim >= size.rotary_dim) {
          ASSERT_EQ(out.data<float>()[i], x.data<float>()[i]) << i;
        }
    }
  });
}

// Pairs are (j, j + 32): with everything but dimension j zero, only j and j + 32 of the result are not.
TEST(Rotary, PairsAreHalfTheRotaryWidthApart) {
  test::for_each_isa([](const Context& ctx) {
    const Tensor table = rotary_table(ctx, int32s({7}), 64, kTheta);
    for (int64_t j = 0; j < 64; ++j) {
      const Tensor x = Tensor::zeros({1, 128}, DType::kFloat32);
      x.data<float>()[j] = 1;
      const Tensor out = rotate(ctx, x, table, 128);
      const double angle = 7 * std::pow(kTheta, -2.0 * static_cast<double>(j % 32) / 64);
      for (int64_t d = 0; d < 128; ++d) {
        const double want = d == j                  ? std::cos(angle)
                            : d == j + 32 && j < 32 ? std::sin(angle)
                            : d == j - 32           ? -std::sin(angle)
                                                    : 0;
        EXPECT_NEAR(out.data<float>()[d], d < 64 ? want : 0, 1e-6) << "from " << j << " to " << d;
      }
    }
  });
}

// The angle is the float32 product, as published: at position 10,000,000 the exact one is far away.
TEST(Rotary, AnglesAreFloat32Products) {
  test::for_each_isa([](const Context& ctx) {
    const Tensor table = rotary_table(ctx, int32s(kPositions), 64, kTheta);
    ASSERT_EQ(table.shape(), Shape({5, 2, 32}));
    double furthest = 0;
    for (int64_t token = 0; token < 5; ++token)
      for (int64_t j = 0; j < 32; ++j) {
        const float inverse = 1.0f / static_cast<float>(std::pow(kTheta, static_cast<double>(2 * j) / 64));
        const double angle = static_cast<double>(static_cast<float>(kPositions[token]) * inverse);
        EXPECT_EQ(table.data<float>()[token * 64 + j], static_cast<float>(std::cos(angle)));
        EXPECT_EQ(table.data<float>()[token * 64 + 32 + j], static_cast<float>(std::sin(angle)));
        furthest = std::max(furthest,
                            std::abs(angle - kPositions[token] * std::pow(kTheta, -static_cast<double>(2 * j) / 64)));
      }
    EXPECT_GT(furthest, 0.1);
  });
}

TEST(Rotary, ATokenDoesNotDependOnTheOthers) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(2);
    const Tensor x = random.normal({5, 2 * 32}), positions = int32s(kPositions);
    const Tensor all = rotate(ctx, x, rotary_table(ctx, positions, 16, kTheta), 32);
    for (int64_t token = 0; token < 5; ++token) {
      const Tensor table = rotary_table(ctx, positions.rows(token, token + 1), 16, kTheta);
      EXPECT_TRUE(test::same_bits(rotate(ctx, x.rows(token, token + 1), table, 32), all.rows(token, token + 1)));
    }
  });
}

TEST(Rotary, Errors) {
  test::Machine machine(cpu::kernels(), 1);
  const Context ctx = machine.ctx();
  const Tensor positions = int32s({0, 1}), x = Tensor::zeros({2, 16}, DType::kFloat32);
  const Tensor table = rotary_table(ctx, positions, 4, kTheta);
  EXPECT_EQ(test::error_of([&] { rotary_table(ctx, positions, 5, kTheta); }),
            "rotary_table: rotary_dim is 5, expected an even number");
  EXPECT_EQ(test::error_of([&] { rotary_table(ctx, positions, -2, kTheta); }),
            "rotary_table: rotary_dim is -2, expected an even number");
  EXPECT_EQ(test::error_of([&] { rotary_table(ctx, x, 4, kTheta); }),
            "rotary_table: positions are F32 [2, 16], expected I32 [tokens]");
  EXPECT_EQ(test::error_of([&] { rotary_table(ctx, positions.view({1, 2}), 4, kTheta); }),
            "rotary_table: positions are I32 [1, 2], expected I32 [tokens]");
  EXPECT_EQ(test::error_of([&] { rotate(ctx, Tensor::zeros({2, 16}, DType::kBFloat16), table, 8); }),
            "x is BF16, expected F32");
  auto misfit = [&](const Tensor& x, const Tensor& table, int64_t head_dim) {
    const std::string want = cat("rotate: x ", x.shape(), " with table ", table.shape(), " and head_dim ", head_dim);
    EXPECT_EQ(test::error_of([&] { rotate(ctx, x, table, head_dim); }), want);
  };
  misfit(x, table, 2);                                          // narrower than the rotation
  misfit(x, table, 5);                                          // 16 is no multiple
  misfit(x, table, 0);                                          // no heads
  misfit(x.rows(0, 1), table, 8);                               // another number of tokens
  misfit(x, table.view({2, 4}), 8);                             // not [tokens, 2, pairs]
  misfit(x, Tensor::zeros({2, 1, 4}, DType::kFloat32), 8);      // cosines without sines
  misfit(Tensor::zeros({2, 2, 8}, DType::kFloat32), table, 8);  // rank
}

}  // namespace
}  // namespace minimax::ops
