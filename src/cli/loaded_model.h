// LoadedModel: a model folder ready to answer: weights, tokenizer when there is one, and the state of one sequence.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options.h"
#include "cli/verbs.h"
#include "core/context.h"
#include "engine/finish_reason.h"
#include "model/minimax_m1.h"
#include "text/jinja/prompt_template.h"
#include "text/tokenizer.h"

namespace minimax::cli {

struct Answer {
  std::vector<int32_t> ids;      ///< all that were chosen, a stop id included
  std::vector<float> log_probs;  ///< of each id, as engine::Sampled::log_prob
  std::string text;              ///< without special tokens and stop texts; empty without a tokenizer
  engine::FinishReason finish = engine::FinishReason::kNone;
  uint64_t seed = 0;
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;  ///< of the prompt, whose state was still there
  double prompt_seconds = 0;  ///< for the rest of the prompt
  double answer_seconds = 0;

  /// "12 tokens, 8.1 tokens/s; prompt 30 tokens in 210 ms".
  std::string speed() const;
};

struct AnswerCallbacks {
  std::function<void(std::string_view text)> on_text = {};  ///< whole characters, before any stop text
  std::function<bool()> stop_now = {};                      ///< asked before every token and piece of the prompt
  /// Special tokens other than stop ids may be chosen too: for prompts that are ids, which come from people who verify.
  bool any_id = false;
};

class LoadedModel {
 public:
  /// Shows progress, and warnings about the folder.
  LoadedModel(const ModelOptions& options, Session& session);
  ~LoadedModel();

  /// The folder's own name.
  const std::string& name() const;
  const ModelConfig& config() const;
  const MiniMaxM1& model() const;
  /// For a forward pass of one's own.
  Context context();
  bool has_tokenizer() const;
  /// Throws kNotFound, saying what can be done without, when the folder holds no tokenizer.
  const text::Tokenizer& tokenizer() const;
  /// The folder's own chat template, MiniMax-M1's when it has none. Throws kInvalidArgument when it cannot be read.
  const text::PromptTemplate& prompt_template() const;

  /// Goes on from the last conversation where the prompt does. Throws as engine::Generator::generate does.
  Answer generate(std::span<const int32_t> prompt, const SamplingOptions& sampling, const AnswerCallbacks& callbacks);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace minimax::cli
