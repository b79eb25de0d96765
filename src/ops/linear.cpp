#include "ops/linear.h"

#include "cpu/linear.h"

namespace minimax::ops {

Tensor linear(const Context& ctx, const Tensor& x, const Weight& weight) {
  MM_CHECK_DTYPE(x, DType::kFloat32);
  MM_CHECK(x.rank() == 2 && weight.data.rank() == 2 && weight.inputs() == x.dim(1), "linear: weight ",
           weight.data.shape(), " for x ", x.shape());
  Tensor out = ctx.empty({x.dim(0), weight.outputs()});
  cpu::linear(ctx, x, weight.data, out);
  return out;
}

Tensor linear_float32(const Context& ctx, const Tensor& x, const Weight& weight) {
  Context exact = ctx;
  exact.matmul_precision = MatmulPrecision::kFloat32;
  return linear(exact, x, weight);
}

}  // namespace minimax::ops
