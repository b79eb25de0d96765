#include "cpu/packed.h"

#include <cstring>
#include <vector>

#include "cpu/isa.h"
#include "cpu/scratch.h"

namespace minimax::cpu {
namespace {

/// Between the rows of codes: rows a multiple of 4 KiB apart would fight for the same lines of the first cache.
constexpr int64_t kRowGap = 64;

auto kernel_of(const Kernels& kernels, quant::Format format) {
  switch (format) {
    case quant::Format::kQ8:
      return kernels.matmul_q8;
    case quant::Format::kExpertsInt8:
      return kernels.matmul_experts_int8;
    case quant::Format::kQ6:
      return kernels.matmul_q6;
    case quant::Format::kQ5:
      return kernels.matmul_q5;
    case quant::Format::kQ4:
      return kernels.matmul_q4;
    case quant::Format::kMxfp4:
      return kernels.matmul_mxfp4;
  }
  throw Error(ErrorKind::kInternal, "a packed format without a kernel");
}

}  // namespace

QuantizedRows::QuantizedRows(const Context& ctx, int64_t rows, int64_t k)
    : stride_((quant::padded_inputs(k) + 63) / 64 * 64 + kRowGap), blocks_of_row_(quant::block_count(k)) {
  codes_ = ctx.empty({rows, stride_}, DType::kUInt8);
  blocks_ = ctx.empty({rows, blocks_of_row_ * static_cast<int64_t>(sizeof(QuantizedBlock))}, DType::kUInt8);
}

QuantizedRows::QuantizedRows(const Context& ctx, const float* x, int64_t rows, int64_t k)
    : QuantizedRows(ctx, rows, k) {
  ctx.threads->parallel_for(rows, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) kernels().quantize_row(x + row * k, k, codes(row), blocks(row));
  });
}

QuantizedRows QuantizedRows::in_two_parts(const Context& ctx, const float* x, int64_t rows, int64_t k) {
  const QuantizedRows parts(ctx, 2 * rows, k);
  ctx.threads->parallel_for(rows, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> rest(static_cast<size_t>(k));
    for (int64_t row = begin; row < end; ++row) {
      kernels().quantize_row(x + row * k, k, parts.codes(2 * row), parts.blocks(2 * row));
      for (int64_t i = 0; i < k; ++i)
        rest[i] = x[row * k + i] - parts.blocks(2 * row)[i / quant::kBlock].scale * parts.codes(2 * row)[i];
      kernels().quantize_row(rest.data(), k, parts.codes(2 * row + 1), parts.blocks(2 * row + 1));
    }
  });
  return parts;
}

void QuantizedRows::copy_row(const QuantizedRows& other, int64_t from, int64_t to) const {
  std::memcpy(codes(to), other.codes(from), static_cast<size_t>(stride_));
  std::memcpy(blocks(to), other.blocks(from), static_cast<size_t>(blocks_of_row_) * sizeof(QuantizedBlock));
}

void multiply_panels(quant::Format format, const std::byte* panels, int64_t k, int64_t first_panel, int64_t outputs,
                     const QuantizedRows& x, int64_t first_row, int64_t rows, float* y, int64_t y_stride) {
  kernel_of(kernels(), format)({.w = panels + first_panel * quant::panel_bytes(format, k),
                                .x = x.codes(first_row),
                                .x_stride = x.stride(),
                                .x_blocks = x.blocks(first_row),
                                .y = y,
                                .outputs = outputs,
                                .rows = rows,
                                .k = k,
                                .y_stride = y_stride,
                                .scratch = scratch()});
}

}  // namespace minimax::cpu
