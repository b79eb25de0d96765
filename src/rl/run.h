// ReinforcementRun: a recipe and a run folder, batch by batch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "comm/process_group.h"
#include "rl/recipe.h"
#include "train/run_folder.h"
#include "train/tensorboard.h"

namespace minimax::rl {

/// Where a run is, after a batch.
struct RlStatus {
  int64_t batch = 0, batches = 0;  ///< done, of the whole run
  double reward = 0, length = 0, entropy = 0, kl = 0;
  double seconds_left = 0;
  Metrics held_out;  ///< what the last evaluation gave: "heldout/NAME.greedy", "heldout/NAME.avg"
  bool saved = false;
};

struct RlCallbacks {
  std::function<void(const RlStatus&)> on_batch = {};
  std::function<void(const std::string&)> note = {};   ///< something to tell the person, once
  std::function<void(const std::string&)> alarm = {};  ///< something is wrong with the run
  std::function<bool()> stop = {};                     ///< asked after every batch
};

/// The same recipe gives the same weights bit for bit on the CPU, also when killed and resumed. The folder has, besides
/// what train::RunFolder says: updates.jsonl, a line for each optimizer step; attempts.jsonl, a share of the attempts
/// in full.
class ReinforcementRun {
 public:
  /// `resume`: goes on from the newest checkpoint of the folder, if there is one; else the folder must be unused.
  /// `group`: processes that share the work; all pass the same, the first one writes the folder. Null: this one alone.
  ReinforcementRun(Recipe recipe, const Context& ctx, bool resume, RlCallbacks callbacks,
                   comm::ProcessGroup* group = nullptr);

  /// Batches until the recipe's number or callbacks.stop; a checkpoint at the end. Returns the batches done in all.
  int64_t run();

  const train::RunFolder& folder() const { return folder_; }
  int64_t batches() const { return policy_->batches(); }
  /// Held-out scores by the weights as they are.
  Metrics evaluate();

 private:
  /// Throws kInvalidArgument for a problem of a file whose verifier nobody has.
  void check_verifiers() const;
  void resume();
  /// Takes lines of batches past this one away: they are done again.
  void forget_after(int64_t batch);
  void save();
  void log(const BatchReport& report);
  void note(const std::string& text) const;
  bool writes() const { return !group_ || group_->is_first(); }
  bool asked_to_stop() const;

  Recipe recipe_;
  Context ctx_;
  RlCallbacks callbacks_;
  comm::ProcessGroup* group_;
  train::RunFolder folder_;
  std::filesystem::path tokenizer_folder_;
  std::optional<text::Tokenizer> tokenizer_;
  train::TrainableModel trainable_;
  std::unique_ptr<train::Trainer> trainer_;
  std::unique_ptr<engine::Engine> engine_;
  std::vector<std::unique_ptr<ExternalVerifier>> verifiers_;
  std::unique_ptr<Curriculum> curriculum_;
  std::unique_ptr<PolicyTrainer> policy_;
  std::unique_ptr<train::TensorBoard> board_;
  std::optional<int64_t> best_batch_;
  double best_score_ = 0;
};

}  // namespace minimax::rl
