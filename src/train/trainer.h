// Trainer: steps of a model by gradients, for supervised training and for reinforcement learning alike.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "comm/process_group.h"
#include "core/context.h"
#include "core/tape.h"
#include "model/minimax_m1.h"
#include "ops/balance.h"
#include "train/adamw.h"
#include "train/packing.h"
#include "train/policy_loss.h"

namespace minimax::train {

/// A tensor that training changes.
struct TrainedParameter {
  std::string name;     ///< as in the published checkpoint
  Tensor value;         ///< F32 or BF16: what the model computes with
  Tensor master;        ///< float32, that it was rounded from; a float32 value is its own master
  bool decays = false;  ///< weight decay pulls it to zero: matrices, not norms and embeddings
};

/// A model and those of its tensors that training changes: all of them, each a tensor of its own.
struct TrainableModel {
  MiniMaxM1 model;
  std::vector<TrainedParameter> parameters;
};

/// What becomes of packed weights.
enum class PackedWeights : uint8_t {
  kUnpack,  ///< they are trained like all others
  kKeep,    ///< they stay as they are, shared with the source, and are no parameters; on a GPU as kUnpack
};

/// A copy of `source`, which lies on the host in any of F32, BF16, F16 and packed formats, to where `ctx` computes.
/// Norms and routers are float32, all others `working` (F32 or BF16).
TrainableModel make_trainable(const Context& ctx, const MiniMaxM1& source, DType working,
                              PackedWeights packed = PackedWeights::kUnpack);

/// How a pass is made into gradients.
struct PassOptions {
  PolicyLoss policy;               ///< for batches with advantages
  double balance = 0;              ///< coefficient of the load-balancing loss, the mean over layers
  bool checkpoint_layers = false;  ///< keep only the layers' outputs and compute the rest again: less memory
};

struct TrainerOptions {
  AdamWOptions optimizer;
  PassOptions pass;
  /// The balance loss is that of all tokens of a step, however it is cut into passes; where a step has several whose
  /// experts are not known (frozen in a RouterReplay) this costs another forward pass. False: each pass by itself.
  bool balance_over_step = true;
  double skip_factor = 0;  ///< steps whose gradient norm is so many times the median of the last 50; 0: none
};

/// What the passes of a step gave; sums over them.
struct PassReport {
  double loss = 0;      ///< sum of weight * -log_prob, for a policy loss of its terms
  double balance = 0;   ///< load-balancing loss, mean over layers and tokens: top_k when balanced
  int64_t tokens = 0;   ///< inputs
  int64_t targets = 0;  ///< rows
  PolicyCounts policy;

  void add(const PassReport& other);
};

/// Forward and backward of one batch: adds to `gradients` those of every weight. `share`: of the step's tokens in this
/// batch, for the balance loss. `expert_shares`: those of the step; null: the batch is all of it (there is no padding).
PassReport run_pass(const Context& ctx, const MiniMaxM1& model, const TrainBatch& batch, const PassOptions& options,
                    double share, Gradients& gradients, const ExpertShares* expert_shares = nullptr);

struct StepMetrics {
  PassReport pass;
  StepReport optimizer;
  double rate = 0;
};

/// Parameters that the model does not compute with themselves: adapters.
class Reparametrization {
 public:
  virtual ~Reparametrization() = default;
  /// Before an update: turns the gradients of the model's weights into those of the parameters, and leaves no others.
  virtual void project(const Context& ctx, Gradients& gradients) = 0;
  /// After it: writes the model's weights.
  virtual void apply(const Context& ctx) = 0;
};

/// Owns optimizer state and gradients; the model is the caller's, and an engine may sample from the very same weights
/// between steps. Not thread-safe. All numbers are made by ops on the context's device.
class Trainer {
 public:
  /// `trainable`, `group`, `adapters` and what `ctx` points to must outlive the trainer. Null group: this process
  /// alone. Null adapters: the parameters are the model's weights.
  Trainer(const Context& ctx, const TrainableModel& trainable, TrainerOptions options,
          comm::ProcessGroup* group = nullptr, Reparametrization* adapters = nullptr);

  /// One optimizer step from batches whose weights were normalised over all of them. In a group every process is given
  /// the same batches and computes those that are its own, every size()-th; gradients and metrics are added up, so that
  /// all end with the same weights: those of one process but for the order of additions. `look` is called when the
  /// gradients are complete and not yet used.
  StepMetrics step(std::span<const TrainBatch> batches, double rate, const std::function<void()>& look = {});

  // Its parts.
  /// run_pass into the step's gradients.
  PassReport accumulate(const TrainBatch& batch, double share = 1, const ExpertShares* expert_shares = nullptr);
  /// Of all tokens of a step, all processes' batches together.
  ExpertShares expert_shares(std::span<const TrainBatch> batches) const;
  /// Clips, updates the weights, and forgets the gradients.
  StepReport update(double rate, const std::function<void()>& look = {});

  /// log pi of every row's target by the weights as they are, without gradients: old_log_probs of a policy step, or a
  /// held-out loss. The same bits as the forward pass of a step that packs the sequences alike.
  std::vector<double> log_probs(const TrainBatch& batch) const;

  /// Null: this process alone.
  comm::ProcessGroup* group() const { return group_; }
  /// True for the batches of a step that this process computes.
  bool is_own(size_t batch) const;

  const MiniMaxM1& model() const { return trainable_.model; }
  const Gradients& gradients() const { return gradients_; }
  AdamW& optimizer() { return optimizer_; }
  TrainerOptions& options() { return options_; }
  /// Gradient norms of the last steps, oldest first: part of a checkpoint, for skip_factor.
  std::deque<double>& recent_norms() { return recent_norms_; }

 private:
  double norm_limit() const;
  void add_up_gradients();

  Context ctx_;
  const TrainableModel& trainable_;
  comm::ProcessGroup* group_;
  Reparametrization* adapters_;
  TrainerOptions options_;
  AdamW optimizer_;
  Gradients gradients_;
  std::deque<double> recent_norms_;
};

}  // namespace minimax::train
