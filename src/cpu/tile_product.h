// Products of the small tiles that gradients of attention are made of, on one thread.
#pragma once

#include "cpu/isa.h"

namespace minimax::cpu {

/// A matrix read with any strides: element (row, column) at data[row * row_stride + column * column_stride].
struct Strided {
  const float* data;
  int64_t row_stride, column_stride;
};

/// out[rows, columns] (+)= a[rows, terms] m[terms, columns]; the rows of m and out lie m_stride and out_stride apart.
inline void multiply_tile(Strided a, const float* m, int64_t m_stride, float* out, int64_t out_stride, int64_t rows,
                          int64_t columns, int64_t terms, bool accumulate) {
  kernels().outer_f32({.a = a.data,
                       .a_row_stride = a.row_stride,
                       .a_term_stride = a.column_stride,
                       .m = m,
                       .m_stride = m_stride,
                       .out = out,
                       .out_stride = out_stride,
                       .rows = rows,
                       .columns = columns,
                       .terms = terms,
                       .accumulate = accumulate});
}

/// to[column * to_stride + row] = from[row * from_stride + column].
inline void transpose_tile(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to,
                           int64_t to_stride) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      to[column * to_stride + row] = from[row * from_stride + column];
}

}  // namespace minimax::cpu
