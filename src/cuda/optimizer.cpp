#include "cuda/optimizer.h"

#include <cmath>

#include "cuda/op_support.h"

namespace minimax::cuda {

double global_norm(const Context& ctx, std::span<const Tensor> tensors) {
  Gpu& gpu = gpu_of(ctx);
  const Tensor parts = ctx.empty({kSquareParts}, DType::kFloat64), sum = ctx.empty({1}, DType::kFloat64);
  gpu.fill(sum.raw(), 0, sum.bytes());
  for (const Tensor& x : tensors)
    if (x.defined())
      gpu.check(gpu.op().add_squares(floats(x), x.elements(), on_device<double>(parts), on_device<double>(sum),
                                     gpu.stream()));
  return std::sqrt(*to_host(sum).data<double>());
}

void adamw(const Context& ctx, const AdamWUpdate& update) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().adamw({.master = floats(update.master),
                            .m = floats(update.m),
                            .v = floats(update.v),
                            .gradient = update.gradient.defined() ? floats(update.gradient) : nullptr,
                            .working = update.weight.dtype() == DType::kBFloat16 ? update.weight.raw() : nullptr,
                            .count = update.master.elements(),
                            .beta1 = update.beta1,
                            .beta2 = update.beta2,
                            .eps = update.eps,
                            .correction1 = update.correction1,
                            .correction2 = update.correction2,
                            .rate = update.rate,
                            .decay = update.decay,
                            .scale = update.gradient_scale},
                           gpu.stream()));
}

}  // namespace minimax::cuda
