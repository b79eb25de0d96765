// InputObserver: sees what goes into the products of a forward pass, for calibration.
#pragma once

#include <span>

#include "core/context.h"
#include "ops/moe.h"

namespace minimax {

/// Set Context::inputs, and every product shows its weight and its input before it computes. Nothing is changed by it.
class InputObserver {
 public:
  virtual ~InputObserver() = default;
  /// x: [rows, in] float32, where the context computes.
  virtual void linear(const Weight& weight, const Tensor& x) = 0;
  /// x: [tokens, hidden]; what each expert gets is for the observer to gather.
  virtual void experts(const Tensor& x, const ops::Routing& routing, std::span<const ExpertWeights> experts) = 0;
};

}  // namespace minimax
