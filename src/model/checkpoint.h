// Checkpoint: the weights of a model folder under the model's own names, as views of the mapped files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/tensor.h"
#include "io/shards.h"
#include "model/config.h"
#include "model/tensor_names.h"
#include "ops/weight.h"

namespace minimax {

/// The weights of one decoder layer, each in the type its file has, dense or packed. Those of the other kind of
/// attention are undefined.
struct LayerWeights {
  LayerKind kind = LayerKind::kLightning;
  Tensor attention_norm;  ///< input_layernorm: [hidden]
  Tensor moe_norm;        ///< post_attention_layernorm: [hidden]

  // Lightning attention. qkv rows are head-major: each head's own q | k | v, side by side.
  Weight qkv;             ///< [heads * 3 * head_dim, hidden]
  Weight output_gate;     ///< [heads * head_dim, hidden]
  Tensor lightning_norm;  ///< [heads * head_dim]

  // Softmax attention.
  Weight q;     ///< [heads * head_dim, hidden]
  Weight k, v;  ///< [kv_heads * head_dim, hidden]

  Weight out;  ///< of both kinds: [hidden, heads * head_dim]

  Weight router;  ///< [experts, hidden]
  std::vector<ExpertWeights> experts;
  ExpertWeights shared;       ///< defined when shared_ffn > 0, with ffn = shared_ffn
  Weight shared_coefficient;  ///< [1, hidden]
};

/// What a folder holds, for a person to read: also of one that cannot be loaded.
struct CheckpointReport {
  std::optional<ModelConfig> config;     ///< nothing when config.json is missing or refused
  std::vector<std::string> problems;     ///< what Checkpoint::open would throw for; empty: it loads
  std::vector<std::string> missing;      ///< published names of weights that no file and no index has
  std::vector<std::string> unexpected;   ///< names in files or index that this model does not use; no problem
  std::vector<std::string> ignored;      ///< buffers that follow from the config, and the head of tied embeddings
  std::vector<std::string> unsupported;  ///< tensors of quantization formats

  int64_t expected_tensors = 0;  ///< by the config
  int64_t parameters = 0;        ///< by the config
  int64_t files = 0;             ///< named by the index, or found
  int64_t opened_files = 0;
  std::optional<int64_t> index_bytes;  ///< total_size of the index

  struct Amount {
    int64_t tensors = 0;
    int64_t elements = 0;  ///< of packed tensors, whose bytes do not tell: 0
    int64_t bytes = 0;
  };
  std::map<std::string, Amount> by_dtype;  ///< of all tensors in opened files: "BF16", ...; packed ones: "q4", ...
};

/// Reads headers only. Throws nothing for what is wrong inside the folder.
CheckpointReport inspect_checkpoint(const std::filesystem::path& folder);

class Checkpoint {
 public:
  /// Reads config.json and maps the files (io::Shards::open); bytes are read when they are touched. All weights must
  /// be there with the shapes of the config, as F32, BF16, F16 or packed. Throws kNotFound naming missing files or
  /// weights (all files, the first ten weights), kInvalidArgument for what does not fit, and as read_config and
  /// Shards::open do.
  static Checkpoint open(const std::filesystem::path& folder, const io::LoadOptions& options = {});

  const ModelConfig& config() const { return config_; }
  const io::Shards& shards() const { return shards_; }

  /// A weight by its published name, whatever its spelling in the files: a view of mapped bytes, read only. Tensors
  /// keep their file alive, so the Checkpoint may go. Throws kNotFound for a name that this model does not have,
  /// kInvalidArgument when it is packed.
  Tensor tensor(std::string_view name) const;
  /// The same of a matrix, which may be packed: stored as "NAME.q4" (docs/formats.md).
  Weight weight(std::string_view name) const;

  Weight embedding() const { return weight(kEmbeddingName); }   ///< [vocab, hidden]
  Tensor final_norm() const { return tensor(kFinalNormName); }  ///< [hidden]
  /// [vocab, hidden]; the embedding when they are tied.
  Weight head() const { return weight(config_.tied_embeddings ? kEmbeddingName : kHeadName); }
  LayerWeights layer(int64_t layer) const;

 private:
  Checkpoint(ModelConfig config, io::Shards shards) : config_(std::move(config)), shards_(std::move(shards)) {}

  struct Place {
    StoredTensor stored;
    Shape shape;
    std::optional<quant::Format> format;
  };

  ModelConfig config_;
  io::Shards shards_;
  std::unordered_map<std::string, Place> places_;  // by published name
};

}  // namespace minimax
