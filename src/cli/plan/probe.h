// How fast this machine reads weights while it answers, measured on a part of a model with random weights.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/dtype.h"
#include "core/threads.h"
#include "model/config.h"
#include "quant/recipe.h"

namespace minimax::cli {

/// The same widths, with as many layers, experts and ids as make at most `most_bytes` of weights: layers of both kinds
/// as long as there are two. Nothing when one layer with its least experts is still larger.
std::optional<ModelConfig> probe_config(const ModelConfig& config, const quant::Recipe& recipe, int64_t most_bytes);

/// Bytes of weights and states a second that `minimax` reads while it answers on the processor with such weights: those
/// of a probe, by the median token. Nothing when there is no room for a probe. Takes about a second.
std::optional<double> answer_bandwidth(const ModelConfig& config, const quant::Recipe& recipe, ThreadPool& threads,
                                       int64_t most_bytes);

}  // namespace minimax::cli
