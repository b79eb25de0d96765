// Rows of activations as the packed products take them: 8 bits, a scale for each 256.
#pragma once

#include "core/context.h"
#include "cpu/kernels.h"
#include "quant/format.h"

namespace minimax::cpu {

/// Rows of 8-bit codes and what belongs to them. A row's bits depend on that row alone.
class QuantizedRows {
 public:
  QuantizedRows() = default;
  /// Room for rows of `k` values, to be filled.
  QuantizedRows(const Context& ctx, int64_t rows, int64_t k);
  /// x: [rows, k].
  QuantizedRows(const Context& ctx, const float* x, int64_t rows, int64_t k);

  /// Rows 2r and 2r + 1 add up to row r of x with 15 bits instead of 8: its codes, and those of what they leave.
  static QuantizedRows in_two_parts(const Context& ctx, const float* x, int64_t rows, int64_t k);

  bool defined() const { return codes_.defined(); }
  int8_t* codes(int64_t row) const { return reinterpret_cast<int8_t*>(codes_.data<uint8_t>()) + row * stride_; }
  QuantizedBlock* blocks(int64_t row) const {
    return reinterpret_cast<QuantizedBlock*>(blocks_.data<uint8_t>()) + row * blocks_of_row_;
  }
  int64_t stride() const { return stride_; }
  /// Row `to` becomes what row `from` of `other` is.
  void copy_row(const QuantizedRows& other, int64_t from, int64_t to) const;

 private:
  Tensor codes_, blocks_;
  int64_t stride_ = 0, blocks_of_row_ = 0;
};

/// y[row][o] of the panels from `first_panel` on, for o in [0, outputs). Rows of x from first_row on.
/// panels: all of a matrix with `k` inputs.
void multiply_panels(quant::Format format, const std::byte* panels, int64_t k, int64_t first_panel, int64_t outputs,
                     const QuantizedRows& x, int64_t first_row, int64_t rows, float* y, int64_t y_stride);

}  // namespace minimax::cpu
