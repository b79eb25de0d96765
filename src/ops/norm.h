// Root-mean-square normalisation.
#pragma once

#include "core/context.h"

namespace minimax::ops {

/// RMSNorm over the last dimension: out = x / sqrt(mean(x^2) + eps) * weight.
/// x, out: [..., hidden] float32; weight: [hidden] float32.
/// A row's result does not depend on the other rows. Throws kInvalidArgument when weight does not fit x.
/// Source: MiniMaxM1RMSNorm in the published modeling file, without its roundings to bfloat16.
Tensor rms_norm(const Context& ctx, const Tensor& x, const Tensor& weight, float eps);

}  // namespace minimax::ops
