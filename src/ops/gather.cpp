#include "ops/gather.h"

#include <algorithm>

#include "core/tape.h"
#include "cuda/row_ops.h"

namespace minimax::ops {

Tensor gather_rows(const Context& ctx, const Tensor& x, const Tensor& rows) {
  MM_CHECK_DTYPE(x, DType::kFloat32);
  MM_CHECK_DTYPE(rows, DType::kInt32);
  MM_CHECK(x.rank() == 2 && rows.rank() == 1, "gather_rows: rows ", rows.shape(), " of x ", x.shape());
  const int64_t width = x.dim(1);
  Tensor out = ctx.empty({rows.dim(0), width});
  for (int64_t i = 0; rows.device() == Device::kCpu && i < rows.dim(0); ++i) {
    const int64_t row = rows.data<int32_t>()[i];
    MM_CHECK(row >= 0 && row < x.dim(0), "gather_rows: row ", i, " is ", row, ", expected 0 to ", x.dim(0) - 1);
  }
  if (ctx.device == Device::kCuda) {
    const Tensor indices = to_memory(rows, ctx.gpu);
    cuda::embedding(ctx, x, indices, out);
    if (ctx.tape)
      ctx.tape->record([=](Context& ctx, Gradients& d) {
        if (const Tensor dout = d.take(out); dout.defined()) cuda::add_rows(ctx, dout, indices, d.accumulator(x));
      });
    return out;
  }
  for (int64_t i = 0; i < rows.dim(0); ++i)
    std::copy_n(x.data<float>() + rows.data<int32_t>()[i] * width, width, out.data<float>() + i * width);
  if (ctx.tape)
    ctx.tape->record([=](Context&, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      float* dx = d.accumulator(x).data<float>();
      for (int64_t i = 0; i < rows.dim(0); ++i)
        for (int64_t column = 0; column < width; ++column)
          dx[rows.data<int32_t>()[i] * width + column] += dout.data<float>()[i * width + column];
    });
  return out;
}

}  // namespace minimax::ops
