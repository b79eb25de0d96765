// The kernel that gradients of products are made of, in every instruction set.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "core/dtype.h"
#include "core/rng.h"
#include "cpu/isa.h"

namespace minimax::cpu {
namespace {

constexpr float kUntouched = -12345.0f;

struct Case {
  int64_t rows, columns, terms;
  bool transposed;  // a is read down its columns
  bool accumulate;
  bool bf16;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.rows << " x " << c.columns << ", " << c.terms << " terms" << (c.transposed ? ", transposed" : "")
             << (c.accumulate ? ", accumulate" : "") << (c.bf16 ? ", bf16" : "");
}

/// Inputs of one case, with gaps between the rows, and what must come out in float64.
struct Problem {
  explicit Problem(const Case& c) : shape(c), m_stride(c.columns + 3), out_stride(c.columns + 5) {
    Rng rng(7);
    // a: [rows, terms] or [terms, rows], rows two further apart than they are long.
    const int64_t across = c.transposed ? c.rows : c.terms, down = c.transposed ? c.terms : c.rows;
    a_stride = across + 2;
    for (int64_t i = 0; i < down * a_stride; ++i) a.push_back(static_cast<float>(rng.normal()));
    for (int64_t i = 0; i < c.terms * m_stride; ++i) {
      const bfloat16 rounded = to_bfloat16(static_cast<float>(rng.normal()));
      m_bf16.push_back(rounded);
      m.push_back(c.bf16 ? to_float(rounded) : static_cast<float>(rng.normal()));
    }
    for (int64_t i = 0; i < c.rows * out_stride; ++i) {
      const bool inside = i % out_stride < c.columns;
      // Without accumulate nothing may be read: NaN would stay.
      before.push_back(!inside        ? kUntouched
                       : c.accumulate ? static_cast<float>(rng.normal())
                                      : std::numeric_limits<float>::quiet_NaN());
    }
    for (int64_t row = 0; row < c.rows; ++row)
      for (int64_t column = 0; column < c.columns; ++column) {
        double sum = c.accumulate ? static_cast<double>(before[row * out_stride + column]) : 0;
        double magnitude = std::abs(sum);
        for (int64_t term = 0; term < c.terms; ++term) {
          const double product = static_cast<double>(a[c.transposed ? term * a_stride + row : row * a_stride + term]) *
                                 static_cast<double>(m[term * m_stride + column]);
          sum += product;
          magnitude += std::abs(product);
        }
        want.push_back(sum);
        // Each partial sum is rounded once; a bfloat16 product or a left-out term would be 1e-3 of it.
        tolerance.push_back(5e-7 * magnitude);
      }
  }

  /// The rows [first, last) and columns [left, right) of the product, into `out`.
  void run(const Kernels& kernels, std::vector<float>& out, int64_t first, int64_t last, int64_t left,
           int64_t right) const {
    const int64_t row_stride = shape.transposed ? 1 : a_stride;
    const void* from =
        shape.bf16 ? static_cast<const void*>(m_bf16.data() + left) : static_cast<const void*>(m.data() + left);
    (shape.bf16 ? kernels.outer_bf16 : kernels.outer_f32)({.a = a.data() + first * row_stride,
                                                           .a_row_stride = row_stride,
                                                           .a_term_stride = shape.transposed ? a_stride : 1,
                                                           .m = from,
                                                           .m_stride = m_stride,
                                                           .out = out.data() + first * out_stride + left,
                                                           .out_stride = out_stride,
                                                           .rows = last - first,
                                                           .columns = right - left,
                                                           .terms = shape.terms,
                                                           .accumulate = shape.accumulate});
  }

  Case shape;
  int64_t a_stride = 0, m_stride, out_stride;
  std::vector<float> a, m, before;
  std::vector<bfloat16> m_bf16;
  std::vector<double> want, tolerance;  // [rows, columns]
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const int64_t terms : {0, 1, 255, 256, 257, 600})
    for (const auto& [rows, columns] :
         {std::pair<int64_t, int64_t>{1, 1}, {5, 3}, {6, 64}, {7, 67}, {13, 131}, {48, 17}})
      for (int bits = 0; bits < 8; ++bits)
        all.push_back({rows, columns, terms, (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0});
  all.push_back({0, 5, 3, false, false, false});
  all.push_back({5, 0, 3, false, true, false});
  return all;
}

TEST(Outer, AgreesWithFloat64) {
  for (const Case& c : cases()) {
    const Problem problem(c);
    for (const Kernels* kernels : usable_kernels()) {
      SCOPED_TRACE(kernels->isa);
      std::vector<float> out = problem.before;
      problem.run(*kernels, out, 0, c.rows, 0, c.columns);
      for (int64_t i = 0; i < c.rows * problem.out_stride; ++i) {
        const int64_t row = i / problem.out_stride, column = i % problem.out_stride;
        if (column >= c.columns) {
          ASSERT_EQ(out[i], kUntouched) << c << ": written beside row " << row;
        } else {
          const int64_t element = row * c.columns + column;
          ASSERT_NEAR(static_cast<double>(out[i]), problem.want[element], problem.tolerance[element]) << c;
        }
      }
    }
  }
}

// One chain of additions for each element, whatever tile it falls into: work may be cut anywhere.
TEST(Outer, TheSameBitsHoweverItIsCut) {
  for (const Case& c : {Case{13, 131, 600, true, true, false}, Case{13, 131, 300, false, false, true}}) {
    const Problem problem(c);
    for (const Kernels* kernels : usable_kernels()) {
      SCOPED_TRACE(kernels->isa);
      std::vector<float> whole = problem.before, pieces = problem.before;
      problem.run(*kernels, whole, 0, c.rows, 0, c.columns);
      for (const auto& [first, last] : {std::pair<int64_t, int64_t>{0, 1}, {1, 9}, {9, c.rows}})
        for (const auto& [left, right] : {std::pair<int64_t, int64_t>{0, 2}, {2, 70}, {70, c.columns}})
          problem.run(*kernels, pieces, first, last, left, right);
      for (size_t i = 0; i < whole.size(); ++i)
        ASSERT_EQ(std::bit_cast<uint32_t>(whole[i]), std::bit_cast<uint32_t>(pieces[i])) << c << " element " << i;
    }
  }
}

}  // namespace
}  // namespace minimax::cpu
