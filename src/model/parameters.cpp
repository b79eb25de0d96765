#include "model/parameters.h"

#include "model/tensor_names.h"

namespace minimax {
namespace {

using Visit = std::function<void(const std::string& name, Tensor& value)>;

void visit_attention(DecoderLayer& layer, int64_t index, const Visit& visit) {
  const auto weight = [&](std::string_view rest, Tensor& value) { visit(layer_name(index, rest), value); };
  if (auto* lightning = std::get_if<LightningAttention>(&layer.attention)) {
    weight("self_attn.qkv_proj.weight", lightning->qkv_proj.data);
    weight("self_attn.output_gate.weight", lightning->output_gate.data);
    weight("self_attn.norm.weight", lightning->norm);
    weight("self_attn.out_proj.weight", lightning->out_proj.data);
  } else {
    auto& softmax = std::get<SoftmaxAttention>(layer.attention);
    weight("self_attn.q_proj.weight", softmax.q_proj.data);
    weight("self_attn.k_proj.weight", softmax.k_proj.data);
    weight("self_attn.v_proj.weight", softmax.v_proj.data);
    weight("self_attn.o_proj.weight", softmax.o_proj.data);
  }
}

void visit_experts(MixtureOfExperts& moe, int64_t index, const Visit& visit) {
  visit(layer_name(index, "block_sparse_moe.gate.weight"), moe.router.data);
  for (size_t e = 0; e < moe.experts.size(); ++e) {
    const auto expert = static_cast<int64_t>(e);
    visit(expert_name(index, expert, "w1"), moe.experts[e].gate.data);
    visit(expert_name(index, expert, "w3"), moe.experts[e].up.data);
    visit(expert_name(index, expert, "w2"), moe.experts[e].down.data);
  }
  if (!moe.shared) return;
  visit(layer_name(index, "shared_mlp.gate_proj.weight"), moe.shared->expert.gate.data);
  visit(layer_name(index, "shared_mlp.up_proj.weight"), moe.shared->expert.up.data);
  visit(layer_name(index, "shared_mlp.down_proj.weight"), moe.shared->expert.down.data);
  visit(layer_name(index, "coefficient.weight"), moe.shared->coefficient.data);
}

}  // namespace

void for_each_parameter(MiniMaxM1& model, const Visit& visit) {
  visit(std::string(kEmbeddingName), model.embed_tokens.data);
  for (size_t i = 0; i < model.layers.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    visit(layer_name(index, "input_layernorm.weight"), model.layers[i].attention_norm);
    visit(layer_name(index, "post_attention_layernorm.weight"), model.layers[i].moe_norm);
    visit_attention(model.layers[i], index, visit);
    visit_experts(model.layers[i].moe, index, visit);
  }
  visit(std::string(kFinalNormName), model.norm);
  if (model.config.tied_embeddings)
    model.lm_head = model.embed_tokens;
  else
    visit(std::string(kHeadName), model.lm_head.data);
}

std::vector<Parameter> parameters(const MiniMaxM1& model) {
  std::vector<Parameter> out;
  MiniMaxM1 handles = model;  // shares the bytes
  for_each_parameter(handles, [&](const std::string& name, Tensor& value) { out.push_back({name, value}); });
  return out;
}

}  // namespace minimax
