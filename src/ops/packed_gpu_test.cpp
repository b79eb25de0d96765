// Ops with packed weights on a GPU against the same ops on the CPU with the float32 weights that the packed ones stand
// for: every format, few rows and many, exact and rounded. Without a GPU: on a module that plays one.
#include "ops/embedding.h"
#include "ops/linear.h"
#include "ops/moe.h"
#include "ops/test_gpu.h"
#include "quant/quantize.h"
#include "quant/weight.h"

namespace minimax::ops {
namespace {

using test::Both;
using test::Random;

/// A matrix packed, on the host, and the numbers it stands for.
struct Matrix {
  Matrix(const Context& ctx, Random& random, quant::Format format, int64_t outputs, int64_t inputs) {
    const Tensor given = random.normal({outputs, inputs}, 1 / std::sqrt(static_cast<float>(inputs)));
    const Tensor bytes = Tensor::empty({quant::packed_bytes(format, outputs, inputs)}, DType::kUInt8);
    quant::quantize_matrix(
        format, outputs, inputs,
        [&](int64_t first, int64_t rows, float* out) {
          std::copy_n(given.data<float>() + first * inputs, rows * inputs, out);
        },
        nullptr, quant::Rounding::kNearest, *ctx.threads, static_cast<std::byte*>(bytes.raw()));
    packed = packed_weight(bytes, format, outputs, inputs);
    const Tensor wide = Tensor::empty({outputs, inputs}, DType::kFloat32);
    quant::dequantize_rows(format, inputs, static_cast<const std::byte*>(bytes.raw()), 0, outputs, wide.data<float>());
    dense = {wide};
  }
  Weight packed, dense;
};

Weight on_gpu(const Weight& weight) {
  return {to_memory(weight.data, &test::gpu()), weight.format, weight.packed_shape};
}

/// What a device's products leave of float32's precision, for rows of normal numbers.
double tolerance(const Context& ctx, int64_t rows, bool float32_activations, int64_t k) {
  if (ctx.matmul_precision == MatmulPrecision::kFloat32) return 1e-5;
  if (!ctx.deterministic && rows <= 8) return 2e-4;  // 15 bits of the largest of 256
  // Weights are rounded to bfloat16 whatever the activations are.
  return float32_activations || k <= 128 ? 4e-3 : 6e-3;
}

TEST(PackedOnGpu, Linear) {
  Both both;
  Random random(1);
  for (const quant::Format format : quant::all_formats())
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{32, 32}, {7, 100}, {300, 160}, {96, 520}, {1030, 1100}}) {
      if (test::played() && n > 300) continue;
      const Matrix matrix(both.host(), random, format, n, k);
      const Weight there = on_gpu(matrix.packed);
      for (const int64_t rows : {1, 3, 5, 8, 9, 64, 65, 300}) {
        if (test::played() && rows > 9) continue;
        const Tensor x = random.normal({rows, k});
        const Tensor want = linear(both.host(), x, matrix.dense);
        for (const MatmulPrecision precision : test::kPrecisions)
          for (const bool deterministic : {false, true}) {
            Context ctx = both.device(precision);
            ctx.deterministic = deterministic;
            const testing::ScopedTrace trace(
                __FILE__, __LINE__, cat(quant::name(format), " ", rows, " x ", n, " x ", k, " ", deterministic));
            const Tensor x_there = to_memory(x, &test::gpu());
            EXPECT_LT(test::distance(linear(ctx, x_there, there), want), tolerance(ctx, rows, false, k));
            EXPECT_LT(test::distance(linear_float32(ctx, x_there, there), want), tolerance(ctx, rows, true, k));
          }
      }
    }
}

// P2: rows beside it change no bit of a row.
TEST(PackedOnGpu, ARowDoesNotDependOnOthers) {
  Both both;
  Random random(2);
  for (const quant::Format format : quant::all_formats()) {
    const Matrix matrix(both.host(), random, format, 200, 300);
    const Weight there = on_gpu(matrix.packed);
    const int64_t rows = test::played() ? 20 : 400;
    const Tensor x = random.normal({rows, 300});
    for (const MatmulPrecision precision : test::kPrecisions) {
      Context ctx = both.device(precision);
      ctx.deterministic = true;
      const Tensor all = to_host(linear(ctx, to_memory(x, &test::gpu()), there));
      for (const int64_t row : {int64_t{0}, int64_t{17}, rows - 1}) {
        const Tensor one = to_host(linear(ctx, to_memory(x.rows(row, row + 1), &test::gpu()), there));
        for (int64_t i = 0; i < 200; ++i)
          ASSERT_EQ(one.data<float>()[i], all.data<float>()[row * 200 + i]) << quant::name(format) << " row " << row;
      }
    }
  }
}

