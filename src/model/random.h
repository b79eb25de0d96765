// Models with random weights, for benchmarks and tests.
#pragma once

#include "core/context.h"
#include "model/minimax_m1.h"
#include "quant/recipe.h"

namespace minimax {

/// A model of this shape with weights uniform in +-sqrt(3) * initializer_range (that standard deviation), norms 1,
/// routers float32. `dtype`: F32, BF16 or F16. The same seed gives the same weights whatever the number of threads.
MiniMaxM1 random_model(const ModelConfig& config, DType dtype, uint64_t seed, ThreadPool& threads);

/// The same shape with matrices packed as the recipe says, what it leaves as it is in bfloat16. For speed alone: some
/// drawn panels fill all matrices.
MiniMaxM1 random_packed_model(const ModelConfig& config, const quant::Recipe& recipe, uint64_t seed,
                              ThreadPool& threads);

/// The same kind of model where `ctx` computes; on a GPU it is drawn there, from other numbers, and laid out as
/// place_model does.
MiniMaxM1 random_model(const Context& ctx, const ModelConfig& config, DType dtype, uint64_t seed);

}  // namespace minimax
