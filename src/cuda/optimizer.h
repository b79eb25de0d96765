// What a training step does to parameters, on a GPU.
#pragma once

#include <span>

#include "core/context.h"

namespace minimax::cuda {

/// The square root of the sum of all squares; waits for the device.
double global_norm(const Context& ctx, std::span<const Tensor> tensors);

/// As the scalars of ops::AdamWStep and the tensors of ops::AdamWSlot; `gradient` undefined: zeros.
struct AdamWUpdate {
  Tensor weight, master, m, v, gradient;
  double rate = 0, beta1 = 0, beta2 = 0, eps = 0, decay = 0, gradient_scale = 1, correction1 = 1, correction2 = 1;
};
void adamw(const Context& ctx, std::span<const AdamWUpdate> updates);

}  // namespace minimax::cuda
