#include "model/load.h"

#include "model/checkpoint.h"

namespace minimax {
namespace {

DecoderLayer load_layer(const Checkpoint& checkpoint, int64_t index) {
  const LayerWeights weights = checkpoint.layer(index);
  DecoderLayer layer = empty_layer(checkpoint.config(), index);
  layer.attention_norm = to_float32(weights.attention_norm);
  layer.moe_norm = to_float32(weights.moe_norm);
  if (auto* lightning = std::get_if<LightningAttention>(&layer.attention)) {
    lightning->qkv_proj = weights.qkv;
    lightning->output_gate = weights.output_gate;
    lightning->out_proj = weights.out;
    lightning->norm = to_float32(weights.lightning_norm);
  } else {
    auto& softmax = std::get<SoftmaxAttention>(layer.attention);
    softmax.q_proj = weights.q;
    softmax.k_proj = weights.k;
    softmax.v_proj = weights.v;
    softmax.o_proj = weights.out;
  }
  layer.moe.router = weights.router;
  layer.moe.experts = weights.experts;
  if (checkpoint.config().shared_ffn > 0)
    layer.moe.shared = {weights.shared, {to_float32(weights.shared_coefficient.data)}};
  return layer;
}

}  // namespace

MiniMaxM1 load_model(const Checkpoint& checkpoint) {
  MiniMaxM1 model{.config = checkpoint.config()};
  model.embed_tokens = checkpoint.embedding();
  for (int64_t i = 0; i < model.config.layers; ++i) model.layers.push_back(load_layer(checkpoint, i));
  model.norm = to_float32(checkpoint.final_norm());
  model.lm_head = checkpoint.head();
  return model;
}

MiniMaxM1 load_model(const std::filesystem::path& folder, const io::LoadOptions& options) {
  return load_model(Checkpoint::open(folder, options));
}

}  // namespace minimax
