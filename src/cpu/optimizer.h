// The optimizer's work on the CPU, over any number of threads with the same bits.
#pragma once

#include "core/context.h"
#include "cpu/kernels.h"

namespace minimax::cpu {

/// `whole` describes all elements; `working` is the bf16 copy of the masters to round to, or null.
void adamw(const Context& ctx, const AdamWArgs& whole, bfloat16* working);
/// In double.
double sum_of_squares(const Context& ctx, const float* x, int64_t count);

}  // namespace minimax::cpu
