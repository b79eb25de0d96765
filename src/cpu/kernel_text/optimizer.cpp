// AdamW over a run of parameters, and sums of squares. Plain loops in double, which the compiler turns into vectors:
// every element is computed alone, so that all tables give the same bits.
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {

void adamw(const AdamWArgs& args) {
  const float* g = args.gradient;
  float* __restrict m = args.m;
  float* __restrict v = args.v;
  float* __restrict w = args.master;
  const double beta1 = args.beta1, beta2 = args.beta2, scale = args.gradient_scale, eps = args.eps;
  const double rate = args.rate, decay = args.decay, correction1 = args.correction1, correction2 = args.correction2;
  for (int64_t i = 0; i < args.count; ++i) {
    const double d = g ? scale * (double)g[i] : 0.0;
    m[i] = (float)(beta1 * (double)m[i] + (1 - beta1) * d);
    v[i] = (float)(beta2 * (double)v[i] + (1 - beta2) * d * d);
    const double direction = (double)m[i] * correction1 / (__builtin_sqrt((double)v[i] * correction2) + eps);
    w[i] = (float)((double)w[i] - rate * (direction + decay * (double)w[i]));
  }
}

double sum_of_squares(const float* x, int64_t count) {
  // Sixteen chains whatever the vectors are, added in order.
  constexpr int kChains = 16;
  double sums[kChains] = {};
  int64_t i = 0;
  for (; i + kChains <= count; i += kChains)
    for (int chain = 0; chain < kChains; ++chain) sums[chain] += (double)x[i + chain] * (double)x[i + chain];
  double total = 0;
  for (int chain = 0; chain < kChains; ++chain) total += sums[chain];
  for (; i < count; ++i) total += (double)x[i] * (double)x[i];
  return total;
}

}  // namespace minimax::cpu::MM_ISA
