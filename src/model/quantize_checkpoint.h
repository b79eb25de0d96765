// A quantized folder from a checkpoint: which of its matrices get which format, and everything that belongs beside
// them.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/threads.h"
#include "model/checkpoint.h"
#include "model/minimax_m1.h"
#include "quant/folder_writer.h"
#include "quant/recipe.h"

namespace minimax {

/// What a matrix does; nothing for routers, norms and coefficients, which are never quantized.
std::optional<quant::Role> role_of(const ExpectedTensor& tensor);

/// How a tensor of a model with bfloat16 weights is stored: routers and norms as they are.
struct StoredSize {
  std::string format;  ///< "q4", "BF16", "F32"
  int64_t bytes = 0;
};
StoredSize stored_size(const ExpectedTensor& tensor, const quant::Recipe& recipe, DType dtype = DType::kBFloat16);
/// All tensors of such a model.
int64_t quantized_bytes(const ModelConfig& config, const quant::Recipe& recipe, DType dtype = DType::kBFloat16);

/// Recipes from many bits to few, "keep" first: what recipe_that_fits chooses from.
std::vector<std::string> recipe_ladder();

/// The recipe with the most bits whose weights take at most `bytes`. Throws kInvalidArgument naming the least that is
/// possible.
quant::Recipe recipe_that_fits(const ModelConfig& config, int64_t bytes);

/// What calibration knows of a model's inputs, by published name of the matrix (calibrate.h makes it).
struct QuantizeHints {
  /// [inputs]: mean square of each input of the matrix.
  std::map<std::string, std::shared_ptr<const std::vector<float>>> importance;
  /// How inputs go together, as quant::ErrorFeedback takes it: [blocks, quant::kTriangle] float32.
  std::map<std::string, Tensor> moments;
  /// Powers of two that rows or columns are multiplied by: the same function, with columns that round better.
  std::map<std::string, std::shared_ptr<const std::vector<float>>> row_factors, column_factors;
  std::string fingerprint;  ///< of the statistics
};

struct QuantizeOptions {
  quant::Rounding rounding = quant::Rounding::kBest;
  int64_t shard_bytes = int64_t{4} << 30;
  std::function<void(const quant::WriteProgress&)> progress = {};
};

/// Writes the model of `from`, which `checkpoint` was opened from, to the folder `to`: shards in the order of layers,
/// config.json with a quantization_config, tokenizer, templates and other small files, and SHA256SUMS. config.json
/// comes last: a folder that has one is whole. An interrupted run is gone on with. Reads each weight once, and lets go
/// of its pages; memory is that of some panels for each thread. Throws kInvalidArgument when the checkpoint is
/// quantized already, when a rule of the recipe fits nothing, and as quant::write_folder does.
quant::WrittenFolder quantize_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& from,
                                         const std::filesystem::path& to, const quant::Recipe& recipe,
                                         const QuantizeHints& hints, const QuantizeOptions& options,
                                         ThreadPool& threads);

/// quantize_weights() of a model in memory by a recipe: the bytes that quantize_checkpoint would write. Throws
/// kInvalidArgument when a rule fits nothing.
void quantize_weights(MiniMaxM1& model, const quant::Recipe& recipe, ThreadPool& threads);

}  // namespace minimax
