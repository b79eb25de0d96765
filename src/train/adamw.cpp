#include "train/adamw.h"

#include <cmath>

#include "ops/transfer.h"

namespace minimax::train {
namespace {

Tensor zeros_like(const Context& ctx, const Tensor& x) {
  const Tensor out = ctx.empty(x.shape());
  ops::fill_zero(ctx, out);
  return out;
}

}  // namespace

void AdamW::add(const Context& ctx, const Tensor& weight, bool decays, Tensor master) {
  MM_CHECK(weight.dtype() == DType::kFloat32 || weight.dtype() == DType::kBFloat16, "trainable weight is ",
           weight.dtype(), ", expected F32 or BF16");
  if (weight.dtype() == DType::kFloat32)
    master = weight;
  else if (!master.defined())
    master = ops::to_device(ctx, to_float32(ops::to_host(ctx, weight)));
  slots_.push_back({.weight = weight,
                    .master = master,
                    .m = zeros_like(ctx, master),
                    .v = zeros_like(ctx, master),
                    .gradient = {},
                    .decay = decays ? options_.weight_decay : 0});
}

StepReport AdamW::step(const Context& ctx, const Gradients& gradients, double rate, double norm_limit) {
  std::vector<ops::AdamWSlot> slots = slots_;
  std::vector<Tensor> present;
  for (ops::AdamWSlot& slot : slots)
    if (const Tensor* gradient = gradients.find(slot.weight)) present.push_back(slot.gradient = *gradient);
  StepReport report{.gradient_norm = ops::global_norm(ctx, present)};
  report.skipped = !std::isfinite(report.gradient_norm) || report.gradient_norm > norm_limit;
  if (report.skipped) return report;
  report.clipped = options_.max_norm > 0 && report.gradient_norm > options_.max_norm;
  ++steps_;
  ops::adamw(ctx, slots,
             {.step = steps_,
              .rate = rate,
              .beta1 = options_.beta1,
              .beta2 = options_.beta2,
              .eps = options_.eps,
              .gradient_scale = report.clipped ? options_.max_norm / report.gradient_norm : 1});
  return report;
}

}  // namespace minimax::train
