#include "model/shapes.h"

#include <cmath>

#include "core/error.h"

namespace minimax {
namespace {

struct Small {
  std::string_view name;
  int64_t layers, softmax_every, hidden, heads, head_dim, kv_heads, experts, ffn;
};

constexpr Small kSmall[] = {
    {"pico", 4, 4, 64, 4, 16, 1, 4, 96},
    {"nano", 8, 8, 128, 4, 32, 1, 8, 192},
    {"micro", 8, 8, 256, 8, 32, 2, 8, 384},
    {"mini", 8, 8, 384, 8, 48, 2, 8, 576},
};

}  // namespace

std::vector<std::string_view> small_shapes() {
  std::vector<std::string_view> names;
  for (const Small& shape : kSmall) names.push_back(shape.name);
  return names;
}

void derive_plan(ModelConfig& config, int64_t softmax_every) {
  config.layer_kind.clear();
  for (int64_t layer = 0; layer < config.layers; ++layer)
    config.layer_kind.push_back(layer % softmax_every == softmax_every - 1 ? LayerKind::kSoftmax
                                                                           : LayerKind::kLightning);
  config.rotary_dim = config.head_dim / 4 * 2;
  config.rope_theta = 1e7;
  config.postnorm = true;
  config.lightning_alpha = config.softmax_alpha = config.moe_alpha =
      std::pow(2.0 * static_cast<double>(config.layers), 0.25);
  config.lightning_beta = config.softmax_beta = config.moe_beta = 1;
}

ModelConfig small_shape(std::string_view name, int64_t vocab) {
  for (const Small& shape : kSmall) {
    if (shape.name != name) continue;
    ModelConfig config;
    config.vocab = vocab;
    config.layers = shape.layers;
    config.hidden = shape.hidden;
    config.heads = shape.heads;
    config.kv_heads = shape.kv_heads;
    config.head_dim = shape.head_dim;
    config.experts = shape.experts;
    config.ffn = shape.ffn;
    config.top_k = 2;
    config.max_positions = 65536;
    derive_plan(config, shape.softmax_every);
    return config;
  }
  throw Error(ErrorKind::kInvalidArgument, cat("no shape \"", name, "\", expected pico, nano, micro or mini"));
}

}  // namespace minimax
