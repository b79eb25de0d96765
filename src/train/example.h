// Examples: conversations and texts as the tokens a model learns from.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace minimax::train {

/// Tokens, and which of them the model is to predict.
struct Example {
  std::vector<int32_t> tokens;
  std::vector<bool> targets;  ///< [tokens]; the first is false

  int64_t target_count() const;
};

/// What the loss counts of an assistant's turn.
enum class Learn : uint8_t {
  kAll,
  /// What follows the thinking block, which is encoded as when the engine closes it (engine/thinking.h): how to answer
  /// from thinking that a budget has cut.
  kAnswer,
  kNothing,  ///< the turn is there to be read: a mistake, or an earlier turn without its thinking
};

/// A conversation as the chat template renders it, up to the end of its last assistant turn. Targets are the tokens an
/// assistant writes: thinking, answer, tool calls and the token that ends the turn. Prompt and answer are encoded
/// apart, as they are when the model answers, so that no token spans the border between them. `learn` has one entry a
/// message, or none: all is learned. Turns follow `options`,
/// but add_generation_prompt, and keep_reasoning must be true: a template that takes words back cannot be learned from
/// one sequence. No targets when no assistant speaks. Throws kInvalidArgument when the rendering of a longer
/// conversation does not begin with that of its start (a system message after the first turn), for kAnswer without a
/// thinking block, and as render_chat and encode do.
Example conversation_example(std::span<const text::Message> messages, std::span<const text::ToolDefinition> tools,
                             const text::ChatOptions& options, const text::Tokenizer& tokenizer,
                             std::span<const Learn> learn = {});

/// A text between the tokenizer's bos and eos, where it has them. Every token but the first is a target.
Example text_example(std::string_view text, const text::Tokenizer& tokenizer);

/// Runs of at most `max_tokens` tokens, each beginning with the last token of the one before, so that every target is
/// learned once. Runs without targets are left out.
std::vector<Example> cut(const Example& example, int64_t max_tokens);

}  // namespace minimax::train
