// Recipe: everything that decides a supervised training run, read from TOML.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "model/config.h"
#include "train/lora.h"
#include "train/recipe_table.h"
#include "train/schedule.h"
#include "train/trainer.h"

namespace minimax::train {

/// [model]: a checkpoint to go on from, or a shape to fill with random weights.
struct ModelRecipe {
  std::filesystem::path checkpoint;   ///< empty: `shape`
  ModelConfig shape;                  ///< vocab 0: as many ids as the tokenizer has
  DType precision = DType::kFloat32;  ///< of the working weights: F32 or BF16; masters are always float32
};

enum class DataKind : uint8_t {
  kChat,  ///< JSONL, each line {"messages": [...], "tools": [...]}
  kText,  ///< JSONL, each line {"text": "..."}; or a file of plain text, which is one document
};

/// [[data]] and [[held_out.data]].
struct DataRecipe {
  std::string name;
  std::filesystem::path path;
  DataKind kind = DataKind::kChat;
  double weight = 1;  ///< of the mixture: its share of the tokens, relative to the other weights
};

/// [[sample]]: what the model is asked at every checkpoint.
struct SampleRecipe {
  std::string prompt;
  double temperature = 0;
  int64_t max_tokens = 256;
};

struct Recipe {
  uint64_t seed = 1;
  ModelRecipe model;
  std::filesystem::path tokenizer;  ///< folder; empty: the checkpoint's
  std::vector<DataRecipe> data;

  std::vector<DataRecipe> held_out;
  double held_out_share = 0;        ///< of the examples of `data`, taken away from it
  int64_t held_out_every = 0;       ///< steps; 0: at checkpoints only
  int64_t held_out_tokens = 65536;  ///< at most so many are evaluated

  int64_t batch_tokens = 16384;  ///< of an optimizer step, at least
  int64_t pass_tokens = 4096;    ///< of one forward and backward pass, at most
  int64_t context = 1024;        ///< longer conversations are left out, longer texts cut

  Schedule schedule;
  TrainerOptions trainer;

  std::filesystem::path output;  ///< run folder
  int64_t checkpoint_every = 0;  ///< steps; 0: at the end only
  int64_t keep_last = 2;         ///< checkpoints, besides the best
  bool tensorboard = false;
  std::vector<SampleRecipe> samples;

  LoraOptions lora;

  std::string source;  ///< the TOML itself
};

/// Paths are relative to the recipe's folder. Every key must be known; numbers must be in range; what depends on each
/// other must fit. Throws kInvalidArgument that names file, line and key; kNotFound, kIo.
Recipe read_recipe(const std::filesystem::path& file);

/// The parts that other recipes share.
ModelRecipe read_model(RecipeTable table, const std::filesystem::path& base);
Schedule read_schedule(RecipeTable table);
void read_optimizer(RecipeTable table, TrainerOptions& options);

}  // namespace minimax::train
