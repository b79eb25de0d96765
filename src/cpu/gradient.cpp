#include "cpu/gradient.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/isa.h"
#include "cpu/row_loops.h"
#include "quant/panel.h"

namespace minimax::cpu {
namespace {

/// Output rows and columns of one thread's piece of a product: a multiple of the kernels' tiles.
constexpr int64_t kPieceRows = 48, kPieceColumns = 256;

/// Outputs of a packed weight that are numbers at a time: a multiple of its panels' rows.
constexpr int64_t kUnpackedOutputs = 256;

using Outer = void (*)(const OuterArgs&);

Outer outer_of(const Tensor& m) {
  switch (m.dtype()) {
    case DType::kFloat32:
      return kernels().outer_f32;
    case DType::kBFloat16:
      return kernels().outer_bf16;
    default:
      throw Error(ErrorKind::kInvalidArgument, cat("weight is ", m.dtype(), ", expected F32 or BF16 in training"));
  }
}

/// One product, cut into pieces of its output.
void outer(const Context& ctx, Outer kernel, const OuterArgs& whole, int64_t element_bytes) {
  const int64_t across = (whole.columns + kPieceColumns - 1) / kPieceColumns;
  const int64_t down = (whole.rows + kPieceRows - 1) / kPieceRows;
  ctx.threads->parallel_for(across * down, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t row = piece / across * kPieceRows, column = piece % across * kPieceColumns;
      OuterArgs args = whole;
      args.a += row * whole.a_row_stride;
      args.m = static_cast<const std::byte*>(whole.m) + column * element_bytes;
      args.out += row * whole.out_stride + column;
      args.rows = std::min(kPieceRows, whole.rows - row);
      args.columns = std::min(kPieceColumns, whole.columns - column);
      kernel(args);
    }
  });
}

}  // namespace

void linear_backward_input(const Context& ctx, const float* dy, int64_t rows, const Tensor& weight, float* dx,
                           bool accumulate) {
  const int64_t out = weight.dim(0), in = weight.dim(1);
  outer(ctx, outer_of(weight),
        {.a = dy,
         .a_row_stride = out,
         .a_term_stride = 1,
         .m = weight.raw(),
         .m_stride = in,
         .out = dx,
         .out_stride = in,
         .rows = rows,
         .columns = in,
         .terms = out,
         .accumulate = accumulate},
        size_of(weight.dtype()));
}

void linear_backward_input(const Context& ctx, const float* dy, int64_t rows, const Weight& weight, float* dx,
                           bool accumulate) {
  if (!weight.format) return linear_backward_input(ctx, dy, rows, weight.data, dx, accumulate);
  const int64_t out = weight.outputs(), in = weight.inputs();
  const auto* panels = static_cast<const std::byte*>(weight.data.raw());
  const Tensor numbers = ctx.empty({std::min(kUnpackedOutputs, out), in});
  for (int64_t first = 0; first < out; first += kUnpackedOutputs) {
    const int64_t count = std::min(kUnpackedOutputs, out - first);
    ctx.threads->parallel_for(count, quant::kPanelRows, [&](int64_t begin, int64_t end) {
      quant::dequantize_rows(*weight.format, in, panels, first + begin, end - begin,
                             numbers.data<float>() + begin * in);
    });
    outer(ctx, kernels().outer_f32,
          {.a = dy + first,
           .a_row_stride = out,
           .a_term_stride = 1,
           .m = numbers.raw(),
           .m_stride = in,
           .out = dx,
           .out_stride = in,
           .rows = rows,
           .columns = in,
           .terms = count,
           .accumulate = accumulate || first > 0},
          size_of(DType::kFloat32));
  }
}

void linear_backward_weight(const Context& ctx, const float* dy, const float* x, int64_t rows,
                            const Tensor& dweight_sum) {
  const int64_t out = dweight_sum.dim(0), in = dweight_sum.dim(1);
  outer(ctx, kernels().outer_f32,
        {.a = dy,
         .a_row_stride = 1,
         .a_term_stride = out,
         .m = x,
         .m_stride = in,
         .out = dweight_sum.data<float>(),
         .out_stride = in,
         .rows = out,
         .columns = in,
         .terms = rows,
         .accumulate = true},
        size_of(DType::kFloat32));
}

