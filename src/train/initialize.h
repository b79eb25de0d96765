// Random weights that a model learns well from.
#pragma once

#include "core/context.h"
#include "model/minimax_m1.h"

namespace minimax::train {

/// Normal weights in float32 on the host. A matrix has standard deviation sqrt(2 / (in + out)); what writes to the
/// residual stream or passes through an expert (v, out, w1, w2, w3) is scaled down by (8 layers)^(-1/4), DeepNorm's
/// counterpart of alpha = (2 layers)^(1/4) (of the lightning layers' fused projection only its v rows). Embedding and
/// head have the config's initializer_range, norms are 1. The same weights for any number of threads.
MiniMaxM1 initial_model(const ModelConfig& config, uint64_t seed, ThreadPool& threads);

}  // namespace minimax::train
