// The products of every instruction set against float64, and their promise: the same bits whatever else is computed.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/rng.h"
#include "cpu/isa.h"

namespace minimax::cpu {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// One product kernel with its weight type and what its activations are rounded to.
struct Case {
  std::string name;
  void (*matmul)(const MatmulArgs&);
  DType weight;
  DType value;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Kernels* k : usable_kernels()) {
    const std::string isa = k->isa;
    all.push_back({isa + " f32", k->matmul_f32, DType::kFloat32, DType::kFloat32});
    all.push_back({isa + " bf16", k->matmul_bf16, DType::kBFloat16, DType::kFloat32});
    all.push_back({isa + " f16", k->matmul_f16, DType::kFloat16, DType::kFloat32});
    if (k->has_bf16_dot) all.push_back({isa + " bf16 x bf16", k->matmul_bf16_bf16, DType::kBFloat16, DType::kBFloat16});
  }
  return all;
}

/// Values in the form a kernel reads, and as the float32 numbers that form stands for.
struct Matrix {
  std::vector<float> values;
  std::vector<uint16_t> halves;  // empty for F32

  Matrix(int64_t rows, int64_t columns, DType dtype, uint64_t stream) : values(static_cast<size_t>(rows * columns)) {
    Rng rng(1234, stream);
    for (float& value : values) {
      value = static_cast<float>(rng.normal());
      if (dtype == DType::kBFloat16) {
        halves.push_back(to_bfloat16(value).bits);
        value = to_float(bfloat16{halves.back()});
      } else if (dtype == DType::kFloat16) {
        halves.push_back(to_float16(value).bits);
        value = to_float(float16{halves.back()});
      }
    }
  }
  const void* at(int64_t index) const {
    return halves.empty() ? static_cast<const void*>(values.data() + index) : halves.data() + index;
  }
};

struct Problem {
  Matrix w, x;
  int64_t outputs, rows, k;

  Problem(const Case& c, int64_t outputs, int64_t rows, int64_t k)
      : w(outputs, k, c.weight, 1), x(rows, k, c.value, 2), outputs(outputs), rows(rows), k(k) {}

  /// y of rows [first_row, last_row) and outputs [first_output, last_output), [rows, outputs]; between the rows of the
  /// kernel's output lie gaps that it must leave alone.
  std::vector<float> multiply(const Case& c, int64_t first_row, int64_t last_row, int64_t first_output,
                              int64_t last_output) const {
    constexpr int64_t kGap = 3;
    const int64_t n = last_output - first_output, m = last_row - first_row;
    std::vector<float> y(static_cast<size_t>(m * (n + kGap)), kNan);
    c.matmul({.w = w.at(first_output * k),
              .x = x.at(first_row * k),
              .y = y.data(),
              .outputs = n,
              .rows = m,
              .k = k,
              .y_stride = n + kGap,
              .scratch = scratch()});
    std::vector<float> packed;
    for (int64_t row = 0; row < m; ++row) {
      const auto begin = y.begin() + row * (n + kGap);
      packed.insert(packed.end(), begin, begin + n);
      for (auto gap = begin + n; gap != begin + n + kGap; ++gap) EXPECT_TRUE(std::isnan(*gap)) << c.name;
    }
    return packed;
  }

  static void* scratch() {
    struct alignas(64) Block {
      float values[kMatmulScratchBytes / sizeof(float)];
    };
    static Block block;
    std::fill(std::begin(block.values), std::end(block.values), kNan);
    return block.values;
  }
};

/// Largest |got - exact| / sum |x w| over all outputs; NaN when some output was left out.
double largest_error(const Problem& p, const std::vector<float>& y) {
  double largest = 0;
  for (int64_t row = 0; row < p.rows; ++row)
    for (int64_t o = 0; o < p.outputs; ++o) {
      double exact = 0, magnitude = 0;
      for (int64_t i = 0; i < p.k; ++i) {
        const double product = double(p.x.values[row * p.k + i]) * p.w.values[o * p.k + i];
        exact += product;
        magnitude += std::abs(product);
      }
      const double error = std::abs(y[row * p.outputs + o] - exact) / magnitude;
      if (!(error <= largest)) largest = error;
    }
  return largest;
}

