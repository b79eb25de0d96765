#include "model/config.h"

#include <algorithm>
#include <cctype>

#include "core/error.h"
#include "io/file.h"
#include "io/json.h"

namespace minimax {
namespace {

using io::JsonField;

// Far beyond any real model, and small enough that no product of two of them overflows.
constexpr int64_t kMaxWidth = int64_t{1} << 24;
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxHeads = 65536;
constexpr int64_t kMaxExpertsOfAllLayers = int64_t{1} << 18;  // each is a few names in memory
constexpr int64_t kMaxId = (int64_t{1} << 31) - 1;
constexpr int64_t kMaxPositions = int64_t{1} << 48;
constexpr double kMaxFactor = 1e6;
constexpr double kMaxTheta = 1e15;

enum class Family { kRemoteCode, kNative };

// Letters and digits in lower case: "MiniMaxM1" and "minimax_m1" are the same model.
std::string letters_of(std::string_view name) {
  std::string letters;
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)))
      letters += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return letters;
}

class Parser {
 public:
  explicit Parser(const JsonField& root) : root_(root) {}

  ModelConfig parse() {
    family_ = find_family();
    read_sizes();
    read_layers();
    read_rope();
    read_residuals();
    read_experts();
    read_ids_and_dtype();
    refuse_unsupported();
    return std::move(config_);
  }

 private:
  bool native() const { return family_ == Family::kNative; }
  template <typename... Parts>
  void warn(const Parts&... parts) {
    config_.warnings.push_back(cat(root_.document(), ": ", parts...));
  }
  int64_t size(std::string_view key, int64_t fallback, int64_t max) const {
    return root_[key].integer_or(fallback, 1, max);
  }

  Family find_family() {
    const JsonField model_type = root_["model_type"];
    if (!model_type.has_value()) {
      const bool native = root_["layer_types"].has_value() && !root_["attn_type_list"].has_value();
      warn("\"model_type\" is absent; read as ", native ? "minimax" : "minimax_m1", ", by the other members");
      config_.model_type = native ? "minimax" : "minimax_m1";
      return native ? Family::kNative : Family::kRemoteCode;
    }
    config_.model_type = model_type.string();
    const std::string letters = letters_of(config_.model_type);
    if (letters == "minimaxm1" || letters == "minimaxtext01") return Family::kRemoteCode;
    if (letters == "minimax") return Family::kNative;
    model_type.fail(
        letters.starts_with("minimaxm")
            ? "minimax_m1, minimax_text_01 or minimax (later MiniMax models have no lightning attention and "
              "are other models)"
            : "minimax_m1, minimax_text_01 or minimax");
  }

  void read_sizes() {
    config_.vocab = size("vocab_size", config_.vocab, kMaxId);
    config_.hidden = size("hidden_size", config_.hidden, kMaxWidth);
    config_.ffn = size("intermediate_size", config_.ffn, kMaxWidth);
    config_.layers = size("num_hidden_layers", config_.layers, kMaxLayers);
    config_.heads = size("num_attention_heads", config_.heads, kMaxHeads);
    // Absent and null differ: the class default is 8, but null means one for each query head.
    const JsonField kv_heads = root_["num_key_value_heads"];
    config_.kv_heads = kv_heads.present() ? kv_heads.integer_or(config_.heads, 1, kMaxHeads) : config_.kv_heads;
    const JsonField head_dim = root_["head_dim"];
    if (!head_dim.has_value() && config_.hidden % config_.heads != 0)
      head_dim.fail(
          cat("a size, since hidden_size ", config_.hidden, " is no multiple of num_attention_heads ", config_.heads));
    config_.head_dim = head_dim.integer_or(config_.hidden / config_.heads, 1, kMaxHeads);
    config_.max_positions = size("max_position_embeddings", config_.max_positions, kMaxPositions);
    config_.norm_eps = root_["rms_norm_eps"].number_or(config_.norm_eps, 0, 1);
    config_.lightning_norm_eps = root_["lightning_norm_eps"].number_or(config_.lightning_norm_eps, 0, 1);
    config_.tied_embeddings = root_["tie_word_embeddings"].boolean_or(false);
    config_.initializer_range = root_["initializer_range"].number_or(config_.initializer_range, 0, kMaxFactor);
    config_.router_aux_loss_coef = root_["router_aux_loss_coef"].number_or(config_.router_aux_loss_coef, 0, kMaxFactor);
  }

