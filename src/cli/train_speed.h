// Measures how fast a model trains, beside what the machine can do at the same time.
#pragma once

#include <cstdint>

#include "cli/speed.h"
#include "core/context.h"
#include "model/config.h"

namespace minimax::cli {

struct TrainSpeed {
  int64_t tokens = 0;  ///< of a step
  double flops = 0;  ///< of a step: three times a forward pass with every logit; what is computed again is not counted
  Samples seconds;   ///< of a step, the optimizer included
  Samples update_seconds;  ///< of the optimizer alone
  Samples share;           ///< of the float32 multiply-add peak measured in the same round
};

/// Steps over 8 sequences of `sequence_tokens` random ids, each id a target, on a new model of this shape with working
/// weights of `dtype` (F32 unless BF16). One warm-up step, then as many as `rounds`, with the ceiling before each.
TrainSpeed measure_training(const ModelConfig& config, DType dtype, const Context& ctx, int64_t sequence_tokens,
                            int rounds);

}  // namespace minimax::cli
