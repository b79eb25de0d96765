// Shapes of small models that keep MiniMax-M1's plan, to be trained from scratch.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace minimax {

/// "pico", "nano", "micro", "mini": 0.4, 5, 21 and 48 million parameters but for embeddings.
std::vector<std::string_view> small_shapes();

/// M1's plan at that size: post-norm with alpha (2 layers)^(1/4), half of each head rotated, the best 2 of the experts,
/// and softmax attention in every eighth layer (pico: in its fourth). Embeddings are not tied. `vocab` ids.
/// Throws kInvalidArgument for a name that is not in small_shapes().
ModelConfig small_shape(std::string_view name, int64_t vocab);

/// Fills what follows from layers, head_dim and `softmax_every` (the last layer of each group of so many is a softmax
/// layer): kinds, rotated dimensions, and the residual scales of DeepNorm, alpha = (2 layers)^(1/4) as M1 has it
/// for 80.
void derive_plan(ModelConfig& config, int64_t softmax_every);

}  // namespace minimax
