// RunFolder: what a training run leaves on disk, and goes on from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/json.h"
#include "train/trainer.h"

namespace minimax::train {

/// Files of a run:
///   recipe.toml, run.json       what was asked for, and what it was resolved to
///   metrics.jsonl               one object for each optimizer step
///   samples.jsonl               what the model wrote at its checkpoints
///   checkpoints/step-000400/    a model folder in the published layout, with optimizer.safetensors and trainer.json
///   report.html                 curves, at the end
/// A checkpoint appears whole or not at all, so a run that is killed at any moment can go on from its newest one.
class RunFolder {
 public:
  /// Makes the folder if it is not there.
  explicit RunFolder(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path metrics_file() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path samples_file() const { return path_ / "samples.jsonl"; }
  std::filesystem::path checkpoint(int64_t step) const;

  /// Steps of the checkpoints that are there, ascending.
  std::vector<int64_t> checkpoints() const;
  /// True when a run has left something here: metrics or checkpoints.
  bool is_used() const;

  /// Adds a line to a .jsonl file of the folder.
  void append(const std::filesystem::path& file, const io::json::object& line);
  /// Takes lines whose "step" is past `step` away from metrics and samples: what a killed run did after its checkpoint
  /// is done again.
  void forget_after(int64_t step);

  /// `write` fills a folder that then becomes checkpoint(step), in one step.
  void save(int64_t step, const std::function<void(const std::filesystem::path& folder)>& write);
  /// Removes all but the newest `keep_last` checkpoints and that of step `best`.
  void prune(int64_t keep_last, std::optional<int64_t> best);

 private:
  std::filesystem::path path_;
};

/// Lines of a .jsonl file; empty when there is none. A last line without its end (the program was killed) is left out.
std::vector<io::json::value> read_jsonl(const std::filesystem::path& file);

/// Writes a model folder: config.json (with the weights' type and the tokenizer's eos), model.safetensors, and the
/// tokenizer files of `tokenizer`, if any.
void save_model(const Context& ctx, const MiniMaxM1& model, const std::filesystem::path& folder,
                const std::filesystem::path& tokenizer);

/// optimizer.safetensors: m.NAME and v.NAME of each parameter, and master.NAME where the weight is rounded.
void save_optimizer(const Context& ctx, const TrainableModel& trainable, AdamW& optimizer,
                    const std::filesystem::path& folder);
/// Reads them into the trainer's tensors. Throws kNotFound, kInvalidArgument for a missing or misshapen tensor.
void load_optimizer(const Context& ctx, const TrainableModel& trainable, AdamW& optimizer,
                    const std::filesystem::path& folder);

}  // namespace minimax::train