TEST(PackedOnGpu, Embedding) {
  Both both;
  Random random(3);
  for (const quant::Format format : quant::all_formats()) {
    const Matrix matrix(both.host(), random, format, 70, 300);
    const Tensor ids = test::int32s({0, 31, 32, 69, 5, 5});
    const Tensor got = to_host(embedding(both.device(MatmulPrecision::kBFloat16), on_gpu(matrix.packed), ids));
    const Tensor want = embedding(both.host(), matrix.dense, ids);
    for (int64_t i = 0; i < want.elements(); ++i)
      ASSERT_EQ(got.data<float>()[i], want.data<float>()[i]) << quant::name(format) << " " << i;
  }
}

TEST(PackedOnGpu, Mixture) {
  Both both;
  Random random(4);
  constexpr int64_t kExperts = 5, kTopK = 2;
  for (const quant::Format format : quant::all_formats())
    for (const auto& [hidden, ffn] : {std::pair<int64_t, int64_t>{64, 96}, {160, 200}, {640, 384}}) {
      if (test::played() && hidden > 200) continue;
      std::vector<ExpertWeights> dense, packed;
      std::vector<Tensor> parts;
      int64_t bytes = 0;
      for (int64_t e = 0; e < kExperts; ++e) {
        const Matrix gate(both.host(), random, format, ffn, hidden), up(both.host(), random, format, ffn, hidden);
        const Matrix down(both.host(), random, quant::Format::kQ8, hidden, ffn);
        dense.push_back({gate.dense, up.dense, down.dense});
        packed.push_back({gate.packed, up.packed, down.packed});
        bytes += gate.packed.data.bytes() * 2 + down.packed.data.bytes();
      }
      const Tensor block = Tensor::empty({bytes}, DType::kUInt8, &test::gpu());
      int64_t next = 0;
      for (ExpertWeights& expert : packed)
        for (Weight* weight : {&expert.gate, &expert.up, &expert.down}) {
          const Tensor place = block.rows(next, next + weight->data.bytes()).view(weight->data.shape());
          copy_bytes(weight->data, place);
          weight->data = place;
          next += place.bytes();
        }
      for (const int64_t tokens : {1, 4, 5, 70, 500}) {
        if (test::played() && tokens > 5) continue;
        const Tensor x = random.normal({tokens, hidden}), logits = random.normal({tokens, kExperts});
        const Tensor want = mix_experts(both.host(), x, route(both.host(), logits, kTopK), dense);
        for (const MatmulPrecision precision : test::kPrecisions)
          for (const bool deterministic : {false, true}) {
            Context ctx = both.device(precision);
            ctx.deterministic = deterministic;
            const Tensor there = to_memory(x, &test::gpu()), z = to_memory(logits, &test::gpu());
            const Tensor got = mix_experts(ctx, there, route(ctx, z, kTopK), packed);
            const bool few = !deterministic && tokens * kTopK <= 8;
            EXPECT_LT(test::distance(got, want),
                      precision == MatmulPrecision::kFloat32 || (!few && std::min(hidden, ffn) <= 128) ? 2e-5
                      : few                                                                            ? 4e-4
                                                                                                       : 1e-2)
                << quant::name(format) << ", " << tokens << " tokens, " << hidden << " x " << ffn
                << (deterministic ? ", deterministic" : "");
          }
      }
    }
}

TEST(PackedOnGpu, ExpertsMustBeAlike) {
  Both both;
  Random random(5);
  std::vector<ExpertWeights> experts;
  for (const quant::Format format : {quant::Format::kQ8, quant::Format::kQ4}) {
    const Matrix gate(both.host(), random, format, 32, 32);
    experts.push_back({on_gpu(gate.packed), on_gpu(gate.packed), on_gpu(gate.packed)});
  }
  const Context ctx = both.device(MatmulPrecision::kBFloat16);
  const Tensor x = to_memory(random.normal({1, 32}), &test::gpu());
  const Routing routing = route(ctx, to_memory(random.normal({1, 2}), &test::gpu()), 1);
  try {
    mix_experts(ctx, x, routing, experts);
    FAIL() << "two formats";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("the matrices of expert 1"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace minimax::ops
