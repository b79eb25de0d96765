#include "ops/norm.h"

#include "core/tape.h"
#include "cpu/elementwise.h"
#include "cpu/gradient.h"
#include "cuda/row_ops.h"

namespace minimax::ops {

Tensor rms_norm(const Context& ctx, const Tensor& x, const Tensor& weight, float eps) {
  MM_CHECK_DTYPE(x, DType::kFloat32);
  MM_CHECK_DTYPE(weight, DType::kFloat32);
  MM_CHECK(weight.rank() == 1 && x.rank() >= 1 && weight.dim(0) == x.dim(-1), "rms_norm: weight ", weight.shape(),
           " for x ", x.shape());
  Tensor out = ctx.empty(x.shape());
  if (ctx.device == Device::kCuda)
    cuda::rms_norm(ctx, x, weight, eps, out);
  else
    cpu::rms_norm(ctx, x, weight, eps, out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dy = d.take(out);
      if (!dy.defined()) return;
      const Tensor dx = ctx.empty(x.shape());
      if (ctx.device == Device::kCuda)
        cuda::rms_norm_backward(ctx, x, weight, eps, dy, dx, d.accumulator(weight));
      else
        cpu::rms_norm_backward(ctx, x, weight, eps, dy, dx, d.accumulator(weight));
      d.add(x, dx);
    });
  return out;
}

}  // namespace minimax::ops
