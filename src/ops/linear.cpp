#include "ops/linear.h"

#include "core/tape.h"
#include "cpu/gradient.h"
#include "cpu/linear.h"

namespace minimax::ops {

Tensor linear(const Context& ctx, const Tensor& x, const Weight& weight) {
  MM_CHECK_DTYPE(x, DType::kFloat32);
  MM_CHECK(x.rank() == 2 && weight.data.rank() == 2 && weight.inputs() == x.dim(1), "linear: weight ",
           weight.data.shape(), " for x ", x.shape());
  Tensor out = ctx.empty({x.dim(0), weight.outputs()});
  cpu::linear(ctx, x, weight.data, out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      if (const Tensor dy = d.take(out); dy.defined()) linear_backward(ctx, x, weight, dy, d);
    });
  return out;
}

void linear_backward(const Context& ctx, const Tensor& x, const Weight& weight, const Tensor& dy, Gradients& d) {
  const Tensor dx = ctx.empty(x.shape());
  cpu::linear_backward_input(ctx, dy.data<float>(), x.dim(0), weight.data, dx.data<float>(), false);
  d.add(x, dx);
  cpu::linear_backward_weight(ctx, dy.data<float>(), x.data<float>(), x.dim(0), d.accumulator(weight.data));
}

Tensor linear_float32(const Context& ctx, const Tensor& x, const Weight& weight) {
  Context exact = ctx;
  exact.matmul_precision = MatmulPrecision::kFloat32;
  return linear(exact, x, weight);
}

}  // namespace minimax::ops
