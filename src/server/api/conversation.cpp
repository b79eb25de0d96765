#include "server/api/conversation.h"

#include <algorithm>

#include "core/error.h"
#include "text/chat_encode.h"

namespace minimax::server {
namespace {

using io::JsonField;

void allow(ToolChoice& choice, const JsonField& name, const std::vector<text::ToolDefinition>& tools) {
  const std::string wanted(name.string());
  if (std::none_of(tools.begin(), tools.end(), [&](const auto& tool) { return tool.name == wanted; }))
    name.fail("the name of one of the tools");
  choice.allowed.push_back(wanted);
}

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

// Takes away what ends the last message, so that the model goes on with it.
void reopen(text::ChatPrompt& prompt) {
  if (!prompt.empty() && !prompt.back().special && prompt.back().text == "\n") prompt.pop_back();
  if (!prompt.empty() && prompt.back().special) prompt.pop_back();
}

bool ends_in_thinking(const text::ChatPrompt& prompt) {
  if (prompt.empty() || prompt.back().special) return false;
  const std::string& text = prompt.back().text;
  const size_t open = text.rfind("<think>");
  if (text.ends_with("<think>\n")) return true;
  // At the start of the assistant's turn, whose first line is "ai name=...".
  if (open == std::string::npos || !text.starts_with("ai name=")) return false;
  return text.find("</think>", open) == std::string::npos && text.find('\n') + 1 == open;
}

}  // namespace

ToolChoice read_tool_choice(const JsonField& field, const std::vector<text::ToolDefinition>& tools) {
  ToolChoice choice;
  if (!field.has_value()) return choice;
  if (field.is_string()) {
    choice.mode = mode_of(field);
  } else if (field["type"].string() == "allowed_tools") {
    const JsonField inner = field["allowed_tools"].has_value() ? field["allowed_tools"] : field;
    choice.mode = mode_of(inner["mode"]);
    const JsonField allowed = inner["tools"];
    for (int64_t index = 0; index < allowed.size(); ++index) allow(choice, name_of(allowed[index]), tools);
  } else if (field["type"].string() == "function") {
    choice.mode = ToolChoice::Mode::kRequired;
    allow(choice, name_of(field), tools);
  } else {
    field["type"].fail("function or allowed_tools");
  }
  if (choice.mode == ToolChoice::Mode::kRequired && tools.empty()) field.fail("auto or none, since there are no tools");
  return choice;
}

RenderedPrompt render(const Conversation& conversation, const ServedModel& model) {
  text::ChatOptions options = model.chat;
  options.add_generation_prompt = conversation.add_generation_prompt && !conversation.continue_final_message;
  std::vector<text::ToolDefinition> tools;
  if (conversation.tool_choice.mode != ToolChoice::Mode::kNone) tools = conversation.tools;
  if (conversation.continue_final_message)
    MM_CHECK(!conversation.messages.empty() && conversation.messages.back().role == text::Role::kAssistant,
             "continue_final_message: the last message is not an assistant's");
  RenderedPrompt prompt;
  prompt.pieces = model.prompt_template.render(conversation.messages, tools,
                                               {.chat = options, .extra = &conversation.template_variables});
  if (conversation.continue_final_message) reopen(prompt.pieces);
  prompt.ids = text::encode(prompt.pieces, model.tokenizer);
  prompt.opens_thinking = ends_in_thinking(prompt.pieces);
  return prompt;
}

}  // namespace minimax::server
