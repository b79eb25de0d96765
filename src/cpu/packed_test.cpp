// Packed products against plain C++ over unpacked weights, for every format and instruction set.
#include "cpu/packed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/rng.h"
#include "cpu/isa.h"
#include "cpu/linear.h"
#include "cpu/moe.h"
#include "quant/panel.h"
#include "quant/quantize.h"

namespace minimax::cpu {
namespace {

std::vector<float> normal(Rng& rng, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

/// A random matrix and the float32 values that its codes stand for.
struct Packed {
  Packed(quant::Format format, int64_t outputs, int64_t inputs, uint64_t seed) {
    Rng rng(seed);
    const std::vector<float> dense = normal(rng, outputs * inputs);
    const Tensor data = Tensor::empty({quant::panel_count(outputs), quant::panel_bytes(format, inputs)}, DType::kUInt8);
    auto* bytes = reinterpret_cast<std::byte*>(data.data<uint8_t>());
    for (int64_t first = 0; first < outputs; first += quant::kPanelRows)
      quant::quantize_panel(format, inputs, std::min(quant::kPanelRows, outputs - first), dense.data() + first * inputs,
                            nullptr, quant::Rounding::kNearest,
                            bytes + first / quant::kPanelRows * quant::panel_bytes(format, inputs));
    weight = packed_weight(data, format, outputs, inputs);
    values.resize(dense.size());
    quant::dequantize_rows(format, inputs, bytes, 0, outputs, values.data());
  }
  Weight weight;
  std::vector<float> values;  ///< [outputs, inputs]
};

/// What quantize_row promises, in plain C++: the values that a row's codes stand for.
std::vector<double> as_quantized(const float* x, int64_t k) {
  std::vector<double> values(static_cast<size_t>(k));
  for (int64_t begin = 0; begin < k; begin += quant::kBlock) {
    const int64_t end = std::min(begin + quant::kBlock, k);
    float peak = 0;
    for (int64_t i = begin; i < end; ++i) peak = std::max(peak, std::abs(x[i]));
    for (int64_t i = begin; i < end; ++i)
      values[i] = peak == 0 ? 0 : std::nearbyint(x[i] * (127.0f / peak)) * static_cast<double>(peak / 127.0f);
  }
  return values;
}

struct Fixture {
  explicit Fixture(int thread_count) : threads(thread_count), ctx{.arena = &arena, .threads = &threads} {
    arena.poison();
  }
  Arena arena;
  ThreadPool threads;
  Context ctx;
};

template <typename Body>
void for_each_table(const Body& body) {
  for (const Kernels* table : usable_kernels()) {
    const ScopedKernels scoped(*table);
    body(std::string(table->isa));
  }
}

TEST(Packed, AgreesWithPlainProductsOfUnpackedWeights) {
  Fixture fixture(1);
  struct Size {
    int64_t outputs, inputs;
  };
  for_each_table([&](const std::string& isa) {
    for (const quant::Format format : quant::all_formats())
      for (const Size size : {Size{1, 32}, Size{33, 100}, Size{64, 256}, Size{70, 560}}) {
        const Packed packed(format, size.outputs, size.inputs, 1);
        Rng rng(2);
        const int64_t rows = 11;
        const Tensor x = Tensor::from<float>(normal(rng, rows * size.inputs), {rows, size.inputs});
        const Tensor y = fixture.ctx.empty({rows, size.outputs});
        linear(fixture.ctx, x, packed.weight, y);
        for (int64_t row = 0; row < rows; ++row) {
          const std::vector<double> values = as_quantized(x.data<float>() + row * size.inputs, size.inputs);
          for (int64_t o = 0; o < size.outputs; ++o) {
            double sum = 0, magnitude = 0;
            for (int64_t k = 0; k < size.inputs; ++k) {
              const double product = values[k] * static_cast<double>(packed.values[o * size.inputs + k]);
              sum += product;
              magnitude += std::abs(product);
            }
            ASSERT_NEAR(y.data<float>()[row * size.outputs + o], sum, 1e-6 * magnitude)
                << isa << ", " << quant::name(format) << " [" << size.outputs << ", " << size.inputs << "], row " << row
                << ", output " << o;
          }
        }
      }
  });
}

TEST(Packed, ARowsBitsDependOnNeitherRowsNorThreads) {
  Fixture one(1), three(3);
  for_each_table([&](const std::string& isa) {
    for (const quant::Format format : quant::all_formats()) {
      const int64_t outputs = 200, inputs = 600, rows = 29;
      const Packed packed(format, outputs, inputs, 3);
      Rng rng(4);
      const Tensor x = Tensor::from<float>(normal(rng, rows * inputs), {rows, inputs});
      const Tensor all = one.ctx.empty({rows, outputs});
      linear(one.ctx, x, packed.weight, all);
      for (const int64_t count : {1, 2, 3, 4, 5, 8, 13, 28})
        for (int64_t first = 0; first + count <= rows; first += count) {
          const Tensor some = three.ctx.empty({count, outputs});
          linear(three.ctx, x.rows(first, first + count), packed.weight, some);
          ASSERT_EQ(std::memcmp(some.raw(), all.rows(first, first + count).raw(), static_cast<size_t>(some.bytes())), 0)
              << isa << ", " << quant::name(format) << ", rows " << first << " to " << first + count;
        }
    }
  });
}

TEST(Packed, WithMoreRowsThanWaitAtATime) {
  Fixture fixture(2);
  const Packed packed(quant::Format::kQ4, 32, 64, 5);
  Rng rng(6);
  const int64_t rows = 1030;
  const Tensor x = Tensor::from<float>(normal(rng, rows * 64), {rows, 64});
  const Tensor all = fixture.ctx.empty({rows, 32}), last = fixture.ctx.empty({1, 32});
  linear(fixture.ctx, x, packed.weight, all);
  linear(fixture.ctx, x.rows(rows - 1, rows), packed.weight, last);
  EXPECT_EQ(std::memcmp(last.raw(), all.rows(rows - 1, rows).raw(), static_cast<size_t>(last.bytes())), 0);
}

TEST(Packed, RowsAreQuantizedAlikeByEveryTable) {
  Rng rng(7);
  std::vector<float> x = normal(rng, 700);
  std::fill(x.begin() + 256, x.begin() + 512, 0.0f);  // a block of nothing
  x[600] = 1000;
  std::vector<int8_t> expected_codes;
  for_each_table([&](const std::string& isa) {
    std::vector<int8_t> codes(704, 77);
    std::vector<QuantizedBlock> blocks(3);
    kernels().quantize_row(x.data(), 700, codes.data(), blocks.data());
    EXPECT_EQ(blocks[1].scale, 0);
    EXPECT_EQ(blocks[2].scale, 1000.0f / 127.0f);
    for (int64_t i = 0; i < 704; ++i) {
      const double value = i < 700 ? as_quantized(x.data(), 700)[i] : 0;
      ASSERT_EQ(codes[i] * static_cast<double>(blocks[i / 256].scale), value) << isa << ", " << i;
    }
    for (const QuantizedBlock& block : blocks) {
      int total = 0;
      for (int group = 0; group < 8; ++group) {
        int sum = 0;
        for (int i = 0; i < 32; ++i) {
          const int64_t at = (&block - blocks.data()) * 256 + group * 32 + i;
          sum += at < 704 ? codes[at] : 0;
        }
        EXPECT_EQ(block.sums[group], sum) << isa;
        total += sum;
      }
      EXPECT_EQ(block.wide_start, -128 * total) << isa;
    }
  });
}

TEST(Packed, WhatIsNotFiniteShowsInItsRowAlone) {
  Fixture fixture(1);
  for_each_table([&](const std::string& isa) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      const Packed packed(quant::Format::kQ8, 32, 64, 8);
      Rng rng(9);
      const Tensor x = Tensor::from<float>(normal(rng, 3 * 64), {3, 64}), y = fixture.ctx.empty({3, 32});
      x.data<float>()[64 + 5] = bad;
      linear(fixture.ctx, x, packed.weight, y);
      for (int64_t o = 0; o < 32; ++o) {
        EXPECT_TRUE(std::isfinite(y.data<float>()[o])) << isa;
        EXPECT_TRUE(std::isnan(y.data<float>()[32 + o])) << isa;
        EXPECT_TRUE(std::isfinite(y.data<float>()[64 + o])) << isa;
      }
    }
  });
}

TEST(Packed, TwoPartsKeepFifteenBits) {
  Fixture fixture(2);
  for_each_table([&](const std::string& isa) {
    const int64_t outputs = 70, inputs = 560, rows = 5;
    const Packed packed(quant::Format::kQ8, outputs, inputs, 1);
    Rng rng(2);
    const Tensor x = Tensor::from<float>(normal(rng, rows * inputs), {rows, inputs});
    const Tensor y = fixture.ctx.empty({rows, outputs}), alone = fixture.ctx.empty({1, outputs});
    linear_in_two_parts(fixture.ctx, x, packed.weight, y);
    linear_in_two_parts(fixture.ctx, x.rows(3, 4), packed.weight, alone);
    EXPECT_EQ(std::memcmp(alone.raw(), y.rows(3, 4).raw(), static_cast<size_t>(alone.bytes())), 0) << isa;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t o = 0; o < outputs; ++o) {
        double sum = 0;
        for (int64_t k = 0; k < inputs; ++k)
          sum += static_cast<double>(x.data<float>()[row * inputs + k]) *
                 static_cast<double>(packed.values[o * inputs + k]);
        // Of 560 products of normal numbers with errors of 1 in 2^15 of the largest.
        ASSERT_NEAR(y.data<float>()[row * outputs + o], sum, 0.003) << isa << ", row " << row << ", output " << o;
      }
  });
}