  // The kinds that one member gives, or nothing when it is absent.
  std::vector<LayerKind> read_kinds(std::string_view key) const {
    const JsonField field = root_[key];
    std::vector<LayerKind> kinds;
    if (!field.has_value()) return kinds;
    if (field.size() != config_.layers) field.fail(cat("an array of num_hidden_layers = ", config_.layers));
    for (int64_t layer = 0; layer < config_.layers; ++layer) {
      const JsonField kind = field[layer];
      if (kind.is_string()) {
        const bool softmax = kind.string() == "full_attention";
        if (!softmax && kind.string() != "linear_attention") kind.fail("\"linear_attention\" or \"full_attention\"");
        kinds.push_back(softmax ? LayerKind::kSoftmax : LayerKind::kLightning);
      } else {
        if (!kind.is_number()) kind.fail("0 (lightning attention) or 1 (softmax attention)");
        kinds.push_back(kind.integer(0, 1) ? LayerKind::kSoftmax : LayerKind::kLightning);
      }
    }
    return kinds;
  }

  void read_layers() {
    std::string_view used;
    for (const std::string_view key : {"attn_type_list", "layer_types", "decoder_attention_types"}) {
      const std::vector<LayerKind> kinds = read_kinds(key);
      if (kinds.empty()) continue;
      MM_CHECK(used.empty() || kinds == config_.layer_kind, root_.document(), ": \"", key, "\" and \"", used,
               "\" name different layers, expected one of them or the same in both");
      config_.layer_kind = kinds;
      used = key;
    }
    if (!used.empty()) return;
    if (!native())
      root_["attn_type_list"].fail(cat("an array of ", config_.layers, ": 0 (lightning attention) or 1 (softmax)"));
    for (int64_t layer = 0; layer < config_.layers; ++layer)  // the default of the class
      config_.layer_kind.push_back(layer % 2 ? LayerKind::kLightning : LayerKind::kSoftmax);
  }

  void read_rope() {
    JsonField rope = root_["rope_parameters"];
    if (rope.is_object() && rope["full_attention"].is_object()) rope = rope["full_attention"];
    const bool has_rope = rope.has_value();
    for (const JsonField& place : {rope, root_["rope_scaling"]}) {
      if (!place.has_value()) continue;
      for (const std::string_view key : {"rope_type", "type"})
        if (place[key].has_value() && place[key].string() != "default") place[key].fail("\"default\"");
    }

    const JsonField outer_theta = root_["rope_theta"];
    config_.rope_theta = outer_theta.number_or(config_.rope_theta, 1, kMaxTheta);
    if (has_rope && rope["rope_theta"].has_value()) {
      const double theta = rope["rope_theta"].number(1, kMaxTheta);
      // Left behind by a conversion; the published size is known to have been trained with 1e7.
      const bool keep_outer =
          config_.hidden == 6144 && config_.layers == 80 && outer_theta.has_value() && config_.rope_theta == 1e7;
      if (outer_theta.has_value() && theta != config_.rope_theta)
        warn("\"rope_theta\" is ", config_.rope_theta, ", but \"", rope["rope_theta"].path(), "\" is ", theta,
             "; used: ", keep_outer ? config_.rope_theta : theta);
      if (!keep_outer) config_.rope_theta = theta;
    }

    JsonField factor = root_["partial_rotary_factor"];
    if (has_rope && rope["partial_rotary_factor"].has_value()) factor = rope["partial_rotary_factor"];
    const auto by_factor = static_cast<int64_t>(factor.number_or(1, 0, 1) * static_cast<double>(config_.head_dim));
    config_.rotary_dim = root_["rotary_dim"].integer_or(by_factor, 1, kMaxHeads);
    if (factor.has_value() && config_.rotary_dim != by_factor)
      warn("\"rotary_dim\" is ", config_.rotary_dim, ", but \"", factor.path(), "\" gives ", by_factor,
           "; used: ", config_.rotary_dim);
  }

