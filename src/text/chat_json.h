// Messages and tools from JSON as OpenAI's clients and the MiniMax-M1 documentation write them.
#pragma once

#include <vector>

#include "io/json.h"
#include "text/chat_message.h"

namespace minimax::text {

/// `messages`: an array that is not empty. Roles: system, developer (the same as system), user, assistant, tool,
/// function (a tool's result, as before there were tools; `name` says whose).
/// content: a string, or a list of {"type": "text", "text": ...}; may be null or absent for an assistant, and a part of
/// its may be a refusal; null for a function. A tool's result is a string with tool_call_id or name beside it (OpenAI),
/// or a list of {"name", "text"} (MiniMax). tool_calls: {"id", "function": {"name", "arguments"}} or without the
/// wrapper; arguments as JSON text or as an object; one alone may be `function_call`. Reasoning comes back as
/// "reasoning_content" or "reasoning". Throws kInvalidArgument that names the place, for an unknown role or type of
/// part too. Other members are ignored.
std::vector<Message> messages_from_json(const io::JsonField& messages);

/// `tools`: an array of {"name", "description", "parameters"}, bare or as {"type": "function", "function": {...}};
/// absent or null: none. What is inside the wrapper is kept as it is, members unknown here too.
std::vector<ToolDefinition> tools_from_json(const io::JsonField& tools);

}  // namespace minimax::text
