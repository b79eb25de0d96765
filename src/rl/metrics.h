// Metrics: what a batch of attempts and its updates were like, under fixed names, and what is alarming about it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "comm/process_group.h"
#include "ops/router_replay.h"
#include "rl/rollout.h"
#include "train/trainer.h"

namespace minimax::rl {

/// Name -> value, as they are written: "reward/mean".
using Metrics = std::map<std::string, double>;

double percentile(std::vector<double> values, double share);
/// 1 when neither varies.
double pearson(std::span<const double> x, std::span<const double> y);

/// How the log-probs of engine and trainer agree, before any update of the batch: mismatch/{tokens, same_bits, pearson,
/// mean_abs_dlogp, max_abs_dlogp, max_abs_dprob, k3, ess}. Pearson is of the probabilities, as in the report's
/// figure 3.
class Mismatch {
 public:
  void add(double trainer_log_prob, float engine_log_prob);
  /// Adds what the other processes of the group have.
  void gather(comm::ProcessGroup& group);
  void write(Metrics& out) const;
  double pearson() const;
  double mean_abs_dlogp() const;
  int64_t tokens() const { return static_cast<int64_t>(trainer_.size()); }

 private:
  std::vector<double> trainer_, engine_;
};

/// reward/, adv/, group/, len/, entropy/, ppl/, verifier/ and the rates, of the groups that were sampled. The entropy
/// is estimated by the sampled tokens: the mean of -log_prob. `kept`: those that are trained on. judge/len_corr: where
/// a verifier gives more than right and wrong, Spearman's rank correlation of reward and length among attempts that
/// are equally correct, the mean over the two kinds by their numbers; 0 when nothing varies.
void write_batch_metrics(std::span<const Group> all, std::span<const Group> kept, int64_t window, Metrics& out);

/// loss/, kl/, ratio/, cispo/, ppo/ and grad/ of one update.
void write_update_metrics(const train::StepMetrics& step, Metrics& out);

/// moe/{load_cv, maxfrac, dead_experts, load_entropy, router_entropy, flip_rate}, means over mixtures (the largest for
/// maxfrac, the sum for dead_experts). load_entropy is that of the experts' loads, router_entropy the mean over tokens
/// of that of the router's softmax. Of the processes' batches together; null: this one's.
void write_router_metrics(const MiniMaxM1& model, std::span<const std::shared_ptr<RouterReplay>> replays,
                          comm::ProcessGroup* group, Metrics& out);

/// Spearman's rank correlation, equal values sharing their mean rank; 0 when one does not vary.
double spearman(std::span<const double> x, std::span<const double> y);

/// upd/param_rms_ratio of the step that was made last, and with `histogram` grad/abs_1e-NN, the share of gradients in
/// each decade, from gradients that have not been used yet.
void write_optimizer_metrics(train::Trainer& trainer, double rate, Metrics& out);
void write_gradient_histogram(const train::Trainer& trainer, Metrics& out);

struct AlarmState {
  double entropy_start = 0;                                         ///< of the first batch
  std::vector<double> reward, length, perplexity, held_out, norms;  ///< of the last batches
};

/// What is alarming, in words a person can act on: the conditions of docs/rl.md. Adds the batch to `state`.
std::vector<std::string> find_alarms(const Metrics& batch, double window, AlarmState& state);

}  // namespace minimax::rl