void rms_norm_backward(const Context& ctx, const Tensor& x, const Tensor& weight, float eps, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight_sum) {
  const int64_t count = x.dim(-1), rows = count ? x.elements() / count : 0;
  std::vector<float> scale(static_cast<size_t>(rows));
  for_each_row(ctx, rows, count, [&](int64_t row) {
    scale[row] =
        kernels().rms_norm_backward(x.data<float>() + row * count, weight.data<float>(), dy.data<float>() + row * count,
                                    eps, count, dx.data<float>() + row * count);
  });
  ctx.threads->parallel_for(count, 256, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = begin; i < end; ++i)
        dweight_sum.data<float>()[i] +=
            dy.data<float>()[row * count + i] * (x.data<float>()[row * count + i] * scale[row]);
  });
}

void silu_backward(const Context& ctx, const Tensor& x, const Tensor& dy, const Tensor& dx) {
  for_each_piece(ctx, x.elements(), [&](int64_t first, int64_t count) {
    kernels().silu_backward(x.data<float>() + first, dy.data<float>() + first, count, dx.data<float>() + first);
  });
}

void silu_mul_backward(const Context& ctx, const Tensor& gate, const Tensor& up, const Tensor& dy, const Tensor& dgate,
                       const Tensor& dup) {
  for_each_piece(ctx, gate.elements(), [&](int64_t first, int64_t count) {
    kernels().silu_mul_backward(gate.data<float>() + first, up.data<float>() + first, dy.data<float>() + first, count,
                                dgate.data<float>() + first, dup.data<float>() + first);
  });
}

void sigmoid_mul_backward(const Context& ctx, const Tensor& gate, const Tensor& x, const Tensor& dy,
                          const Tensor& dgate, const Tensor& dx) {
  for_each_piece(ctx, gate.elements(), [&](int64_t first, int64_t count) {
    kernels().sigmoid_mul_backward(gate.data<float>() + first, x.data<float>() + first, dy.data<float>() + first, count,
                                   dgate.data<float>() + first, dx.data<float>() + first);
  });
}

void embedding_backward(const Context& ctx, const Tensor& tokens, const Tensor& dy, const Tensor& dtable_sum) {
  const int64_t hidden = dy.dim(1);
  // Threads take columns: tokens with one id are added in their order.
  ctx.threads->parallel_for(hidden, 64, [&](int64_t begin, int64_t end) {
    for (int64_t token = 0; token < tokens.dim(0); ++token) {
      float* sum = dtable_sum.data<float>() + tokens.data<int32_t>()[token] * hidden;
      const float* from = dy.data<float>() + token * hidden;
      for (int64_t i = begin; i < end; ++i) sum[i] += from[i];
    }
  });
}

void rotate_backward(const Context& ctx, const Tensor& dy, const Tensor& table, int64_t head_dim, const Tensor& dx) {
  const int64_t pairs = table.dim(2), width = dy.dim(1);
  for_each_row(ctx, dy.dim(0), width, [&](int64_t token) {
    const float* cosines = table.data<float>() + token * 2 * pairs;
    const float* sines = cosines + pairs;
    for (int64_t head = 0; head < width; head += head_dim) {
      const float* from = dy.data<float>() + token * width + head;
      float* to = dx.data<float>() + token * width + head;
      for (int64_t pair = 0; pair < pairs; ++pair) {
        to[pair] = from[pair] * cosines[pair] + from[pairs + pair] * sines[pair];
        to[pairs + pair] = from[pairs + pair] * cosines[pair] - from[pair] * sines[pair];
      }
      std::memcpy(to + 2 * pairs, from + 2 * pairs, static_cast<size_t>(head_dim - 2 * pairs) * sizeof(float));
    }
  });
}

}  // namespace minimax::cpu
