#include "io/json.h"
#include "model/config.h"

namespace minimax {
namespace {

std::string_view torch_name(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat16:
      return "float16";
    default:
      return "bfloat16";
  }
}

}  // namespace

std::string write_config(const ModelConfig& config) {
  namespace json = io::json;
  json::object out;
  out["architectures"] = json::array({"MiniMaxM1ForCausalLM"});
  out["attention_dropout"] = 0.0;
  json::array kinds;
  for (const LayerKind kind : config.layer_kind) kinds.emplace_back(kind == LayerKind::kSoftmax ? 1 : 0);
  out["attn_type_list"] = std::move(kinds);
  out["bos_token_id"] = config.bos ? json::value(*config.bos) : json::value(nullptr);
  json::array eos;
  for (const int64_t id : config.eos) eos.emplace_back(id);
  out["eos_token_id"] = eos.empty() ? json::value(nullptr) : eos.size() == 1 ? eos[0] : json::value(eos);
  out["head_dim"] = config.head_dim;
  out["hidden_act"] = "silu";
  out["hidden_size"] = config.hidden;
  out["initializer_range"] = config.initializer_range;
  out["intermediate_size"] = config.ffn;
  out["layernorm_full_attention_alpha"] = config.softmax_alpha;
  out["layernorm_full_attention_beta"] = config.softmax_beta;
  out["layernorm_linear_attention_alpha"] = config.lightning_alpha;
  out["layernorm_linear_attention_beta"] = config.lightning_beta;
  out["layernorm_mlp_alpha"] = config.moe_alpha;
  out["layernorm_mlp_beta"] = config.moe_beta;
  out["max_position_embeddings"] = config.max_positions;
  out["model_type"] = "minimax_m1";
  out["num_attention_heads"] = config.heads;
  out["num_experts_per_tok"] = config.top_k;
  out["num_hidden_layers"] = config.layers;
  out["num_key_value_heads"] = config.kv_heads;
  out["num_local_experts"] = config.experts;
  out["output_router_logits"] = false;
  out["postnorm"] = config.postnorm;
  out["rms_norm_eps"] = config.norm_eps;
  out["rope_theta"] = config.rope_theta;
  out["rotary_dim"] = config.rotary_dim;
  out["router_aux_loss_coef"] = config.router_aux_loss_coef;
  out["router_jitter_noise"] = 0.0;
  out["shared_intermediate_size"] = config.shared_ffn;
  out["shared_moe_mode"] = "sigmoid";
  out["sliding_window"] = nullptr;
  out["tie_word_embeddings"] = config.tied_embeddings;
  if (config.dtype) out["torch_dtype"] = json::string(torch_name(*config.dtype));
  out["use_cache"] = true;
  out["vocab_size"] = config.vocab;
  // Our own members, only where the published code's constants do not hold.
  const ModelConfig published;
  if (config.lightning_norm_eps != published.lightning_norm_eps) out["lightning_norm_eps"] = config.lightning_norm_eps;
  if (config.decay_rule != published.decay_rule) out["decay_rule"] = "transformers";
  return io::write_json(json::value(std::move(out)), io::JsonStyle::kPretty) + "\n";
}

}  // namespace minimax
