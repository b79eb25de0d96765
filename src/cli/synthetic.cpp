#include "cli/synthetic.h"

#include <cmath>

#include <algorithm>

#include "core/error.h"
#include "model/shapes.h"

namespace minimax::cli {
namespace {

struct SyntheticShape {
  const char* name;
  int64_t hidden, ffn, heads, kv_heads, head_dim, experts, vocab;
  int64_t layers;
  int64_t softmax_every;  // the last layer of each group of this many is a softmax layer
};

constexpr SyntheticShape kShapes[] = {
    {"tiny", 256, 512, 4, 2, 64, 8, 4096, 8, 8},
    // About 5 billion parameters: one that fits a laptop.
    {"s8", 2048, 3072, 16, 4, 128, 32, 32000, 8, 8},
    // MiniMax-M1's own layers, one of each kind.
    {"m1-layer2", 6144, 9216, 64, 8, 128, 32, 32000, 2, 2},
    // Its lightning layer alone, and slices with its own embedding and head: 16 and 96 GB of bfloat16.
    {"m1-layer", 6144, 9216, 64, 8, 128, 32, 4096, 1, 8},
    {"m1-slice-2", 6144, 9216, 64, 8, 128, 32, 200064, 2, 2},
    {"m1-slice-8", 6144, 9216, 64, 8, 128, 32, 200064, 8, 8},
};

/// Of the shapes that are made for training: that of a tokenizer of their size.
constexpr int64_t kSmallVocab = 1024;

}  // namespace

std::vector<std::string> synthetic_shapes() {
  std::vector<std::string> names;
  for (const SyntheticShape& shape : kShapes) names.emplace_back(shape.name);
  for (const std::string_view name : small_shapes()) names.emplace_back(name);
  return names;
}

ModelConfig synthetic_config(const std::string& name, int64_t layers) {
  for (const SyntheticShape& shape : kShapes) {
    if (name != shape.name) continue;
    ModelConfig config;
    config.vocab = shape.vocab;
    config.hidden = shape.hidden;
    config.ffn = shape.ffn;
    config.heads = shape.heads;
    config.kv_heads = shape.kv_heads;
    config.head_dim = shape.head_dim;
    config.rotary_dim = shape.head_dim / 2;
    config.rope_theta = 1e7;
    config.max_positions = 10'240'000;
    config.experts = shape.experts;
    config.top_k = 2;
    config.layers = layers > 0 ? layers : shape.layers;
    for (int64_t layer = 0; layer < config.layers; ++layer)
      config.layer_kind.push_back(layer % shape.softmax_every == shape.softmax_every - 1 ? LayerKind::kSoftmax
                                                                                         : LayerKind::kLightning);
    config.postnorm = true;
    config.lightning_alpha = config.softmax_alpha = config.moe_alpha = std::pow(2.0 * config.layers, 0.25);
    return config;
  }
  if (const auto small = small_shapes(); std::find(small.begin(), small.end(), name) != small.end()) {
    ModelConfig config = small_shape(name, kSmallVocab);
    if (layers > 0) config.layers = layers;
    derive_plan(config, std::find(config.layer_kind.begin(), config.layer_kind.end(), LayerKind::kSoftmax) -
                            config.layer_kind.begin() + 1);
    return config;
  }
  throw Error(ErrorKind::kInvalidArgument, cat("no synthetic shape \"", name, "\""));
}

}  // namespace minimax::cli
