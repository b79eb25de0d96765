// The two chat templates of MiniMax-M1: a conversation becomes the prompt that the model continues.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_message.h"

namespace minimax::text {

enum class ChatTemplate : uint8_t {
  kAuto,      ///< kTools when there are tools, tool calls or tool results, else kOfficial
  kOfficial,  ///< the one in the published tokenizer_config.json
  kTools,     ///< the one that vLLM and llama.cpp ship for tool calling with this model
};

/// auto, official, tools. Throws kInvalidArgument for another name.
ChatTemplate parse_chat_template(std::string_view name);
std::string_view to_string(ChatTemplate chat_template);

struct ChatOptions {
  ChatTemplate chat_template = ChatTemplate::kAuto;
  /// End with the opening of an assistant's turn, for the model to go on.
  bool add_generation_prompt = true;
  /// System prompt of a conversation that has no system message; "" for none. Absent: the template's own, which is none
  /// for kOfficial and names the assistant for kTools.
  std::optional<std::string> default_system_prompt = {};
  /// False: the thinking of assistant turns before the last user message is left out, be it in Message::reasoning or in
  /// the text itself. True: the conversation as the client gave it.
  bool keep_reasoning = true;
  /// False: exactly the published templates, with what they drop: all but the first part of a system message, and in
  /// kOfficial of a user message; in kTools system messages after the first message, and text beside tool calls. True:
  /// nothing is dropped: further parts follow the first, later system texts follow the first after an empty line, text
  /// stands before its calls.
  bool keep_all_text = false;
};

/// What the templates produce. Special tokens are apart from text, so that no text can pose as one.
struct ChatPiece {
  bool special = false;
  std::string text = {};  ///< of a special token: how it is spelled

  bool operator==(const ChatPiece&) const = default;
};
using ChatPrompt = std::vector<ChatPiece>;  // no two text pieces side by side

/// The prompt of a conversation. Assistant's reasoning, when kept, is rendered as the model wrote it: "<think>\n",
/// reasoning, "\n</think>\n\n". Tool calls in kOfficial, which knows none, are put back as the text they came from. A
/// tool result without a name gets it from the call that its tool_call_id names.
/// Throws kInvalidArgument that names the message, when it has no text, its arguments are not JSON, or (kOfficial) its
/// tool's name is not known.
ChatPrompt render_chat(std::span<const Message> messages, std::span<const ToolDefinition> tools,
                       const ChatOptions& options = {});

/// The prompt as one text, special tokens spelled out: for people and for tests.
std::string to_string(const ChatPrompt& prompt);

}  // namespace minimax::text
