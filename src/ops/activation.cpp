#include "ops/activation.h"

#include "cpu/elementwise.h"

namespace minimax::ops {
namespace {

void check_pair(const char* op, const Tensor& a, const Tensor& b) {
  MM_CHECK(a.dtype() == DType::kFloat32 && b.dtype() == DType::kFloat32 && a.shape() == b.shape(), op, ": ", a.dtype(),
           " ", a.shape(), " with ", b.dtype(), " ", b.shape(), ", expected two F32 tensors of one shape");
}

}  // namespace

Tensor silu(const Context& ctx, const Tensor& x) {
  MM_CHECK_DTYPE(x, DType::kFloat32);
  Tensor out = ctx.empty(x.shape());
  cpu::silu(ctx, x, out);
  return out;
}

Tensor silu_mul(const Context& ctx, const Tensor& gate, const Tensor& up) {
  check_pair("silu_mul", gate, up);
  Tensor out = ctx.empty(gate.shape());
  cpu::silu_mul(ctx, gate, up, out);
  return out;
}

Tensor sigmoid_mul(const Context& ctx, const Tensor& gate, const Tensor& x) {
  check_pair("sigmoid_mul", gate, x);
  Tensor out = ctx.empty(x.shape());
  cpu::sigmoid_mul(ctx, gate, x, out);
  return out;
}

Tensor scaled_add(const Context& ctx, float alpha, const Tensor& x, float beta, const Tensor& y) {
  check_pair("scaled_add", x, y);
  Tensor out = ctx.empty(x.shape());
  cpu::scaled_add(ctx, alpha, x, beta, y, out);
  return out;
}

}  // namespace minimax::ops
