#include "text/chat_json.h"

#include <string>
#include <string_view>

#include "text/json_rewriter.h"

namespace minimax::text {
namespace {

using io::JsonField;

Role role_of(const JsonField& role) {
  const std::string_view name = role.string();
  if (name == "system" || name == "developer") return Role::kSystem;
  if (name == "user") return Role::kUser;
  if (name == "assistant") return Role::kAssistant;
  if (name == "tool" || name == "function") return Role::kTool;
  role.fail("system, developer, user, assistant, tool or function");
}

// A tool's result may leave the type out: {"name": ..., "text": ...}.
ContentPart part_of(const JsonField& part, Role role) {
  const JsonField type = part["type"];
  if (role == Role::kAssistant && type.present() && type.string() == "refusal")
    return {.text = std::string(part["refusal"].string())};
  const bool untyped = role == Role::kTool && !type.present();
  if (!untyped && type.string() != "text") type.fail("\"text\", the only type of content this model reads");
  return {.type = untyped ? "" : "text",
          .text = std::string(part["text"].string()),
          .name = std::string(part["name"].string_or(""))};
}

std::vector<ContentPart> content_of(const JsonField& content, Role role) {
  if (content.is_string()) return {{.text = std::string(content.string())}};
  if (!content.is_array()) content.fail("a string or a list of parts");
  std::vector<ContentPart> parts;
  for (int64_t index = 0; index < content.size(); ++index) parts.push_back(part_of(content[index], role));
  if (parts.empty()) content.fail("a string or at least one part");
  return parts;
}

std::string arguments_of(const JsonField& arguments) {
  std::string json;
  if (arguments.is_object())
    json = io::write_json(arguments.value());
  else if (arguments.has_value())
    json = arguments.string();
  if (json.find_first_not_of(" \t\r\n") == std::string::npos) return "{}";  // clients send "" for none
  json = python_json(json, arguments.document() + ": \"" + arguments.path() + "\"");
  if (!json.starts_with('{')) arguments.fail("a JSON object, as text or as it is");
  return json;
}

ToolCall tool_call_of(const JsonField& call) {
  if (call["type"].string_or("function") != "function")
    call["type"].fail("\"function\", the only type of call known here");
  const JsonField function = call["function"].has_value() ? call["function"] : call;
  ToolCall out{.id = std::string(call["id"].string_or("")),
               .name = std::string(function["name"].string()),
               .arguments = arguments_of(function["arguments"])};
  if (out.name.empty()) function["name"].fail("the name of a tool");
  return out;
}

std::optional<std::string> reasoning_of(const JsonField& message) {
  for (std::string_view key : {"reasoning_content", "reasoning"})
    if (message[key].has_value()) return std::string(message[key].string());
  return std::nullopt;
}

void add_assistant(const JsonField& field, Message& message) {
  message.reasoning = reasoning_of(field);
  const JsonField calls = field["tool_calls"];
  for (int64_t index = 0; calls.has_value() && index < calls.size(); ++index)
    message.tool_calls.push_back(tool_call_of(calls[index]));
  if (field["function_call"].has_value()) message.tool_calls.push_back(tool_call_of(field["function_call"]));
  if (field["audio"].has_value()) field["audio"].fail("nothing: this model only reads text");
  const std::string_view refusal = field["refusal"].string_or("");
  if (!field["content"].has_value() && !refusal.empty()) message.content = {{.text = std::string(refusal)}};
}

Message message_of(const JsonField& field) {
  Message message{.role = role_of(field["role"]), .name = std::string(field["name"].string_or(""))};
  if (message.role == Role::kAssistant) add_assistant(field, message);
  if (message.role == Role::kTool) message.tool_call_id = field["tool_call_id"].string_or("");
  const bool function = field["role"].string() == "function";
  if (function && message.name.empty()) field["name"].fail("the name of a function");
  const JsonField content = field["content"];
  if (content.has_value() || (message.role != Role::kAssistant && !function))
    message.content = content_of(content, message.role);
  else if (function)
    message.content = {{}};  // a function that gave nothing
  return message;
}

}  // namespace

std::vector<Message> messages_from_json(const JsonField& messages) {
  std::vector<Message> out;
  for (int64_t index = 0; index < messages.size(); ++index) out.push_back(message_of(messages[index]));
  if (out.empty()) messages.fail("at least one message");
  return out;
}

std::vector<ToolDefinition> tools_from_json(const JsonField& tools) {
  std::vector<ToolDefinition> out;
  for (int64_t index = 0; tools.has_value() && index < tools.size(); ++index) {
    const JsonField tool = tools[index];
    const JsonField type = tool["type"];
    if (type.string_or("function") != "function") type.fail("\"function\", the only type of tool known here");
    const JsonField function = tool["function"].has_value() ? tool["function"] : tool;
    out.push_back({.name = std::string(function["name"].string()),
                   .json = io::write_json(function.value(), io::JsonStyle::kPython)});
    if (out.back().name.empty()) function["name"].fail("the name of a tool");
    function["description"].string_or("");
    function["strict"].boolean_or(false);
    if (const JsonField parameters = function["parameters"]; parameters.has_value()) parameters.object();
  }
  return out;
}

}  // namespace minimax::text
