// What a request may ask of the sampler, and the check of it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace minimax::engine {

/// Defaults: temperature and top_p are the model card's (docs/model.md), everything else is off.
/// Names and meanings are those of the OpenAI API and of vLLM.
struct SamplingParams {
  float temperature = 1.0f;  ///< >= 0; 0 takes the most probable token
  float top_p = 0.95f;       ///< [0, 1]; keeps the most probable tokens until they hold this much; 0 keeps one
  int64_t top_k = 0;         ///< keeps this many; 0 or -1 is off
  float min_p = 0;           ///< [0, 1]; drops tokens less probable than this share of the most probable
  /// > 0; logits of ids in the prompt or the answer are divided by it when positive, multiplied when negative.
  float repetition_penalty = 1;
  float presence_penalty = 0;                         ///< [-2, 2]; taken from logits of ids in the answer
  float frequency_penalty = 0;                        ///< [-2, 2]; the same, for every time the id stands there
  std::vector<std::pair<int32_t, float>> logit_bias;  ///< [-100, 100], added to the logit of the id; an id at most once
  uint64_t seed = 0;
  /// Which of several answers to one prompt (OpenAI's n): answers with one seed differ by this alone.
  uint64_t stream = 0;
  int64_t top_logprobs = 0;  ///< how many of the most probable ids to report with each token

  /// Throws kInvalidArgument naming the field, the value found and the range.
  void validate(int64_t vocab) const;
};

}  // namespace minimax::engine
