// The model that trainer and policy tests train: one layer of each kind, small enough for hundreds of passes a second.
#pragma once

#include <cmath>

#include "model/config.h"

namespace minimax::test {

inline ModelConfig tiny_train_config(int64_t vocab) {
  ModelConfig config;
  config.vocab = vocab;
  config.hidden = 24;
  config.ffn = 32;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 8;
  config.rotary_dim = 4;
  config.experts = 4;
  config.top_k = 2;
  config.layers = 2;
  config.layer_kind = {LayerKind::kLightning, LayerKind::kSoftmax};
  config.postnorm = true;
  config.lightning_alpha = config.softmax_alpha = config.moe_alpha = std::sqrt(2.0);
  config.initializer_range = 0.2;
  return config;
}

}  // namespace minimax::test
