// Passes over one row of logits for the sampler and for losses, with the same bits on every machine.
#pragma once

#include <cstdint>
#include <span>

#include "cpu/kernels.h"

namespace minimax::cpu {

/// One pass. `logits` is not empty.
LogitsSummary summarize(std::span<const float> logits);

/// log(sum(exp(logits))), given max = the largest of them, finite. The exponentials are float32 (relative error below
/// 2e-7), their sum is float64 in a fixed order. The log-prob of id is `logits[id] - log_sum_exp(logits, max)`. The
/// bits are the same for any instruction set and number of threads: no fused multiply-add, sixteen lanes everywhere.
double log_sum_exp(std::span<const float> logits, float max);

/// weights[id] = exp((logits[id] - max) * inverse_temperature), rounded to a multiple of `weight_quantum(size)`, so
/// that any sum of any of them, in any order, is exact in float64. max is finite and no logit passes it. Returns the
/// sum.
double exp_weights(std::span<const float> logits, float max, float inverse_temperature, std::span<float> weights);

/// The power of two that all weights of a row of `size` are multiples of: size / quantum < 2^53.
/// For 200,064 ids it is 2^-35, 3e-11 of the weight of the most probable id.
double weight_quantum(int64_t size);

}  // namespace minimax::cpu
