#include "ops/optimizer.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "cpu/optimizer.h"
#include "cuda/gpu.h"
#include "cuda/optimizer.h"

namespace minimax::ops {
namespace {

void check_slot(const AdamWSlot& slot) {
  MM_CHECK(slot.weight.dtype() == DType::kFloat32 || slot.weight.dtype() == DType::kBFloat16, "trainable weight is ",
           slot.weight.dtype(), ", expected F32 or BF16");
  for (const Tensor* part : {&slot.master, &slot.m, &slot.v, &slot.gradient}) {
    if (part == &slot.gradient && !part->defined()) continue;
    MM_CHECK(part->dtype() == DType::kFloat32 && part->elements() == slot.weight.elements(), "adamw: ", part->dtype(),
             " ", part->shape(), " beside a weight ", slot.weight.shape(), ", expected F32 of that shape");
  }
}

}  // namespace

double global_norm(const Context& ctx, std::span<const Tensor> tensors) {
  if (ctx.device == Device::kCuda) return cuda::global_norm(ctx, tensors);
  double squares = 0;
  for (const Tensor& x : tensors)
    if (x.defined()) squares += cpu::sum_of_squares(ctx, x.data<float>(), x.elements());
  return std::sqrt(squares);
}

void adamw(const Context& ctx, std::span<const AdamWSlot> slots, const AdamWStep& step) {
  for (const AdamWSlot& slot : slots) check_slot(slot);
  const auto t = static_cast<double>(step.step);
  const double correction1 = 1 / (1 - std::pow(step.beta1, t)), correction2 = 1 / (1 - std::pow(step.beta2, t));
  if (ctx.device == Device::kCuda) {
    std::vector<cuda::AdamWUpdate> updates;
    for (const AdamWSlot& slot : slots)
      updates.push_back({.weight = slot.weight,
                         .master = slot.master,
                         .m = slot.m,
                         .v = slot.v,
                         .gradient = slot.gradient,
                         .rate = step.rate,
                         .beta1 = step.beta1,
                         .beta2 = step.beta2,
                         .eps = step.eps,
                         .decay = slot.decay,
                         .gradient_scale = step.gradient_scale,
                         .correction1 = correction1,
                         .correction2 = correction2});
    return cuda::adamw(ctx, updates);
  }
  for (const AdamWSlot& slot : slots)
    cpu::adamw(ctx,
               {.gradient = slot.gradient.defined() ? slot.gradient.data<float>() : nullptr,
                .m = slot.m.data<float>(),
                .v = slot.v.data<float>(),
                .master = slot.master.data<float>(),
                .count = slot.master.elements(),
                .rate = step.rate,
                .beta1 = step.beta1,
                .beta2 = step.beta2,
                .eps = step.eps,
                .decay = slot.decay,
                .gradient_scale = step.gradient_scale,
                .correction1 = correction1,
                .correction2 = correction2},
               slot.weight.dtype() == DType::kBFloat16 ? slot.weight.data<bfloat16>() : nullptr);
}

void fill_zero(const Context& ctx, const Tensor& x) {
  if (x.memory()) return x.memory()->fill(x.raw(), 0, x.bytes());
  auto* bytes = static_cast<char*>(x.raw());
  ctx.threads->parallel_for(x.bytes(), int64_t{1} << 20, [&](int64_t begin, int64_t end) {
    std::memset(bytes + begin, 0, static_cast<size_t>(end - begin));
  });
}

}  // namespace minimax::ops
