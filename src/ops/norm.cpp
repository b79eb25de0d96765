#include "ops/norm.h"

#include "cpu/elementwise.h"

namespace minimax::ops {

Tensor rms_norm(const Context& ctx, const Tensor& x, const Tensor& weight, float eps) {
  MM_CHECK_DTYPE(x, DType::kFloat32);
  MM_CHECK_DTYPE(weight, DType::kFloat32);
  MM_CHECK(weight.rank() == 1 && x.rank() >= 1 && weight.dim(0) == x.dim(-1), "rms_norm: weight ", weight.shape(),
           " for x ", x.shape());
  Tensor out = ctx.empty(x.shape());
  cpu::rms_norm(ctx, x, weight, eps, out);
  return out;
}

}  // namespace minimax::ops
