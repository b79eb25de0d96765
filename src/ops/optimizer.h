// What a training step does to parameters after the gradients are there.
#pragma once

#include <span>

#include "core/context.h"

namespace minimax::ops {

/// The square root of the sum of all squares of float32 tensors, summed in double: the global norm of gradients.
/// Undefined tensors count nothing. NaN or infinite when an element is. The same bits for any number of threads.
double global_norm(const Context& ctx, std::span<const Tensor> tensors);

/// One parameter of an AdamW step, all of one shape.
struct AdamWSlot {
  Tensor weight;    ///< F32 or BF16: what the model computes with
  Tensor master;    ///< float32; shares the bytes of a float32 weight
  Tensor m, v;      ///< float32 moments
  Tensor gradient;  ///< float32; undefined: all zero
  double decay = 0;
};

struct AdamWStep {
  int64_t step = 1;  ///< counted from 1, for the moments' corrections
  double rate = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-15;
  double gradient_scale = 1;  ///< gradients are multiplied with it: clipping
};

/// m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  w -= rate (mh / (sqrt(vh) + eps) + decay w), mh = m / (1 - b1^step),
/// vh = v / (1 - b2^step), in double from float32 to float32 (subnormals kept: v reaches 1e-36); then weights are the
/// rounded masters. The same bits for any number of threads.
/// Throws kInvalidArgument when a slot's tensors do not fit together.
void adamw(const Context& ctx, std::span<const AdamWSlot> slots, const AdamWStep& step);

/// All bytes zero.
void fill_zero(const Context& ctx, const Tensor& x);

}  // namespace minimax::ops
