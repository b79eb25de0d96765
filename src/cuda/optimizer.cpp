#include "cuda/optimizer.h"

#include <cmath>
#include <vector>

#include "cuda/op_support.h"

namespace minimax::cuda {

double global_norm(const Context& ctx, std::span<const Tensor> tensors) {
  Gpu& gpu = gpu_of(ctx);
  const Tensor parts = ctx.empty({kOptimizerTensors, kSquareParts}, DType::kFloat64),
               sum = ctx.empty({1}, DType::kFloat64);
  gpu.fill(sum.raw(), 0, sum.bytes());
  std::vector<const float*> x;
  std::vector<int64_t> counts;
  const auto add = [&] {
    gpu.check(gpu.op().add_squares(x.data(), counts.data(), static_cast<int64_t>(x.size()), on_device<double>(parts),
                                   on_device<double>(sum), gpu.stream()));
    x.clear();
    counts.clear();
  };
  for (const Tensor& tensor : tensors) {
    if (!tensor.defined()) continue;
    x.push_back(floats(tensor));
    counts.push_back(tensor.elements());
    if (x.size() == kOptimizerTensors) add();
  }
  add();
  return std::sqrt(*to_host(sum).data<double>());
}

void adamw(const Context& ctx, std::span<const AdamWUpdate> updates) {
  Gpu& gpu = gpu_of(ctx);
  std::vector<AdamWArgs> args;
  const auto run = [&] {
    gpu.check(gpu.op().adamw(args.data(), static_cast<int64_t>(args.size()), gpu.stream()));
    args.clear();
  };
  for (const AdamWUpdate& update : updates) {
    args.push_back({.master = floats(update.master),
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
                    .scale = update.gradient_scale});
    if (args.size() == kOptimizerTensors) run();
  }
  run();
}

}  // namespace minimax::cuda
