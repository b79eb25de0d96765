// The names and shapes of a model's weights, in every spelling that checkpoints use.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "model/config.h"

namespace minimax {

// The names of the published MiniMax-M1 checkpoint are ours too. Linear weights are [out, in].
inline constexpr std::string_view kEmbeddingName = "model.embed_tokens.weight";  // [vocab, hidden]
inline constexpr std::string_view kFinalNormName = "model.norm.weight";          // [hidden]
inline constexpr std::string_view kHeadName = "lm_head.weight";                  // [vocab, hidden]

/// "model.layers.7.REST", for example layer_name(7, "self_attn.qkv_proj.weight").
std::string layer_name(int64_t layer, std::string_view rest);
/// "model.layers.7.block_sparse_moe.experts.3.w1.weight". w1 is the gate, w3 the up and w2 the down matrix.
std::string expert_name(int64_t layer, int64_t expert, std::string_view matrix);

/// A weight that a model of some config has.
struct ExpectedTensor {
  std::string name;
  Shape shape;
  int64_t layer = -1;            ///< -1: of no layer
  int64_t expert = -1;           ///< -1: of no routed expert
  std::string_view matrix = "";  ///< of a routed expert: w1, w3 or w2
  bool router = false;           ///< published in float32, where all others are bfloat16
};

/// All weights, in the order of the published index. Tied embeddings have no head of their own.
std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config);

/// Elements of all expected tensors.
int64_t parameter_count(const ModelConfig& config);
/// Bytes of all expected tensors when routers are float32 and all others are `dtype`, as published: bfloat16.
int64_t weight_bytes(const ModelConfig& config, DType dtype = DType::kBFloat16);

/// Where a checkpoint may keep an expected tensor: as rows of a tensor of this name and shape, flattened to
/// [rows, last dimension], from `first_row` on.
struct StoredTensor {
  std::string name;
  Shape shape;
  int64_t first_row = 0;
};

/// All spellings of one tensor, the published one first. The others are those of the Hugging Face native class:
/// `mlp` for `block_sparse_moe`, gate_proj/up_proj/down_proj for w1/w3/w2, and all experts of a layer in
/// gate_up_proj [experts, 2*ffn, hidden] (w1 above w3) and down_proj [experts, hidden, ffn].
std::vector<StoredTensor> spellings(const ModelConfig& config, const ExpectedTensor& tensor);

/// Buffers that the native class stores although they follow from the config: rotary frequencies and decays.
bool is_ignored_buffer(std::string_view name);
/// Scales, zero points and packed weights of quantization formats, none of which is read yet.
bool is_quantization_tensor(std::string_view name);

}  // namespace minimax
