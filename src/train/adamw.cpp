#include "train/adamw.h"

#include <algorithm>
#include <cmath>

namespace minimax::train {
namespace {

constexpr int64_t kPiece = 16 * 1024;

}  // namespace

void AdamW::add(const Tensor& weight, bool decays) {
  MM_CHECK(weight.dtype() == DType::kFloat32 || weight.dtype() == DType::kBFloat16, "trainable weight is ",
           weight.dtype(), ", expected F32 or BF16");
  const bool shared = weight.dtype() == DType::kFloat32;
  slots_.push_back({weight, shared ? weight : to_float32(weight), Tensor::zeros(weight.shape(), DType::kFloat32),
                    Tensor::zeros(weight.shape(), DType::kFloat32), decays});
}

double AdamW::norm(const Context& ctx, const Gradients& gradients) const {
  double squares = 0;
  std::vector<double> parts;
  for (const Slot& slot : slots_) {
    const Tensor* gradient = gradients.find(slot.weight);
    if (!gradient) continue;
    const float* g = gradient->data<float>();
    parts.assign(static_cast<size_t>((gradient->elements() + kPiece - 1) / kPiece), 0.0);
    ctx.threads->parallel_for(gradient->elements(), kPiece, [&](int64_t begin, int64_t end) {
      // A caller's piece may be several of ours (one thread): the partial sums keep their grid.
      for (int64_t first = begin; first < end; first += kPiece) {
        double sum = 0;
        for (int64_t i = first; i < std::min(first + kPiece, end); ++i)
          sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
        parts[first / kPiece] = sum;
      }
    });
    for (const double part : parts) squares += part;
  }
  return std::sqrt(squares);
}

void AdamW::update(const Context& ctx, const Slot& slot, const Tensor* gradient, double rate, double scale) const {
  const double beta1 = options_.beta1, beta2 = options_.beta2;
  const auto t = static_cast<double>(steps_);
  const double correction1 = 1 / (1 - std::pow(beta1, t)), correction2 = 1 / (1 - std::pow(beta2, t));
  const double decay = slot.decays ? options_.weight_decay : 0;
  ctx.threads->parallel_for(slot.master.elements(), kPiece, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double g = gradient ? scale * static_cast<double>(gradient->data<float>()[i]) : 0.0;
      float& m = slot.m.data<float>()[i];
      float& v = slot.v.data<float>()[i];
      float& w = slot.master.data<float>()[i];
      m = static_cast<float>(beta1 * static_cast<double>(m) + (1 - beta1) * g);
      v = static_cast<float>(beta2 * static_cast<double>(v) + (1 - beta2) * g * g);
      const double direction =
          static_cast<double>(m) * correction1 / (std::sqrt(static_cast<double>(v) * correction2) + options_.eps);
      w = static_cast<float>(static_cast<double>(w) - rate * (direction + decay * static_cast<double>(w)));
      if (slot.weight.dtype() == DType::kBFloat16) slot.weight.data<bfloat16>()[i] = to_bfloat16(w);
    }
  });
}

StepReport AdamW::step(const Context& ctx, const Gradients& gradients, double rate) {
  StepReport report{.gradient_norm = norm(ctx, gradients)};
  if (!std::isfinite(report.gradient_norm)) {
    report.skipped = true;
    return report;
  }
  const bool clipped = options_.max_norm > 0 && report.gradient_norm > options_.max_norm;
  const double scale = clipped ? options_.max_norm / report.gradient_norm : 1;
  ++steps_;
  for (const Slot& slot : slots_) update(ctx, slot, gradients.find(slot.weight), rate, scale);
  return report;
}

}  // namespace minimax::train
