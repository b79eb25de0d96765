#include "ops/activation.h"

#include "core/tape.h"
#include "cpu/elementwise.h"
#include "cpu/gradient.h"
#include "cuda/row_ops.h"

namespace minimax::ops {
namespace {

void check_pair(const char* op, const Tensor& a, const Tensor& b) {
  MM_CHECK(a.dtype() == DType::kFloat32 && b.dtype() == DType::kFloat32 && a.shape() == b.shape(), op, ": ", a.dtype(),
           " ", a.shape(), " with ", b.dtype(), " ", b.shape(), ", expected two F32 tensors of one shape");
}

Tensor scaled(const Context& ctx, float factor, const Tensor& x) {
  const Tensor out = ctx.empty(x.shape());
  if (ctx.device == Device::kCuda)
    cuda::scale(ctx, factor, x, out);
  else
    cpu::scaled_add(ctx, factor, x, 0.0f, x, out);
  return out;
}

}  // namespace

Tensor silu(const Context& ctx, const Tensor& x) {
  MM_CHECK_DTYPE(x, DType::kFloat32);
  Tensor out = ctx.empty(x.shape());
  if (ctx.device == Device::kCuda)
    cuda::silu(ctx, x, out);
  else
    cpu::silu(ctx, x, out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dy = d.take(out);
      if (!dy.defined()) return;
      const Tensor dx = ctx.empty(x.shape());
      if (ctx.device == Device::kCuda)
        cuda::silu_backward(ctx, x, dy, dx);
      else
        cpu::silu_backward(ctx, x, dy, dx);
      d.add(x, dx);
    });
  return out;
}

Tensor silu_mul(const Context& ctx, const Tensor& gate, const Tensor& up) {
  check_pair("silu_mul", gate, up);
  Tensor out = ctx.empty(gate.shape());
  if (ctx.device == Device::kCuda)
    cuda::silu_mul(ctx, gate, up, out);
  else
    cpu::silu_mul(ctx, gate, up, out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dy = d.take(out);
      if (!dy.defined()) return;
      const Tensor dgate = ctx.empty(gate.shape()), dup = ctx.empty(up.shape());
      if (ctx.device == Device::kCuda)
        cuda::silu_mul_backward(ctx, gate, up, dy, dgate, dup);
      else
        cpu::silu_mul_backward(ctx, gate, up, dy, dgate, dup);
      d.add(gate, dgate);
      d.add(up, dup);
    });
  return out;
}

Tensor sigmoid_mul(const Context& ctx, const Tensor& gate, const Tensor& x) {
  check_pair("sigmoid_mul", gate, x);
  Tensor out = ctx.empty(x.shape());
  if (ctx.device == Device::kCuda)
    cuda::sigmoid_mul(ctx, gate, x, out);
  else
    cpu::sigmoid_mul(ctx, gate, x, out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dy = d.take(out);
      if (!dy.defined()) return;
      const Tensor dgate = ctx.empty(gate.shape()), dx = ctx.empty(x.shape());
      if (ctx.device == Device::kCuda)
        cuda::sigmoid_mul_backward(ctx, gate, x, dy, dgate, dx);
      else
        cpu::sigmoid_mul_backward(ctx, gate, x, dy, dgate, dx);
      d.add(gate, dgate);
      d.add(x, dx);
    });
  return out;
}

Tensor scaled_add(const Context& ctx, float alpha, const Tensor& x, float beta, const Tensor& y) {
  check_pair("scaled_add", x, y);
  Tensor out = ctx.empty(x.shape());
  if (ctx.device == Device::kCuda)
    cuda::scaled_add(ctx, alpha, x, beta, y, out);
  else
    cpu::scaled_add(ctx, alpha, x, beta, y, out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      d.add(x, scaled(ctx, alpha, dout));
      d.add(y, scaled(ctx, beta, dout));
    });
  return out;
}

}  // namespace minimax::ops