  // A factor with a spelling in each family; the own family's one counts.
  double factor(std::string_view remote_key, std::string_view native_key) {
    const JsonField own = root_[native() ? native_key : remote_key];
    const JsonField other = root_[native() ? remote_key : native_key];
    const double value =
        own.has_value() ? own.number(-kMaxFactor, kMaxFactor) : other.number_or(1, -kMaxFactor, kMaxFactor);
    if (other.has_value() && (!own.has_value() || value != other.number(-kMaxFactor, kMaxFactor)))
      warn("\"", other.path(), "\" is ", other.number(), ", of another spelling than model_type ", config_.model_type,
           "; used: ", value);
    return value;
  }

  void read_residuals() {
    config_.lightning_alpha = factor("layernorm_linear_attention_alpha", "linear_attn_alpha_factor");
    config_.lightning_beta = factor("layernorm_linear_attention_beta", "linear_attn_beta_factor");
    config_.softmax_alpha = factor("layernorm_full_attention_alpha", "full_attn_alpha_factor");
    config_.softmax_beta = factor("layernorm_full_attention_beta", "full_attn_beta_factor");
    config_.moe_alpha = factor("layernorm_mlp_alpha", "mlp_alpha_factor");
    config_.moe_beta = factor("layernorm_mlp_beta", "mlp_beta_factor");
    const JsonField postnorm = root_["postnorm"];
    config_.postnorm = postnorm.boolean_or(native());
    if (native() && !config_.postnorm) {
      warn("\"postnorm\" is false, but model_type minimax always is postnorm; used: true");
      config_.postnorm = true;
    }
    const JsonField rule = root_["decay_rule"];  // our own member, for checkpoints trained with the other rule
    if (!rule.has_value()) return;
    if (rule.string() != "official" && rule.string() != "transformers") rule.fail("\"official\" or \"transformers\"");
    config_.decay_rule = rule.string() == "official" ? DecayRule::kOfficial : DecayRule::kTransformers;
  }

  // A list of one number a layer (vLLM) is taken when all are equal.
  int64_t expert_count(const JsonField& field) const {
    if (!field.is_array()) return field.integer(1, kMaxHeads);
    const std::vector<int64_t> counts = field.integers(1, kMaxHeads);
    if (counts.empty() || std::any_of(counts.begin(), counts.end(), [&](int64_t n) { return n != counts[0]; }))
      field.fail("one number of experts, the same in all layers");
    return counts[0];
  }

  void read_experts() {
    std::string_view used;
    for (const std::string_view key : {"num_local_experts", "num_experts"}) {
      const JsonField field = root_[key];
      if (!field.has_value()) continue;
      const int64_t count = expert_count(field);
      if (!used.empty() && count != config_.experts) field.fail(cat(config_.experts, ", as \"", used, "\" says"));
      config_.experts = count;
      used = key;
    }
    config_.top_k = size("num_experts_per_tok", config_.top_k, kMaxHeads);
    config_.shared_ffn = root_["shared_intermediate_size"].integer_or(0, 0, kMaxWidth);
    const JsonField mode = root_["shared_moe_mode"];
    if (config_.shared_ffn > 0 && mode.string_or("sigmoid") != "sigmoid")
      mode.fail("\"sigmoid\" (a softmax over one shared expert would silence all others)");
  }

  void read_ids_and_dtype() {
    const JsonField bos = root_["bos_token_id"];
    const JsonField eos = root_["eos_token_id"];
    if (bos.has_value()) config_.bos = bos.integer(0, kMaxId);
    if (eos.is_array())
      config_.eos = eos.integers(0, kMaxId);
    else if (eos.has_value())
      config_.eos = {eos.integer(0, kMaxId)};
    if (native() && !bos.present()) config_.bos = 1;  // the defaults of the class
    if (native() && !eos.present()) config_.eos = {2};
    // Configurations of cut-down models keep such ids; no token ever has them.
    const auto outside = [&](int64_t id) { return id >= config_.vocab; };
    if (config_.bos && outside(*config_.bos)) {
      warn("bos_token_id ", *config_.bos, " is outside the vocabulary of ", config_.vocab, "; ignored");
      config_.bos.reset();
    }
    if (std::erase_if(config_.eos, outside) > 0)
      warn("eos_token_id names ids outside the vocabulary of ", config_.vocab, "; ignored");

    for (const std::string_view key : {"torch_dtype", "dtype"}) {
      const JsonField dtype = root_[key];
      if (!dtype.has_value()) continue;
      const std::string_view name = dtype.string();
      if (name == "float32")
        config_.dtype = DType::kFloat32;
      else if (name == "bfloat16")
        config_.dtype = DType::kBFloat16;
      else if (name == "float16")
        config_.dtype = DType::kFloat16;
      else if (name != "auto")
        warn("\"", key, "\" is \"", name, "\"; ignored, the files' own types count");
    }
  }

