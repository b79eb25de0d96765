#include "ops/rotary.h"

#include "core/tape.h"
#include "cpu/elementwise.h"
#include "cpu/gradient.h"
#include "cuda/row_ops.h"

namespace minimax::ops {

Tensor rotary_table(const Context& ctx, const Tensor& positions, int64_t rotary_dim, double theta) {
  MM_CHECK(positions.dtype() == DType::kInt32 && positions.rank() == 1, "rotary_table: positions are ",
           positions.dtype(), " ", positions.shape(), ", expected I32 [tokens]");
  MM_CHECK(rotary_dim >= 0 && rotary_dim % 2 == 0, "rotary_table: rotary_dim is ", rotary_dim,
           ", expected an even number");
  Tensor table = ctx.empty({positions.dim(0), 2, rotary_dim / 2});
  if (ctx.device == Device::kCuda)
    cuda::rotary_table(ctx, to_memory(positions, ctx.gpu), theta, table);
  else
    cpu::rotary_table(ctx, positions, theta, table);
  return table;
}

Tensor rotate(const Context& ctx, const Tensor& x, const Tensor& table, int64_t head_dim) {
  MM_CHECK_DTYPE(x, DType::kFloat32);
  MM_CHECK(x.rank() == 2 && table.rank() == 3 && table.dim(0) == x.dim(0) && table.dim(1) == 2 && head_dim > 0 &&
               x.dim(1) % head_dim == 0 && 2 * table.dim(2) <= head_dim,
           "rotate: x ", x.shape(), " with table ", table.shape(), " and head_dim ", head_dim);
  Tensor out = ctx.empty(x.shape());
  if (ctx.device == Device::kCuda)
    cuda::rotate(ctx, x, table, head_dim, out);
  else
    cpu::rotate(ctx, x, table, head_dim, out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dy = d.take(out);
      if (!dy.defined()) return;
      const Tensor dx = ctx.empty(x.shape());
      if (ctx.device == Device::kCuda)
        cuda::rotate_backward(ctx, dy, table, head_dim, dx);
      else
        cpu::rotate_backward(ctx, dy, table, head_dim, dx);
      d.add(x, dx);
    });
  return out;
}

}  // namespace minimax::ops
