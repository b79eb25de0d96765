// Supervised training: a recipe, its data and a run folder, step by step.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/process_group.h"
#include "core/context.h"
#include "text/tokenizer.h"
#include "train/data_files.h"
#include "train/dataset.h"
#include "train/lora.h"
#include "train/recipe.h"
#include "train/run_folder.h"
#include "train/tensorboard.h"
#include "train/trainer.h"

namespace minimax::train {

/// Where a run is, after a step.
struct RunStatus {
  int64_t step = 0, steps = 0;  ///< done, of the whole run
  double loss = 0;              ///< of the step, mean over its targets
  double rate = 0;
  double gradient_norm = 0;
  bool skipped = false;
  double tokens_per_second = 0;  ///< of the last steps
  double seconds_left = 0;
  std::optional<double> held_out_loss;  ///< the last one
  bool saved = false;                   ///< a checkpoint was written after this step
};

struct RunCallbacks {
  std::function<void(const RunStatus&)> on_step = {};
  /// Something to tell the person, once.
  std::function<void(const std::string&)> note = {};
  /// Asked after every step: the run saves a checkpoint and ends when true.
  std::function<bool()> stop = {};
  /// What the model writes, at checkpoints; an engine's business. Null: no samples.
  std::function<std::string(const MiniMaxM1& model, const text::Tokenizer& tokenizer, const SampleRecipe& sample)>
      sample = {};
};

/// In one process the same recipe and data give the same weights bit for bit on the CPU, whatever the number of
/// threads, and whether the run went through or was killed and resumed.
class SupervisedRun {
 public:
  /// Loads model, tokenizer and data. `resume`: goes on from the newest checkpoint of the run folder, if there is one;
  /// else the folder must be unused. In a group every process makes a run of the same recipe on a file system they
  /// share; the first one alone writes the run folder. Null group: this process alone.
  /// Throws kInvalidArgument, kNotFound, kIo.
  SupervisedRun(Recipe recipe, const Context& ctx, bool resume, RunCallbacks callbacks,
                comm::ProcessGroup* group = nullptr);

  /// Steps until the schedule ends or callbacks.stop says so, with a checkpoint at the end. Returns the steps done in
  /// all.
  int64_t run();

  const MiniMaxM1& model() const { return trainable_.model; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  const RunFolder& folder() const { return folder_; }
  int64_t step() const { return step_; }

  /// Mean loss over the held-out targets; nothing when there are none.
  std::optional<double> held_out_loss() const;

 private:
  void load_data();
  void resume();
  io::json::object state() const;
  std::vector<TrainBatch> next_batches();
  void log(const StepMetrics& metrics, double seconds, std::optional<double> held_out);
  void save(std::optional<double> held_out);
  void note(const std::string& text) const;
  bool writes() const { return !group_ || group_->is_first(); }
  bool asked_to_stop() const;
  int64_t pass_tokens() const;

  Recipe recipe_;
  Context ctx_;
  RunCallbacks callbacks_;
  comm::ProcessGroup* group_;
  RunFolder folder_;
  std::filesystem::path tokenizer_folder_;
  std::optional<text::Tokenizer> tokenizer_;
  TrainableModel trainable_;
  std::unique_ptr<LoraAdapters> adapters_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Mixture> mixture_;
  std::vector<TrainBatch> held_out_;
  std::unique_ptr<TensorBoard> board_;

  int64_t step_ = 0;    // done
  int64_t tokens_ = 0;  // trained on
  double seconds_ = 0;  // of training, over all parts of the run
  std::optional<int64_t> best_step_;
  double best_loss_ = 0;
};

}  // namespace minimax::train
