// Shapes of models with random weights, for `minimax bench --synthetic`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"

namespace minimax::cli {

/// "tiny", "s8", "m1-layer2", "m1-layer", "m1-slice-2", "m1-slice-8".
std::vector<std::string> synthetic_shapes();

/// The shape of that name with `layers` layers (0: as many as it has). Kinds, residual scales and norms are those of
/// MiniMax-M1; the vocabulary is small, so that the head does not hide the layers, but for the slices. Throws
/// kInvalidArgument for a name that is not in synthetic_shapes().
ModelConfig synthetic_config(const std::string& shape, int64_t layers);

}  // namespace minimax::cli
