// ModelConfig: the sizes and constants of a model. The spellings of config.json are translated here and nowhere else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"

namespace minimax {

enum class LayerKind : uint8_t { kLightning, kSoftmax };

/// How the decay of a lightning layer depends on its index i among L layers.
enum class DecayRule : uint8_t {
  kOfficial,      ///< 1 - i / (L - 1) + 1e-5
  kTransformers,  ///< 1 - i / (L - 1 + 1e-5) + 1e-5, of the Hugging Face native class
};

/// The values of the members below are the class defaults of the published MiniMax-M1 code.
struct ModelConfig {
  int64_t vocab = 32000;
  int64_t hidden = 4096;
  int64_t ffn = 14336;  ///< width of one expert
  int64_t layers = 32;
  int64_t heads = 32;      ///< of both kinds of attention
  int64_t kv_heads = 8;    ///< of softmax layers; divides heads
  int64_t head_dim = 128;  ///< heads * head_dim need not be hidden
  int64_t max_positions = 131072;

  std::vector<LayerKind> layer_kind;  ///< [layers]

  // Softmax attention: rotated are dimensions 0 to rotary_dim - 1 of each head, in pairs (i, i + rotary_dim / 2).
  int64_t rotary_dim = 128;  ///< even, at most head_dim
  double rope_theta = 1e6;

  // Residuals: h = alpha * n + beta * f(n), where n is the normalized input (postnorm) or the input itself.
  bool postnorm = false;
  double lightning_alpha = 1, lightning_beta = 1;
  double softmax_alpha = 1, softmax_beta = 1;
  double moe_alpha = 1, moe_beta = 1;

  double norm_eps = 1e-5;
  // A constant of the published code, which passes no epsilon to this norm. vLLM uses norm_eps instead.
  double lightning_norm_eps = 1e-6;
  DecayRule decay_rule = DecayRule::kOfficial;

  int64_t experts = 8;
  int64_t top_k = 2;  ///< experts of a token
  /// Width of the shared expert; 0: there is none. It is mixed in as c * shared + (1 - c) * moe with
  /// c = sigmoid(coefficient . x), the mode "sigmoid"; the mode "softmax" is refused.
  int64_t shared_ffn = 0;

  bool tied_embeddings = false;  ///< lm_head is embed_tokens
  double router_aux_loss_coef = 0.001;
  double initializer_range = 0.02;
  std::optional<int64_t> bos;
  std::vector<int64_t> eos;    ///< usually none here: the tokenizer knows
  std::optional<DType> dtype;  ///< what config.json says of the weights; the files decide

  std::string model_type = "minimax_m1";  ///< as found
  /// What config.json says that is contradictory or was ignored, for a person to read.
  std::vector<std::string> warnings;

  /// Width of q in both kinds of attention, and of k and v in lightning attention: heads * head_dim.
  int64_t attention_dim() const { return heads * head_dim; }
  /// Width of k and v of softmax attention.
  int64_t kv_dim() const { return kv_heads * head_dim; }

  double alpha(LayerKind kind) const { return kind == LayerKind::kLightning ? lightning_alpha : softmax_alpha; }
  double beta(LayerKind kind) const { return kind == LayerKind::kLightning ? lightning_beta : softmax_beta; }
  /// What the slopes of layer `layer` (of all layers, softmax ones counted) are multiplied by.
  double decay_factor(int64_t layer) const;

  bool operator==(const ModelConfig&) const = default;
};

/// Parses config.json in any of three spellings: MiniMax-M1 and MiniMax-Text-01 (remote code) and the Hugging Face
/// native class `minimax`, each with its own defaults for absent members. Contradictions that have a sensible reading
/// become warnings. `what` names the document in errors. Throws kInvalidArgument, naming member, value found and value
/// expected, also for other models (MiniMax-M2 and later have no lightning attention).
ModelConfig parse_config(std::string_view text, std::string_view what);
/// parse_config of FOLDER/config.json. Throws kNotFound when there is none.
ModelConfig read_config(const std::filesystem::path& folder);

/// The text of a config.json in the spelling of MiniMax-M1, which parse_config reads back to the same model (warnings
/// and model_type aside).
std::string write_config(const ModelConfig& config);

/// Throws kInvalidArgument when the members do not fit together. Done by parse_config; for configs made in code.
void validate(const ModelConfig& config, std::string_view what);

}  // namespace minimax
