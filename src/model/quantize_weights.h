// Quantizes the matrices of a model in memory: small models, at load.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/threads.h"
#include "model/minimax_m1.h"

namespace minimax {

/// In what format a matrix is to be, by its published name; nothing: as it is.
using ChooseFormat = std::function<std::optional<quant::Format>(const std::string& name)>;

/// Puts packed weights in the place of dense ones, one matrix after the other. Asked for every matrix but routers and
/// the coefficients of shared experts; tied embeddings are asked for once. What is packed already stays as it is.
/// Throws as quant::quantize_matrix does.
void quantize_weights(MiniMaxM1& model, const ChooseFormat& choose, ThreadPool& threads);

}  // namespace minimax
