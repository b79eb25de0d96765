#include "model/cost.h"

#include <algorithm>

#include "core/chunk.h"

namespace minimax {
namespace {

struct LayerCounts {
  int64_t lightning = 0, softmax = 0;
};

LayerCounts count_layers(const ModelConfig& config) {
  const auto lightning = std::count(config.layer_kind.begin(), config.layer_kind.end(), LayerKind::kLightning);
  return {lightning, static_cast<int64_t>(config.layer_kind.size()) - lightning};
}

// Matrices of one layer, by what reads them.
struct LayerParameters {
  int64_t lightning, softmax, router, expert, shared;
};

LayerParameters layer_parameters(const ModelConfig& config) {
  const int64_t attention = config.hidden * config.attention_dim();
  return {
      .lightning = 5 * attention,  // q, k, v, gate, out
      .softmax = 2 * attention + 2 * config.hidden * config.kv_dim(),
      .router = config.experts * config.hidden,
      .expert = 3 * config.hidden * config.ffn,
      .shared = config.shared_ffn > 0 ? 3 * config.hidden * config.shared_ffn + config.hidden : 0,
  };
}

// All matrices but experts, routers, embedding and head.
int64_t dense_parameters(const ModelConfig& config) {
  const LayerParameters layer = layer_parameters(config);
  const LayerCounts layers = count_layers(config);
  return layers.lightning * layer.lightning + layers.softmax * layer.softmax + config.layers * layer.shared;
}

int64_t norm_parameters(const ModelConfig& config) {
  return (2 * config.layers + 1) * config.hidden + count_layers(config).lightning * config.attention_dim();
}

int64_t bytes_read(const ModelConfig& config, DType dtype, int64_t tokens) {
  const LayerParameters layer = layer_parameters(config);
  const int64_t experts_read = std::min(config.experts, config.top_k * tokens);
  const int64_t in_dtype = dense_parameters(config) + config.layers * experts_read * layer.expert +
                           norm_parameters(config) + config.vocab * config.hidden +  // the head
                           tokens * config.hidden;                                   // rows of the embedding
  return in_dtype * size_of(dtype) + config.layers * layer.router * size_of(DType::kFloat32);
}

}  // namespace

int64_t active_parameter_count(const ModelConfig& config) {
  const LayerParameters layer = layer_parameters(config);
  return dense_parameters(config) + config.layers * (layer.router + config.top_k * layer.expert) +
         config.vocab * config.hidden;
}

Cost decode_cost(const ModelConfig& config, DType dtype, int64_t context) {
  const LayerCounts layers = count_layers(config);
  const int64_t state = config.heads * config.head_dim * config.head_dim;
  const int64_t keys_and_values = 2 * config.kv_dim() * context;
  Cost cost;
  cost.weight_bytes = bytes_read(config, dtype, 1);
  cost.state_bytes = (layers.lightning * state + layers.softmax * keys_and_values) * size_of(DType::kFloat32);
  // q S for the state; the chunk's window is q.k and weight times v over half a chunk on average.
  const int64_t window = 2 * config.attention_dim() * (kChunk / 2);
  cost.flops = 2.0 * static_cast<double>(active_parameter_count(config)) +
               2.0 * static_cast<double>(layers.lightning * (state + window)) +
               4.0 * static_cast<double>(layers.softmax * config.attention_dim() * (context + 1));
  return cost;
}

Cost prefill_cost(const ModelConfig& config, DType dtype, int64_t tokens) {
  const LayerCounts layers = count_layers(config);
  const int64_t state = config.heads * config.head_dim * config.head_dim;
  const int64_t window = 2 * config.attention_dim() * (kChunk / 2);
  const auto n = static_cast<double>(tokens);
  Cost cost;
  cost.weight_bytes = bytes_read(config, dtype, tokens);
  const int64_t head = config.vocab * config.hidden;
  // Per token: q S, the window, and k v^T into the state.
  cost.flops = 2.0 * n * static_cast<double>(active_parameter_count(config) - head) + 2.0 * static_cast<double>(head) +
               2.0 * n * static_cast<double>(layers.lightning * (2 * state + window)) +
               4.0 * static_cast<double>(layers.softmax * config.attention_dim()) * n * (n + 1) / 2;
  return cost;
}

int64_t decode_weight_bytes(const MiniMaxM1& model) {
  const auto of_expert = [](const ExpertWeights& expert) {
    return expert.gate.data.bytes() + expert.up.data.bytes() + expert.down.data.bytes();
  };
  int64_t bytes = model.lm_head.data.bytes() + model.norm.bytes() +
                  model.embed_tokens.data.bytes() / std::max<int64_t>(1, model.embed_tokens.outputs());
  for (const DecoderLayer& layer : model.layers) {
    bytes += layer.attention_norm.bytes() + layer.moe_norm.bytes();
    if (const auto* lightning = std::get_if<LightningAttention>(&layer.attention)) {
      for (const Weight* weight : {&lightning->qkv_proj, &lightning->output_gate, &lightning->out_proj})
        bytes += weight->data.bytes();
      bytes += lightning->norm.bytes();
    } else {
      const auto& softmax = std::get<SoftmaxAttention>(layer.attention);
      for (const Weight* weight : {&softmax.q_proj, &softmax.k_proj, &softmax.v_proj, &softmax.o_proj})
        bytes += weight->data.bytes();
    }
    bytes += layer.moe.router.data.bytes();
    int64_t experts = 0;
    for (const ExpertWeights& expert : layer.moe.experts) experts += of_expert(expert);
    bytes += experts / std::max<int64_t>(1, static_cast<int64_t>(layer.moe.experts.size())) * layer.moe.top_k;
    if (layer.moe.shared) bytes += of_expert(layer.moe.shared->expert) + layer.moe.shared->coefficient.data.bytes();
  }
  return bytes;
}

}  // namespace minimax