class Matmul : public testing::TestWithParam<Case> {};

TEST_P(Matmul, AgreesWithFloat64) {
  const Case& c = GetParam();
  // k: less than a vector, around 16 and 32, around one stretch of a tile (1024 or 2048), the real sizes.
  // rows and outputs: around the register tiles (4 x 2, 3 or 6) and the cache blocks (64 x 96).
  const struct {
    int64_t outputs, rows, k;
  } shapes[] = {{1, 1, 1},      {3, 2, 7},       {4, 1, 15},    {5, 3, 16},    {7, 4, 17},     {8, 6, 31},
                {9, 7, 32},     {1, 13, 33},     {63, 12, 100}, {64, 13, 255}, {65, 14, 1023}, {6, 97, 1025},
                {130, 95, 64},  {12, 200, 2047}, {4, 12, 2049}, {2, 20, 4097}, {20, 1, 6144},  {20, 8, 6144},
                {96, 33, 6144}, {10, 40, 9216},  {16, 2, 9216}, {5, 12, 8192}};
  for (const auto& s : shapes) {
    const Problem problem(c, s.outputs, s.rows, s.k);
    const double error = largest_error(problem, problem.multiply(c, 0, s.rows, 0, s.outputs));
    EXPECT_LT(error, 1e-6) << s.outputs << " outputs, " << s.rows << " rows, k " << s.k;
  }
}

TEST_P(Matmul, RowDoesNotDependOnItsCompany) {
  const Case& c = GetParam();
  for (int64_t k : {1, 33, 1000, 2080}) {
    constexpr int64_t kRows = 200, kOutputs = 71;
    const Problem problem(c, kOutputs, kRows, k);
    std::vector<float> alone;
    for (int64_t row = 0; row < kRows; ++row) {
      const std::vector<float> y = problem.multiply(c, row, row + 1, 0, kOutputs);
      alone.insert(alone.end(), y.begin(), y.end());
    }
    std::vector<int64_t> counts = {95, 96, 97, 113, 191, 192, 193, 200};
    for (int64_t rows = 2; rows <= 70; ++rows) counts.push_back(rows);
    for (int64_t rows : counts) {
      const std::vector<float> y = problem.multiply(c, 0, rows, 0, kOutputs);
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_EQ(std::bit_cast<uint32_t>(y[i]), std::bit_cast<uint32_t>(alone[i]))
            << rows << " rows, k " << k << ": row " << i / kOutputs << ", output " << i % kOutputs;
    }
  }
}

TEST_P(Matmul, OutputDoesNotDependOnHowTheOutputsAreCut) {
  const Case& c = GetParam();
  constexpr int64_t kOutputs = 150, k = 1100;
  for (int64_t rows : {1, 5, 12, 100}) {
    const Problem problem(c, kOutputs, rows, k);
    const std::vector<float> whole = problem.multiply(c, 0, rows, 0, kOutputs);
    for (int64_t piece : {1, 2, 3, 5, 16, 64, 65, 128})
      for (int64_t begin = 0; begin < kOutputs; begin += piece) {
        const int64_t end = std::min(begin + piece, kOutputs);
        const std::vector<float> part = problem.multiply(c, 0, rows, begin, end);
        for (size_t i = 0; i < part.size(); ++i) {
          const int64_t row = int64_t(i) / (end - begin), output = begin + int64_t(i) % (end - begin);
          ASSERT_EQ(std::bit_cast<uint32_t>(part[i]), std::bit_cast<uint32_t>(whole[row * kOutputs + output]))
              << rows << " rows, outputs in pieces of " << piece << ": row " << row << ", output " << output;
        }
      }
  }
}

TEST_P(Matmul, NoInputsGiveZero) {
  const Case& c = GetParam();
  for (int64_t rows : {1, 40}) {
    const Problem problem(c, 5, rows, 0);
    for (float y : problem.multiply(c, 0, rows, 0, 5)) EXPECT_EQ(y, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(AllKernels, Matmul, testing::ValuesIn(cases()), [](const auto& info) {
  std::string name = info.param.name;
  for (char& c : name)
    if (c == ' ') c = '_';
  return name;
});

}  // namespace
}  // namespace minimax::cpu
