// What a model's forward pass costs: parameters, bytes of weights and state, arithmetic. Counted, not measured.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "model/minimax_m1.h"

namespace minimax {

/// Multiply-adds count two. Norms, activations and the rotation are left out: less than 1 in 1000 of the arithmetic.
struct Cost {
  int64_t weight_bytes = 0;  ///< weights that have to be read
  int64_t state_bytes = 0;   ///< keys, values and lightning states that have to be read
  double flops = 0;
};

/// Parameters in the matrix products of one token, head included, embedding not: 47,172,550,656 for MiniMax-M1.
int64_t active_parameter_count(const ModelConfig& config);

/// One token after `context` others. `dtype`: of all weights but the routers, which are float32.
Cost decode_cost(const ModelConfig& config, DType dtype, int64_t context);

/// A prompt of `tokens`, logits of its last position alone. Weights are counted once, experts as often as tokens can
/// choose different ones.
Cost prefill_cost(const ModelConfig& config, DType dtype, int64_t tokens);

/// Bytes of weights that one token reads, in the formats they are in: the embedding's row, one layer after the other
/// with top_k of its experts, the head.
int64_t decode_weight_bytes(const MiniMaxM1& model);

}  // namespace minimax
