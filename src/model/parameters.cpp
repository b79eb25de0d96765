#include "model/parameters.h"

#include "model/tensor_names.h"

namespace minimax {
namespace {

void add_attention(const DecoderLayer& layer, int64_t index, std::vector<Parameter>& out) {
  const auto add = [&](std::string_view rest, const Tensor& value) { out.push_back({layer_name(index, rest), value}); };
  if (const auto* lightning = std::get_if<LightningAttention>(&layer.attention)) {
    add("self_attn.qkv_proj.weight", lightning->qkv_proj.data);
    add("self_attn.output_gate.weight", lightning->output_gate.data);
    add("self_attn.norm.weight", lightning->norm);
    add("self_attn.out_proj.weight", lightning->out_proj.data);
  } else {
    const auto& softmax = std::get<SoftmaxAttention>(layer.attention);
    add("self_attn.q_proj.weight", softmax.q_proj.data);
    add("self_attn.k_proj.weight", softmax.k_proj.data);
    add("self_attn.v_proj.weight", softmax.v_proj.data);
    add("self_attn.o_proj.weight", softmax.o_proj.data);
  }
}

void add_experts(const MixtureOfExperts& moe, int64_t index, std::vector<Parameter>& out) {
  out.push_back({layer_name(index, "block_sparse_moe.gate.weight"), moe.router.data});
  for (size_t e = 0; e < moe.experts.size(); ++e) {
    const auto expert = static_cast<int64_t>(e);
    out.push_back({expert_name(index, expert, "w1"), moe.experts[e].gate.data});
    out.push_back({expert_name(index, expert, "w3"), moe.experts[e].up.data});
    out.push_back({expert_name(index, expert, "w2"), moe.experts[e].down.data});
  }
  if (!moe.shared) return;
  out.push_back({layer_name(index, "shared_mlp.gate_proj.weight"), moe.shared->expert.gate.data});
  out.push_back({layer_name(index, "shared_mlp.up_proj.weight"), moe.shared->expert.up.data});
  out.push_back({layer_name(index, "shared_mlp.down_proj.weight"), moe.shared->expert.down.data});
  out.push_back({layer_name(index, "coefficient.weight"), moe.shared->coefficient.data});
}

}  // namespace

std::vector<Parameter> parameters(const MiniMaxM1& model) {
  std::vector<Parameter> out = {{std::string(kEmbeddingName), model.embed_tokens.data}};
  for (size_t i = 0; i < model.layers.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    out.push_back({layer_name(index, "input_layernorm.weight"), model.layers[i].attention_norm});
    out.push_back({layer_name(index, "post_attention_layernorm.weight"), model.layers[i].moe_norm});
    add_attention(model.layers[i], index, out);
    add_experts(model.layers[i].moe, index, out);
  }
  out.push_back({std::string(kFinalNormName), model.norm});
  if (!model.config.tied_embeddings) out.push_back({std::string(kHeadName), model.lm_head.data});
  return out;
}

}  // namespace minimax
