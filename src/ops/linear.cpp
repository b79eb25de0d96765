#include "ops/linear.h"

#include "core/tape.h"
#include "cpu/gradient.h"
#include "cpu/linear.h"
#include "cuda/matmul.h"
#include "cuda/packed.h"
#include "ops/activation.h"
#include "ops/input_observer.h"

namespace minimax::ops {
namespace {

void check(const Context& ctx, const Tensor& x, const Weight& weight) {
  MM_CHECK_DTYPE(x, DType::kFloat32);
  MM_CHECK(x.rank() == 2 && weight.shape().rank() == 2 && weight.inputs() == x.dim(1), "linear: weight ",
           weight.shape(), " for x ", x.shape());
  MM_CHECK(!weight.format || ctx.device == Device::kCpu || !ctx.tape, "linear: a ", quant::name(*weight.format),
           " weight, expected a dense one in training on a GPU");
  MM_CHECK(!weight.adapter || ctx.device == Device::kCpu,
           "linear: a weight with an adapter, expected one without on a "
           "GPU");
}

// Its gradient, and what an observer wants to see of it.
void record(const Context& ctx, const Tensor& x, const Weight& weight, const Tensor& out) {
  if (ctx.inputs) ctx.inputs->linear(weight, x);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      if (const Tensor dy = d.take(out); dy.defined()) linear_backward(ctx, x, weight, dy, d);
    });
}

/// y += scale * (x down^T) up^T, in products of their own, so that what they learn is recorded with them.
Tensor with_adapter(const Context& ctx, const Tensor& x, const Weight& weight, const Tensor& y) {
  if (!weight.adapter) return y;
  const LowRank& adapter = *weight.adapter;
  return scaled_add(ctx, 1, y, adapter.scale, linear(ctx, linear(ctx, x, {adapter.down}), {adapter.up}));
}

/// `operand` says how a GPU takes x; a CPU goes by ctx.matmul_precision, and packed weights by `exact`.
Tensor product(const Context& ctx, const Tensor& x, const Weight& weight, cuda::Operand operand, bool exact) {
  check(ctx, x, weight);
  Tensor out = ctx.empty({x.dim(0), weight.outputs()});
  if (ctx.device == Device::kCuda)
    weight.format ? cuda::packed_linear(ctx, x, weight, operand, out) : cuda::linear(ctx, x, weight.data, operand, out);
  else
    weight.format&& exact ? cpu::linear_in_two_parts(ctx, x, weight, out) : cpu::linear(ctx, x, weight, out);
  record(ctx, x, weight, out);
  return with_adapter(ctx, x, weight, out);
}

}  // namespace

Tensor linear(const Context& ctx, const Tensor& x, const Weight& weight) {
  const bool rounds = ctx.matmul_precision == MatmulPrecision::kBFloat16;
  return product(ctx, x, weight, rounds ? cuda::Operand::kRounded : cuda::Operand::kExact, false);
}

std::vector<Tensor> linears(const Context& ctx, const Tensor& x, std::initializer_list<const Weight*> weights) {
  std::vector<Tensor> outs;
  if (ctx.device == Device::kCuda) {
    for (const Weight* weight : weights) outs.push_back(linear(ctx, x, *weight));
    return outs;
  }
  std::vector<cpu::Product> products;
  for (const Weight* weight : weights) {
    check(ctx, x, *weight);
    const Tensor& out = outs.emplace_back(ctx.empty({x.dim(0), weight->outputs()}));
    products.push_back({weight, x.data<float>(), x.dim(0), out.data<float>()});
  }
  cpu::multiply(ctx, products);
  for (size_t i = 0; const Weight* weight : weights) {
    record(ctx, x, *weight, outs[i]);
    outs[i] = with_adapter(ctx, x, *weight, outs[i]);
    ++i;
  }
  return outs;
}

void linear_backward(const Context& ctx, const Tensor& x, const Weight& weight, const Tensor& dy, Gradients& d) {
  const Tensor dx = ctx.empty(x.shape());
  if (ctx.device == Device::kCuda) {
    cuda::linear_backward(ctx, x, weight.data, dy, dx, d.accumulator(weight.data));
    d.add(x, dx);
    return;
  }
  cpu::linear_backward_input(ctx, dy.data<float>(), x.dim(0), weight, dx.data<float>(), false);
  d.add(x, dx);
  if (weight.format) return;  // frozen
  cpu::linear_backward_weight(ctx, dy.data<float>(), x.data<float>(), x.dim(0), d.accumulator(weight.data));
}

Tensor linear_float32(const Context& ctx, const Tensor& x, const Weight& weight) {
  if (ctx.device == Device::kCuda) {
    const bool rounds = ctx.matmul_precision == MatmulPrecision::kBFloat16;
    return product(ctx, x, weight, rounds ? cuda::Operand::kTwoParts : cuda::Operand::kExact, true);
  }
  Context exact = ctx;
  exact.matmul_precision = MatmulPrecision::kFloat32;
  return product(exact, x, weight, cuda::Operand::kExact, true);
}

}  // namespace minimax::ops
