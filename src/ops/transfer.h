// Tensors between the host, where losses and metrics are made, and the device that a context computes on.
#pragma once

#include "core/context.h"

namespace minimax::ops {

/// The same values where `ctx` computes; `x` itself when it is there already.
Tensor to_device(const Context& ctx, const Tensor& x);
/// The same values in host memory, complete when it returns; `x` itself when it is there already.
Tensor to_host(const Context& ctx, const Tensor& x);
/// The values of a host tensor written into `to`, which is where `ctx` computes. Throws kInvalidArgument when shape or
/// type differ.
void copy_to_device(const Context& ctx, const Tensor& host, const Tensor& to);

}  // namespace minimax::ops
