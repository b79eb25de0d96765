#include "model/tensor_names.h"

#include <algorithm>

namespace minimax {
namespace {

constexpr std::string_view kMoe = "block_sparse_moe.";

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(), [&](std::string_view ending) { return name.ends_with(ending); });
}

void append_attention(std::vector<ExpectedTensor>& tensors, const ModelConfig& config, int64_t layer) {
  const auto add = [&](std::string_view rest, Shape shape) {
    tensors.push_back({layer_name(layer, rest), shape, layer});
  };
  const int64_t hidden = config.hidden;
  const int64_t width = config.attention_dim();
  if (config.layer_kind[static_cast<size_t>(layer)] == LayerKind::kLightning) {
    add("self_attn.qkv_proj.weight", {3 * width, hidden});
    add("self_attn.output_gate.weight", {width, hidden});
    add("self_attn.norm.weight", {width});
    add("self_attn.out_proj.weight", {hidden, width});
  } else {
    add("self_attn.q_proj.weight", {width, hidden});
    add("self_attn.k_proj.weight", {config.kv_dim(), hidden});
    add("self_attn.v_proj.weight", {config.kv_dim(), hidden});
    add("self_attn.o_proj.weight", {hidden, width});
  }
}

void append_moe(std::vector<ExpectedTensor>& tensors, const ModelConfig& config, int64_t layer) {
  const Shape in{config.ffn, config.hidden};
  const Shape out{config.hidden, config.ffn};
  ExpectedTensor router{layer_name(layer, "block_sparse_moe.gate.weight"), {config.experts, config.hidden}, layer};
  router.router = true;
  tensors.push_back(std::move(router));
  for (int64_t expert = 0; expert < config.experts; ++expert)
    for (const std::string_view matrix : {"w1", "w3", "w2"})
      tensors.push_back({expert_name(layer, expert, matrix), matrix == "w2" ? out : in, layer, expert, matrix});
  if (config.shared_ffn == 0) return;
  const Shape shared_in{config.shared_ffn, config.hidden};
  tensors.push_back({layer_name(layer, "shared_mlp.gate_proj.weight"), shared_in, layer});
  tensors.push_back({layer_name(layer, "shared_mlp.up_proj.weight"), shared_in, layer});
  tensors.push_back({layer_name(layer, "shared_mlp.down_proj.weight"), {config.hidden, config.shared_ffn}, layer});
  tensors.push_back({layer_name(layer, "coefficient.weight"), {1, config.hidden}, layer});
}

}  // namespace

std::string layer_name(int64_t layer, std::string_view rest) {
  return "model.layers." + std::to_string(layer) + "." + std::string(rest);
}

std::string expert_name(int64_t layer, int64_t expert, std::string_view matrix) {
  return layer_name(layer, kMoe) + "experts." + std::to_string(expert) + "." + std::string(matrix) + ".weight";
}

std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config) {
  std::vector<ExpectedTensor> tensors;
  tensors.push_back({std::string(kEmbeddingName), {config.vocab, config.hidden}});
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    tensors.push_back({layer_name(layer, "input_layernorm.weight"), {config.hidden}, layer});
    append_attention(tensors, config, layer);
    tensors.push_back({layer_name(layer, "post_attention_layernorm.weight"), {config.hidden}, layer});
    append_moe(tensors, config, layer);
  }
  tensors.push_back({std::string(kFinalNormName), {config.hidden}});
  if (!config.tied_embeddings) tensors.push_back({std::string(kHeadName), {config.vocab, config.hidden}});
  return tensors;
}

int64_t parameter_count(const ModelConfig& config) {
  int64_t count = 0;
  for (const ExpectedTensor& tensor : expected_tensors(config)) count += tensor.shape.elements();
  return count;
}

int64_t weight_bytes(const ModelConfig& config, DType dtype) {
  int64_t bytes = 0;
  for (const ExpectedTensor& tensor : expected_tensors(config))
    bytes += tensor.shape.elements() * size_of(tensor.router ? DType::kFloat32 : dtype);
  return bytes;
}

std::vector<StoredTensor> spellings(const ModelConfig& config, const ExpectedTensor& tensor) {
  std::vector<StoredTensor> stored{{tensor.name, tensor.shape}};
  if (tensor.router) stored.push_back({layer_name(tensor.layer, "mlp.gate.weight"), tensor.shape});
  if (tensor.expert < 0) return stored;

  const std::string_view matrix = tensor.matrix;
  const std::string_view native = matrix == "w1" ? "gate_proj" : matrix == "w3" ? "up_proj" : "down_proj";
  for (const std::string_view moe : {kMoe, std::string_view("mlp.")}) {
    const std::string experts = layer_name(tensor.layer, moe) + "experts.";
    const std::string expert = experts + std::to_string(tensor.expert) + ".";
    stored.push_back({expert + std::string(matrix) + ".weight", tensor.shape});
    stored.push_back({expert + std::string(native) + ".weight", tensor.shape});
    if (matrix == "w2") {
      stored.push_back(
          {experts + "down_proj", {config.experts, config.hidden, config.ffn}, tensor.expert * config.hidden});
    } else {
      const int64_t first_row = tensor.expert * 2 * config.ffn + (matrix == "w3" ? config.ffn : 0);
      stored.push_back({experts + "gate_up_proj", {config.experts, 2 * config.ffn, config.hidden}, first_row});
    }
  }
  return stored;
}

bool is_ignored_buffer(std::string_view name) {
  return ends_with_any(name, {".rotary_emb.inv_freq", ".slope_rate", ".query_decay", ".key_decay", ".diagonal_decay"});
}

bool is_quantization_tensor(std::string_view name) {
  return ends_with_any(name, {".weight_scale", ".weight_scale_inv", ".weight_zero_point", ".weight_packed",
                              ".weight_shape", ".weight_g_idx", ".input_scale", ".qweight", ".qzeros", ".scales",
                              ".g_idx", "_proj_scale", "_proj_scale_inv", "_proj_scales", "_proj_blocks"});
}

}  // namespace minimax