TEST(PackedExperts, AreTheProductsOneByOne) {
  Fixture one(1), three(3);
  const int64_t hidden = 96, ffn = 352, tokens = 9, top_k = 2, count = 4;
  std::vector<Packed> matrices;
  for (int64_t e = 0; e < count; ++e) {
    matrices.emplace_back(quant::Format::kQ4, ffn, hidden, 10 + e);
    matrices.emplace_back(quant::Format::kQ5, ffn, hidden, 20 + e);
    matrices.emplace_back(quant::Format::kQ6, hidden, ffn, 30 + e);
  }
  std::vector<ExpertTensors> experts_of;
  for (int64_t e = 0; e < count; ++e)
    experts_of.push_back({&matrices[3 * e].weight, &matrices[3 * e + 1].weight, &matrices[3 * e + 2].weight});
  Rng rng(40);
  const Tensor x = Tensor::from<float>(normal(rng, tokens * hidden), {tokens, hidden});
  const Tensor weights = Tensor::from<float>(normal(rng, tokens * top_k), {tokens, top_k});
  std::vector<int32_t> choice;  // expert 3 is nobody's
  for (int64_t token = 0; token < tokens; ++token) {
    choice.push_back(static_cast<int32_t>(token % 3));
    choice.push_back(static_cast<int32_t>((token + 1 + token / 5) % 3));
  }
  const Tensor chosen = Tensor::from<int32_t>(choice, {tokens, top_k});
  for_each_table([&](const std::string& isa) {
    const Tensor out = three.ctx.empty({tokens, hidden});
    experts(three.ctx, x, chosen, weights, experts_of, out);
    for (int64_t token = 0; token < tokens; ++token) {
      std::vector<float> expected(hidden, 0);
      for (int64_t rank = 0; rank < top_k; ++rank) {
        const ExpertTensors& expert = experts_of[choice[token * top_k + rank]];
        const Tensor gate = one.ctx.empty({1, ffn}), up = one.ctx.empty({1, ffn}), h = one.ctx.empty({1, ffn}),
                     y = one.ctx.empty({1, hidden});
        linear(one.ctx, x.rows(token, token + 1), *expert.gate, gate);
        linear(one.ctx, x.rows(token, token + 1), *expert.up, up);
        kernels().silu_mul(gate.data<float>(), up.data<float>(), ffn, h.data<float>());
        linear(one.ctx, h, *expert.down, y);
        kernels().scaled_add(weights.data<float>()[token * top_k + rank], y.data<float>(), 1.0f, expected.data(),
                             hidden, expected.data());
      }
      ASSERT_EQ(std::memcmp(expected.data(), out.data<float>() + token * hidden, hidden * sizeof(float)), 0)
          << isa << ", token " << token;
    }
  });
}

}  // namespace
}  // namespace minimax::cpu
