// How fast this machine answers and reads prompts, measured on a part of a model with random weights.
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

/// The prompt that plans speak of.
inline constexpr int64_t kPlannedPrompt = 512;

struct ProbeSpeed {
  double bytes_per_second;  ///< of weights and states while it answers, by the median token
  double
      prompt_flops_per_second;  ///< of a prompt that brings each expert as many tokens as kPlannedPrompt in the model
};

/// What a probe of such weights reaches on the processor. Nothing when there is no room for one. Takes some seconds.
std::optional<ProbeSpeed> measure_probe(const ModelConfig& config, const quant::Recipe& recipe, ThreadPool& threads,
                                        int64_t most_bytes);

}  // namespace minimax::cli
