// PolicyTrainer: reinforcement learning, a batch of groups at a time: sample, score, and several updates of the policy.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "rl/curriculum.h"
#include "rl/metrics.h"
#include "rl/reward.h"
#include "rl/rollout.h"
#include "train/policy_loss.h"
#include "train/schedule.h"
#include "train/trainer.h"

namespace minimax::rl {

/// What the ratios of a policy update are taken against.
enum class Anchor : uint8_t {
  kOld,      ///< log-probs by the trainer before the batch's first update: MiniMax-M1
  kRollout,  ///< those the engine reported: where trainer and engine differ and there is one update, or for old samples
};

struct PolicyOptions {
  int64_t prompts_per_batch = 32;
  /// Groups of equal rewards are dropped, and others sampled in their place, until there are enough or max_tries times
  /// prompts_per_batch were tried; then the batch is what there is. False: one round, everything is kept.
  bool dynamic_sampling = true;
  double max_tries = 4;
  int64_t min_groups = 1;       ///< with fewer the batch is not trained on, and the curriculum made easier
  int64_t minibatches = 4;      ///< updates a batch; the report has 16
  int64_t epochs = 1;           ///< passes over the batch
  bool router_replay = true;    ///< in all updates the experts are those from before the first
  bool mask_truncated = false;  ///< attempts that were cut off are left out of the loss
  Anchor anchor = Anchor::kOld;
  /// Tokens are weighted by min(exp(trainer's - engine's log-prob), this) besides; 0: not. For engines of lower
  /// precision.
  double importance_cap = 0;
  double least_pearson = 0.99;   ///< of engine's and trainer's probabilities; below, a batch is not trained on
  double most_mean_dlogp = 0.1;  ///< mean difference of their log-probs; above, likewise
  int64_t pass_tokens = 8192;    ///< of one forward and backward pass
  train::AdvantageOptions advantages;
  RewardOptions reward;
  train::Schedule schedule;  ///< over updates
  /// Windows of the stages. The next one begins when the perplexity of the samples has settled (its last `settle_over`
  /// batches differ by less than settle_within of it) and the 99th percentile of lengths is at settle_share of the
  /// window. Source: MiniMax-M1 report, staged window expansion; numbers ours.
  std::vector<int64_t> windows = {512};
  int64_t settle_over = 8;
  double settle_within = 0.02, settle_share = 0.9;
  /// Reward below this share of its running best for so many batches: back to the last good weights, at half the rate.
  /// The best starts anew when a task's level rises, for then problems are harder and nothing is lost.
  double rollback_share = 0.5;
  int64_t rollback_after = 3;       ///< 0: never
  bool gradient_histogram = false;  ///< of the last update of each batch
  uint64_t seed = 1;
};

struct BatchReport {
  int64_t batch = 0;             ///< from 0
  Metrics metrics;               ///< of the batch
  std::vector<Metrics> updates;  ///< of each update
  std::vector<std::string> alarms;
  std::vector<Group> groups;  ///< all that were sampled, for logs
  bool trained = false;
  bool rolled_back = false;
};

/// Samples by `engine` and updates by `trainer` take turns on the same weights. All of them must outlive it. When the
/// trainer has a group, its processes share out problems and passes, each with an engine of its own, and stay alike.
class PolicyTrainer {
 public:
  /// `trainer` has the loss in its options. `rollout.window` is set here. Throws kInvalidArgument for options that do
  /// not fit together.
  PolicyTrainer(engine::Engine& engine, train::Trainer& trainer, const text::Tokenizer& tokenizer,
                Curriculum& curriculum, RolloutOptions rollout, PolicyOptions options);

  BatchReport step();

  int64_t batches() const { return batches_; }
  int64_t updates() const { return updates_; }
  int64_t window() const { return options_.windows[stage_]; }
  const PolicyOptions& options() const { return options_; }

  /// Everything besides weights and optimizer that the next batch depends on.
  io::json::object state() const;
  void restore(const io::JsonField& state);
  /// last_good.safetensors: the weights and moments that a rollback goes back to, when they are not the present ones.
  void save_good_weights(const std::filesystem::path& folder) const;
  /// After restore(): reads them, if they were written.
  void load_good_weights(const std::filesystem::path& folder);

 private:
  /// One minibatch: whole groups, packed once; the same packs before and in the updates.
  struct Minibatch {
    std::vector<train::TrainBatch> packs;
  };

  std::vector<Group> sample(BatchReport& report);
  std::vector<Minibatch> prepare(std::span<Group> groups, Mismatch& mismatch);
  int64_t pass_tokens_for(std::span<const train::TrainSequence> sequences) const;
  void update(std::vector<Minibatch>& minibatches, BatchReport& report);
  void advance_stage(const Metrics& metrics);
  bool roll_back_if_lost(double reward);
  void keep_good_weights();

  engine::Engine& engine_;
  train::Trainer& trainer_;
  const text::Tokenizer& tokenizer_;
  Curriculum& curriculum_;
  RolloutOptions rollout_;
  PolicyOptions options_;

  int64_t batches_ = 0, updates_ = 0, rounds_ = 0;
  size_t stage_ = 0;
  std::vector<double> perplexities_;  // of this stage's last batches
  AlarmState alarms_;
  double rate_scale_ = 1;
  // Rollback.
  double best_reward_ = 0, running_reward_ = -1;
  std::map<std::string, int64_t> levels_;  // that these rewards are of
  int64_t bad_batches_ = 0;
  struct Good {
    std::vector<Tensor> weights, masters, m, v;
    int64_t optimizer_steps = 0;
  };
  std::optional<Good> good_;
};

/// Advantages of all samples, set in place; samples without a reward get 0.
void set_advantages(std::span<Group> groups, const train::AdvantageOptions& options);

}  // namespace minimax::rl
