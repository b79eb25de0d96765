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
  /// The same, forgotten here; undefined when nothing was added. What an op asks for its own output: nobody adds to it
  /// any more, and when the output's memory goes to another tensor, that one must not find it.
  Tensor take(const Tensor& x);
  /// d[x] += dx. The first `dx` is kept as it is: the caller must not write to it afterwards.
  /// Throws kInvalidArgument when the shapes differ in their number of elements.
  void add(const Tensor& x, const Tensor& dx);
  /// A float32 gradient of x to accumulate into: the one that is there, else zeros. Throws kInvalidArgument when the
  /// one that is there belongs to a view of another size.
  Tensor accumulator(const Tensor& x);
  /// How many tensors have a gradient.
  int64_t size() const { return static_cast<int64_t>(by_address_.size()); }

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
  /// Afterwards `d` holds the gradients of what no step has made: weights and other inputs.
  void backward(Context& ctx, Gradients& d);
  int64_t size() const { return static_cast<int64_t>(steps_.size()); }

 private:
  std::vector<Backward> steps_;
};

/// forward(ctx), of which ctx.tape remembers the result alone: the backward runs `forward` again, with a tape of its
/// own, for what lies between. The same gradients bit for bit when `forward` computes the same bits twice, for its
/// time once more and far less memory. What `forward` refers to must live until the backward.
Tensor checkpoint(Context& ctx, std::function<Tensor(Context& ctx)> forward);

}  // namespace minimax
