// Constraints: what clients ask an answer to look like (JSON schema, regex, choices, a call of a tool), for the engine.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/sampling/token_control.h"
#include "io/json.h"
#include "server/api/conversation.h"
#include "text/grammar/grammar.h"

namespace minimax::server {

/// The grammars of one model. Preparing its vocabulary takes a second, so the first constrained request does it.
class Constraints {
 public:
  /// `rows`: ids the model has logits for.
  Constraints(text::Tokenizer tokenizer, int64_t rows) : tokenizer_(std::move(tokenizer)), rows_(rows) {}

  text::GrammarCompiler& compiler();

 private:
  text::Tokenizer tokenizer_;
  int64_t rows_;
  std::once_flag once_;
  std::unique_ptr<text::GrammarCompiler> compiler_;
};

/// From response_format {"type": text, json_object or json_schema}, vLLM's guided_json, guided_regex, guided_choice
/// and structured_outputs {json, regex, choice, json_object}, and json_schema and regex beside the messages (llama.cpp,
/// SGLang). Null when none is given. Throws FieldError for a wrong type, for more than one, for a schema or pattern
/// that is not supported, by name, and for grammars in other languages.
std::shared_ptr<const engine::TokenControl> read_constraint(const io::JsonField& root, Constraints& constraints);
/// `format`: {"type": ...} as in response_format.json_schema or in /v1/responses, where name and schema stand beside
/// the type. Null for text.
std::shared_ptr<const engine::TokenControl> read_format(const io::JsonField& format, Constraints& constraints);

/// At least one call of an allowed tool with arguments that fit its parameters, and nothing else; exactly one without
/// `choice.parallel`. Throws kInvalidArgument, naming the tool, for parameters that are not supported.
std::shared_ptr<const engine::TokenControl> call_constraint(std::span<const text::ToolDefinition> tools,
                                                            const ToolChoice& choice, Constraints& constraints);

/// What the request wants in all: a call where it must call, its format, or, when it has both tools and a format, one
/// of the two.
std::shared_ptr<const engine::TokenControl> whole_constraint(std::shared_ptr<const engine::TokenControl> format,
                                                             const Conversation& conversation,
                                                             Constraints& constraints);

}  // namespace minimax::server
