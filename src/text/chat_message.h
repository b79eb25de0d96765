// What a conversation is made of: messages, their parts, tool calls, and the tools a model may call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minimax::text {

/// OpenAI's "developer" is kSystem here.
enum class Role : uint8_t { kSystem, kUser, kAssistant, kTool };

std::string_view to_string(Role role);

/// One part of a message's content. Only text exists; `type` is "text", or empty for a tool result {name, text}.
struct ContentPart {
  std::string type = "text";
  std::string text = {};
  std::string name = {};  ///< of the tool whose result this is; else empty

  bool operator==(const ContentPart&) const = default;
};

/// A call the model made.
struct ToolCall {
  std::string id = {};
  std::string name = {};
  std::string arguments = {};  ///< a JSON object as text

  bool operator==(const ToolCall&) const = default;
};

struct Message {
  Role role = Role::kUser;
  std::vector<ContentPart> content = {};
  std::optional<std::string> reasoning = {};  ///< of an assistant, apart from its content
  std::vector<ToolCall> tool_calls = {};      ///< of an assistant
  std::string tool_call_id = {};              ///< of a tool's result: the call it answers
  std::string name = {};                      ///< of a tool's result: the tool, when the client says so

  bool operator==(const Message&) const = default;
};

/// A message whose content is one text part.
Message text_message(Role role, std::string text);

/// A tool the model may call.
struct ToolDefinition {
  std::string name;
  std::string json;  ///< {"name": ..., "description": ..., "parameters": ...} as json.dumps writes it; key order kept
};

}  // namespace minimax::text
