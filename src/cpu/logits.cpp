#include "cpu/logits.h"

#include <bit>
#include <cmath>

#include "cpu/isa.h"

namespace minimax::cpu {

LogitsSummary summarize(std::span<const float> logits) {
  return kernels().summarize(logits.data(), static_cast<int64_t>(logits.size()));
}

double log_sum_exp(std::span<const float> logits, float max) {
  return static_cast<double>(max) +
         std::log(kernels().sum_exp(logits.data(), static_cast<int64_t>(logits.size()), max));
}

double exp_weights(std::span<const float> logits, float max, float inverse_temperature, std::span<float> weights) {
  const int64_t size = static_cast<int64_t>(logits.size());
  const float quantum = static_cast<float>(weight_quantum(size));
  return kernels().exp_weights(logits.data(), size, max, inverse_temperature, quantum, weights.data());
}

double weight_quantum(int64_t size) {
  return std::ldexp(1.0, static_cast<int>(std::bit_width(static_cast<uint64_t>(size))) - 53);
}

}  // namespace minimax::cpu
