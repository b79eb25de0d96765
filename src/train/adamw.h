// AdamW as the MiniMax-M1 report uses it.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "core/context.h"
#include "core/tape.h"
#include "ops/optimizer.h"

namespace minimax::train {

/// beta2 0.95 and eps 1e-15 are the report's: with the usual 1e-8 most of M1's parameters, whose gradients lie between
/// 1e-18 and 1e-5, would not move.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-15;
  double weight_decay = 0;
  double max_norm = 1;  ///< gradients are scaled down to this global norm; 0: never
};

/// What a step did.
struct StepReport {
  double gradient_norm = 0;  ///< before clipping; NaN or infinite when a gradient was
  bool clipped = false;      ///< the norm was above max_norm
  bool skipped = false;      ///< a gradient was not finite, or the norm above the limit: nothing was changed
};

/// Keeps float32 masters and moments of parameters whose working weights are F32 or BF16, and writes the rounded
/// masters back to the working weights after each step. The same bits for any number of threads. Moments are float32
/// with subnormals: v reaches 1e-36.
class AdamW {
 public:
  explicit AdamW(AdamWOptions options = {}) : options_(options) {}

  /// `weight`: F32 or BF16, written by step(); `decays`: weight decay applies (not to norms and embeddings). `master`:
  /// float32 values that the weight was rounded from; undefined: the weight's own (a float32 weight is its own master).
  /// Throws kInvalidArgument for other types.
  void add(const Context& ctx, const Tensor& weight, bool decays, Tensor master = {});

  /// m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  w -= rate (mh / (sqrt(vh) + eps) + decay w), with mh = m / (1 -
  /// b1^t) and vh = v / (1 - b2^t). A parameter without a gradient (an expert without tokens) has gradient 0.
  /// Nothing changes when the global norm is not finite or above `norm_limit`.
  StepReport step(const Context& ctx, const Gradients& gradients, double rate,
                  double norm_limit = std::numeric_limits<double>::infinity());

  int64_t steps() const { return steps_; }
  /// In the order of add(); the gradients are undefined.
  std::span<const ops::AdamWSlot> slots() const { return slots_; }
  /// To go on from a checkpoint, whose masters and moments the caller has written into slots(): weights are rounded
  /// from the masters by the next step.
  void set_steps(int64_t steps) { steps_ = steps; }
  AdamWOptions& options() { return options_; }

 private:
  AdamWOptions options_;
  std::vector<ops::AdamWSlot> slots_;
  int64_t steps_ = 0;
};

}  // namespace minimax::train