  void refuse_unsupported() {
    const JsonField act = root_["hidden_act"];
    if (act.string_or("silu") != "silu" && act.string() != "swish") act.fail("\"silu\"");
    const JsonField window = root_["sliding_window"];
    if (window.has_value()) window.fail("null: the model's softmax attention sees all positions");
    if (const JsonField quantization = root_["quantization_config"]; quantization.has_value()) {
      // Ours needs nothing from here: packed tensors say by their names what they are (docs/formats.md).
      if (quantization["quant_method"].string_or("") == "minimax")
        quantization["version"].integer(1, 1);
      else
        warn("\"quantization_config\" is of a method that is not ours; tensors it quantized cannot be read");
    }
  }

  const JsonField root_;
  Family family_ = Family::kRemoteCode;
  ModelConfig config_;
};

}  // namespace

double ModelConfig::decay_factor(int64_t layer) const {
  const auto index = static_cast<double>(layer);
  const auto last = static_cast<double>(layers - 1);
  if (layers <= 1) return 1 + 1e-5;
  const double span = decay_rule == DecayRule::kOfficial ? last : last + 1e-5;
  return 1 - index / span + 1e-5;
}

ModelConfig parse_config(std::string_view text, std::string_view what) {
  const io::json::value root = io::parse_json(text, what, {.max_bytes = 16 << 20, .max_values = 1'000'000});
  ModelConfig config = Parser(JsonField(root, what)).parse();
  validate(config, what);
  return config;
}

ModelConfig read_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  return parse_config(io::read_file(path, 16 << 20), path.string());
}

void validate(const ModelConfig& config, std::string_view what) {
  const auto positive = [&](std::string_view name, int64_t value) {
    MM_CHECK(value > 0, what, ": ", name, " is ", value, ", expected a positive number");
  };
  positive("vocab", config.vocab);
  positive("hidden", config.hidden);
  positive("ffn", config.ffn);
  positive("layers", config.layers);
  positive("heads", config.heads);
  positive("kv_heads", config.kv_heads);
  positive("head_dim", config.head_dim);
  positive("max_positions", config.max_positions);
  positive("experts", config.experts);
  positive("top_k", config.top_k);
  MM_CHECK(static_cast<int64_t>(config.layer_kind.size()) == config.layers, what, ": kinds of ",
           config.layer_kind.size(), " layers, expected layers = ", config.layers);
  MM_CHECK(config.heads % config.kv_heads == 0, what, ": ", config.heads,
           " attention heads (num_attention_heads), expected a multiple of the ", config.kv_heads,
           " key-value heads (num_key_value_heads)");
  MM_CHECK(config.rotary_dim >= 2 && config.rotary_dim % 2 == 0 && config.rotary_dim <= config.head_dim, what,
           ": rotary_dim is ", config.rotary_dim, ", expected an even number from 2 to head_dim = ", config.head_dim);
  MM_CHECK(config.top_k <= config.experts, what, ": ", config.top_k,
           " experts for each token (num_experts_per_tok), expected at most num_local_experts = ", config.experts);
  MM_CHECK(config.rope_theta >= 1 && config.rope_theta <= kMaxTheta, what, ": rope_theta is ", config.rope_theta,
           ", expected a number from 1 to ", kMaxTheta);
  MM_CHECK(config.shared_ffn >= 0, what, ": shared_ffn is ", config.shared_ffn, ", expected 0 or more");
  MM_CHECK(config.layers * config.experts <= kMaxExpertsOfAllLayers, what, ": ", config.layers, " layers of ",
           config.experts, " experts, expected at most ", kMaxExpertsOfAllLayers, " experts in all");
  // All weights together must be countable in bytes; each factor is bounded, so the double is near enough.
  const double experts_bytes = 3.0 * 8 * static_cast<double>(config.layers) * static_cast<double>(config.experts) *
                               static_cast<double>(config.ffn) * static_cast<double>(config.hidden);
  MM_CHECK(experts_bytes < 0x1p60, what, ": the experts would have about ", experts_bytes,
           " bytes, expected less than 2^60");
}

}  // namespace minimax
