#include "server/api/conversation.h"

#include <algorithm>

#include "core/error.h"
#include "text/chat_encode.h"

namespace minimax::server {
namespace {

using io::JsonField;

// {"type": "function", "function": {"name": ...}}, {"type": "function", "name": ...}
JsonField name_of(const JsonField& tool) {
  return tool["function"].has_value() ? tool["function"]["name"] : tool["name"];
}

ToolChoice::Mode mode_of(const JsonField& field) {
  const std::string_view word = field.string();
  if (word == "none") return ToolChoice::Mode::kNone;
  if (word == "auto") return ToolChoice::Mode::kAuto;
  if (word == "required" || word == "any") return ToolChoice::Mode::kRequired;
  field.fail("none, auto, required or an object that names a tool");
}

std::string_view trim_end(std::string_view text) {
  const size_t last = text.find_last_not_of(" \t\r\n");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// Takes away what ends the last message, so that the model goes on with it.
void reopen(text::ChatPrompt& prompt, const text::Message& last) {
  MM_CHECK(last.role == text::Role::kAssistant, "continue_final_message: the last message is not an assistant's");
  const std::string_view wanted = last.content.empty() ? "" : trim_end(last.content.back().text);
  if (!prompt.empty() && !prompt.back().special && trim_end(prompt.back().text).empty()) prompt.pop_back();
  if (!prompt.empty() && prompt.back().special) prompt.pop_back();
  MM_CHECK(!prompt.empty() && !prompt.back().special && trim_end(prompt.back().text).ends_with(wanted),
           "continue_final_message: this model's chat template does not end with the message");
}

// The last text opens a thinking block and does not close it. What a user wrote is never the last text.
bool ends_in_thinking(const text::ChatPrompt& prompt) {
  constexpr std::string_view kOpen = "<think>", kClose = "</think>";
  if (prompt.empty() || prompt.back().special) return false;
  const std::string_view text = prompt.back().text;
  if (trim_end(text).ends_with(kOpen)) return true;
  const size_t open = text.rfind(kOpen);  // a message that is gone on with, on the line after "ai name=..."
  return open != std::string_view::npos && open > 0 && text[open - 1] == '\n' && text.starts_with("ai name=") &&
         text.find('\n') + 1 == open && text.find(kClose, open) == std::string_view::npos;
}

}  // namespace

std::string checked_tool_name(const JsonField& name, const std::vector<text::ToolDefinition>& tools) {
  std::string wanted(name.string());
  if (std::none_of(tools.begin(), tools.end(), [&](const auto& tool) { return tool.name == wanted; }))
    name.fail("the name of one of the tools");
  return wanted;
}

ToolChoice read_tool_choice(const JsonField& field, const std::vector<text::ToolDefinition>& tools) {
  ToolChoice choice;
  if (!field.has_value()) return choice;
  if (field.is_string()) {
    choice.mode = mode_of(field);
  } else if (field["type"].string() == "allowed_tools") {
    const JsonField inner = field["allowed_tools"].has_value() ? field["allowed_tools"] : field;
    choice.mode = mode_of(inner["mode"]);
    const JsonField allowed = inner["tools"];
    for (int64_t index = 0; index < allowed.size(); ++index)
      choice.allowed.push_back(checked_tool_name(name_of(allowed[index]), tools));
  } else if (field["type"].string() == "function") {
    choice.mode = ToolChoice::Mode::kRequired;
    choice.allowed.push_back(checked_tool_name(name_of(field), tools));
  } else {
    field["type"].fail("function or allowed_tools");
  }
  if (choice.mode == ToolChoice::Mode::kRequired && tools.empty()) field.fail("auto or none, since there are no tools");
  return choice;
}

RenderedPrompt render(const Conversation& conversation, const ServedModel& model) {
  text::ChatOptions options = model.chat;
  options.add_generation_prompt = conversation.add_generation_prompt && !conversation.continue_final_message;
  options.keep_reasoning = conversation.keep_reasoning.value_or(options.keep_reasoning);
  std::vector<text::ToolDefinition> tools;
  if (conversation.tool_choice.mode != ToolChoice::Mode::kNone) tools = conversation.tools;
  RenderedPrompt prompt;
  const io::json::object& variables = conversation.template_variables;
  prompt.pieces = model.prompt_template.render(conversation.messages, tools,
                                               {.chat = options, .extra = variables.empty() ? nullptr : &variables});
  if (conversation.continue_final_message) {
    MM_CHECK(!conversation.messages.empty(), "continue_final_message: there is no message");
    reopen(prompt.pieces, conversation.messages.back());
  }
  prompt.ids = text::encode(prompt.pieces, model.tokenizer);
  prompt.opens_thinking = ends_in_thinking(prompt.pieces);
  return prompt;
}

}  // namespace minimax::server
