// Conversation: messages and tools of any API on their way to a prompt, and what a client wants of the tools.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/json.h"
#include "server/api/served_model.h"
#include "text/chat_message.h"
#include "text/chat_template.h"

namespace minimax::server {

struct ToolChoice {
  enum class Mode : uint8_t { kNone, kAuto, kRequired };
  Mode mode = Mode::kAuto;
  std::vector<std::string> allowed;  ///< names of the tools that may be called; empty: all
  bool parallel = true;
};

struct Conversation {
  std::vector<text::Message> messages;
  std::vector<text::ToolDefinition> tools;
  ToolChoice tool_choice;
  bool add_generation_prompt = true;
  /// The thinking of earlier turns stays in the prompt, where the client sends it back; absent: as the server is set.
  std::optional<bool> keep_reasoning = {};
  io::json::object template_variables = {};  ///< chat_template_kwargs
  bool continue_final_message = false;       ///< the last message, an assistant's, is gone on with
};

/// OpenAI's: none, auto, required, {"type": "function", "function": {"name"}} (or with the name beside the type), and
/// {"type": "allowed_tools", "allowed_tools": {"mode", "tools"}}. Absent: auto. Throws FieldError, also for a name that
/// is not among `tools`.
ToolChoice read_tool_choice(const io::JsonField& field, const std::vector<text::ToolDefinition>& tools);

/// The name, when one of the tools has it. Throws FieldError.
std::string checked_tool_name(const io::JsonField& name, const std::vector<text::ToolDefinition>& tools);

struct RenderedPrompt {
  text::ChatPrompt pieces;
  std::vector<int32_t> ids;
  bool opens_thinking = false;  ///< it ends inside a thinking block
};

/// Applies the model's template. Throws as text::PromptTemplate::render does, and kInvalidArgument when a message is to
/// be gone on with and the template does not end with it.
RenderedPrompt render(const Conversation& conversation, const ServedModel& model);

}  // namespace minimax::server
