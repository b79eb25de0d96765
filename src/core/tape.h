// Tape: what a forward pass did, in order, so that its gradients can be computed backwards.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "core/context.h"

namespace minimax {

/// Gradients of tensors, float32, in the shape of the tensor. A tensor is known by the address of its bytes, so views
/// of the same bytes share a gradient; whoever asks must still hold the tensor.
class Gradients {
 public:
  /// The gradient of `x`, or null when nothing was added to it.
  const Tensor* find(const Tensor& x) const;
  /// d[x] += dx. The first `dx` is kept as it is: the caller must not write to it afterwards.
  /// Throws kInvalidArgument when the shapes differ in their number of elements.
  void add(const Tensor& x, const Tensor& dx);
  /// A float32 gradient of x to accumulate into: the one that is there, else zeros.
  Tensor accumulator(const Tensor& x);

 private:
  struct Sum {
    Tensor value;
    bool own = false;  // ours to write to; else somebody's tensor, kept as it came
  };
  std::unordered_map<const void*, Sum> by_address_;
};

/// Ops record their backward here when Context::tape is set; the closures hold the tensors they need.
class Tape {
 public:
  /// Adds the gradients of the op's inputs, given those of its outputs in `d`.
  using Backward = std::function<void(Context& ctx, Gradients& d)>;

  void record(Backward backward) { steps_.push_back(std::move(backward)); }
  /// Runs the steps last to first and forgets them, each as soon as it is done. Nothing is recorded meanwhile.
  void backward(Context& ctx, Gradients& d);
  int64_t size() const { return static_cast<int64_t>(steps_.size()); }

 private:
  std::vector<Backward> steps_;
};

}  // namespace minimax
