// ServedModel: what every request needs of the model: names, tokenizer, engine, templates, defaults.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/sampling/sampling_params.h"
#include "text/jinja/prompt_template.h"
#include "text/tokenizer.h"

namespace minimax::server {

class Constraints;

/// Where a message's reasoning goes. OpenAI's API has no field for it; DeepSeek's clients read reasoning_content,
/// vLLM's reasoning.
enum class ReasoningFields : uint8_t { kBoth, kReasoningContent, kReasoning };

/// Constant while the server runs.
struct ServedModel {
  std::vector<std::string> names;  ///< the first is told to clients; all are accepted
  bool any_name = true;            ///< whatever a request calls the model, it gets this one
  text::Tokenizer tokenizer;
  engine::Engine* engine = nullptr;
  std::shared_ptr<Constraints> constraints;
  text::PromptTemplate prompt_template;
  text::ChatOptions chat;            ///< of requests that say nothing else
  engine::SamplingParams sampling;   ///< likewise
  int64_t max_answer_tokens = -1;    ///< likewise; negative: until the context is full
  int64_t max_thinking_tokens = -1;  ///< likewise; negative: no limit
  ReasoningFields reasoning_fields = ReasoningFields::kBoth;
  std::vector<int32_t> stop_ids;  ///< end an answer
  std::vector<int32_t> banned;    ///< never chosen: special tokens that end nothing, rows without a token
  int64_t created = 0;            ///< when the server started, in seconds since 1970

  const std::string& name() const { return names.front(); }
};

}  // namespace minimax::server
