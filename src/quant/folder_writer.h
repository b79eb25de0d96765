// Writes the weights of a quantized model: shard by shard in the order given, in little memory, and goes on where an
// interrupted run stopped.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "core/threads.h"
#include "quant/quantize.h"

namespace minimax::quant {

/// A tensor to be written.
struct SourceTensor {
  std::string name;               ///< published; a quantized one is stored as "NAME.FORMAT"
  Shape shape;                    ///< [outputs, inputs], or [size]
  DType dtype = DType::kFloat32;  ///< F32, BF16 or F16: how it is stored when `format` is nothing
  std::optional<Format> format = {};
  RowReader read;                                             ///< a vector is one row
  std::function<void()> release = {};                         ///< called when it will not be read again
  std::shared_ptr<const std::vector<float>> importance = {};  ///< [inputs], or null: all inputs count alike
  std::function<ErrorFeedback(ThreadPool&)> feedback = {};    ///< made when the tensor's turn comes; null: none
};

struct WriteProgress {
  int64_t done_bytes = 0;  ///< of the output, by this run and those before
  int64_t total_bytes = 0;
  int64_t fresh_bytes = 0;  ///< by this run alone: what a rate is made of
  std::string name;         ///< of the tensor in hand, or of the shard that is checked
};

struct WriteOptions {
  Rounding rounding = Rounding::kBest;
  int64_t shard_bytes = int64_t{4} << 30;  ///< a shard ends before the tensor that would make it longer
  /// All that the bytes depend on, beside the tensors' names, shapes and formats: where they come from, calibration. A
  /// folder that was begun with other settings is not gone on with.
  std::string settings;
  std::function<void(const WriteProgress&)> progress = {};
};

struct WrittenTensor {
  std::string name;    ///< as stored
  std::string format;  ///< "q4", or the type: "BF16"
  int64_t bytes = 0;
  double relative_error = 0;  ///< sqrt(sum of squared errors / sum of squares)
};

struct WrittenFolder {
  std::vector<WrittenTensor> tensors;       ///< in the order given
  std::map<std::string, std::string> sums;  ///< SHA-256 of each file written
  int64_t bytes = 0;                        ///< of all tensors
  int64_t resumed_shards = 0;               ///< that an earlier run had finished
};

/// Where the state of an unfinished run is kept in the folder.
inline constexpr std::string_view kUnfinishedName = "quantize.unfinished.json";

/// Writes model.safetensors, or model-00001-of-N.safetensors, ... and their index. Each file appears whole or not at
/// all; those that an earlier run finished are kept when their sums are right. Call finish_folder() when what belongs
/// beside them is there too. The bytes do not depend on the number of threads, nor on interruptions. Throws
/// kInvalidArgument when the folder holds other things or was begun with other settings, naming the tensor when its
/// values cannot be quantized; kIo.
WrittenFolder write_folder(const std::filesystem::path& folder, const std::vector<SourceTensor>& tensors,
                           const WriteOptions& options, ThreadPool& threads);
/// Removes the state of the run: the folder is whole.
void finish_folder(const std::filesystem::path& folder);

/// Bytes of this tensor as stored.
int64_t stored_bytes(const SourceTensor& tensor);

}  // namespace minimax::quant
