// Generator: one answer at a time, from prompt ids to answer ids.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/engine.h"

namespace minimax::engine {

struct GenerateOptions {
  SamplingParams sampling;
  int64_t max_tokens = -1;        ///< of the answer; negative: until a stop or the end of the context
  std::vector<int32_t> stop_ids;  ///< end the answer; the stop id itself is part of the result's ids
  std::vector<int32_t> banned;    ///< never chosen, besides the model's dead ids
};

struct GenerateResult {
  std::vector<int32_t> ids;
  std::vector<float> log_probs;  ///< of each id, as Sampled::log_prob
  FinishReason finish = FinishReason::kLength;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  ///< of the prompt, not computed again
  double prefill_seconds = 0, decode_seconds = 0;
};

/// Called for each token of the answer, in order; false ends the answer with FinishReason::kCancelled.
using OnToken = std::function<bool(const Sampled&)>;
/// Called after each piece of the prompt with the tokens done and the tokens to do; false cancels.
using OnPrefill = std::function<bool(int64_t done, int64_t total)>;

/// An engine for one caller at a time, who waits. What it has seen of conversations is kept as long as it fits: a
/// prompt that goes on from the last one, or from the last prompt with another answer, computes only what is new. Not
/// thread-safe.
class Generator {
 public:
  struct Options {
    int64_t context = 32768;      ///< tokens of prompt and answer together
    int64_t prefill_chunk = 512;  ///< tokens of one forward pass over a prompt
  };

  /// `model` and what `ctx` points to must outlive the generator; the model's weights lie where ctx computes. Of ctx
  /// the arena is not used.
  Generator(const MiniMaxM1& model, const Context& ctx, Options options);
  /// The same on the CPU.
  Generator(const MiniMaxM1& model, ThreadPool& threads, Options options,
            MatmulPrecision precision = MatmulPrecision::kFloat32);

  /// Throws kInvalidArgument for an empty prompt, ids outside the vocabulary, sampling parameters out of range, and a
  /// prompt that leaves no room in the context; and what happened when the answer fails.
  GenerateResult generate(std::span<const int32_t> prompt, const GenerateOptions& options, const OnToken& on_token = {},
                          const OnPrefill& on_prefill = {});

  /// Forgets all conversations.
  void reset() { engine_.clear_cache(); }
  int64_t context() const { return engine_.options().context; }

 private:
  Engine engine_;
};

}  // namespace minimax::engine
