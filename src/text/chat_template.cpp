#include "text/chat_template.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"
#include "io/json.h"
#include "text/json_rewriter.h"
#include "text/reasoning_parser.h"

namespace minimax::text {
namespace {

constexpr std::string_view kBeginOfDocument = "<begin_of_document>";
constexpr std::string_view kBeginningOfSentence = "<beginning_of_sentence>";
constexpr std::string_view kEndOfSentence = "<end_of_sentence>";

// The words in which the two templates differ.
struct Wording {
  std::string_view assistant;              // in the heads of the system prompt and of assistant turns
  std::string_view call_format;            // how the tool instruction shows a call
  std::string_view default_system_prompt;  // "" for none
};

constexpr Wording kOfficialWording{
    .assistant = "assistant",
    // Without quotes: the published template doubles single quotes, and Jinja reads them as the ends of two literals.
    .call_format = "{name: <tool-name-1>, arguments: <args-json-object-1>}",
    .default_system_prompt = "",
};
constexpr Wording kToolsWording{
    .assistant = "MiniMax AI",
    .call_format = "{\"name\": <tool-name>, \"arguments\": <args-json-object>}",
    .default_system_prompt = "You are a helpful assistant created by Minimax based on MiniMax-M1 model.",
};

class Renderer {
 public:
  Renderer(std::span<const Message> messages, const ChatOptions& options, bool official)
      : messages_(messages),
        options_(options),
        official_(official),
        wording_(official ? kOfficialWording : kToolsWording) {}

  ChatPrompt render(std::span<const ToolDefinition> tools) {
    prompt_.push_back({.special = true, .text = std::string(kBeginOfDocument)});
    if (const std::string system = system_prompt(); !system.empty())
      turn(cat("system ai_setting=", wording_.assistant), system);
    if (!tools.empty()) turn("system tool_setting=tools", tool_instruction(tools));
    for (size_t index = 0; index < messages_.size(); ++index) message(index);
    if (options_.add_generation_prompt) begin_turn(cat("ai name=", wording_.assistant));
    return std::move(prompt_);
  }

 private:
  void text(std::string_view text) {
    if (prompt_.back().special)
      prompt_.push_back({.special = false, .text = std::string(text)});
    else
      prompt_.back().text += text;
  }

  void begin_turn(std::string_view head) {
    prompt_.push_back({.special = true, .text = std::string(kBeginningOfSentence)});
    text(head);
    text("\n");
  }

  void turn(std::string_view head, std::string_view body) {
    begin_turn(head);
    text(body);
    prompt_.push_back({.special = true, .text = std::string(kEndOfSentence)});
    text("\n");
  }

  void message(size_t index) {
    switch (messages_[index].role) {
      case Role::kSystem:
        break;
      case Role::kUser:
        turn("user name=user", text_of(index, official_ && !options_.keep_all_text));
        break;
      case Role::kAssistant:
        turn(cat("ai name=", wording_.assistant), assistant(index));
        break;
      case Role::kTool:
        turn("tool name=tools", tool_results(index));
        break;
    }
  }

  std::string system_prompt() const;
  std::string tool_instruction(std::span<const ToolDefinition> tools) const;
  std::string text_of(size_t index, bool first_part_only) const;
  std::string assistant(size_t index) const;
  std::string tool_calls(size_t index) const;
  std::string tool_results(size_t index) const;
  std::string tool_name(size_t index, const ContentPart& part) const;
  bool is_old_turn(size_t index) const;

  std::span<const Message> messages_;
  const ChatOptions& options_;
  bool official_;
  Wording wording_;
  ChatPrompt prompt_;
};

// Code points for which Python's str.isspace() is true, which is what Jinja's trim takes away.
bool is_python_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// Length in bytes of the space character that begins `text`, or 0. All of them have one to three bytes.
size_t leading_space(std::string_view text) {
  if (text.empty()) return 0;
  auto byte = [&](size_t at) { return static_cast<char32_t>(static_cast<unsigned char>(text[at])); };
  char32_t code = byte(0);
  size_t length = 1;
  if ((code & 0xE0) == 0xC0 && text.size() >= 2) {
    code = (code & 0x1F) << 6 | (byte(1) & 0x3F);
    length = 2;
  } else if ((code & 0xF0) == 0xE0 && text.size() >= 3) {
    code = (code & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    length = 3;
  } else if (code >= 0x80) {
    return 0;
  }
  return is_python_space(code) ? length : 0;
}

// Jinja's trim.
std::string_view trim(std::string_view text) {
  while (const size_t length = leading_space(text)) text.remove_prefix(length);
  auto trailing_space = [&]() -> size_t {
    for (size_t length = 1; length <= std::min<size_t>(3, text.size()); ++length)
      if (leading_space(text.substr(text.size() - length)) == length) return length;
    return 0;
  };
  while (const size_t length = trailing_space()) text.remove_suffix(length);
  return text;
}

bool has_text(const Message& message) {
  return !message.content.empty();
}

std::string Renderer::system_prompt() const {
  std::string prompt;
  bool given = false;
  for (size_t index = 0; index < messages_.size(); ++index) {
    if (messages_[index].role != Role::kSystem) continue;
    if (!official_ && index > 0 && !options_.keep_all_text) continue;
    const std::string text = text_of(index, !options_.keep_all_text);
    if (options_.keep_all_text && !prompt.empty() && !text.empty()) prompt += "\n\n";
    prompt += text;
    given = true;
  }
  if (given) return prompt;
  return options_.default_system_prompt.value_or(std::string(wording_.default_system_prompt));
}

std::string Renderer::tool_instruction(std::span<const ToolDefinition> tools) const {
  std::string text = "You are provided with these tools:\n<tools>\n";
  for (const ToolDefinition& tool : tools) text += tool.json + "\n";
  text +=
      "</tools>\n\nIf you need to call tools, please respond with <tool_calls></tool_calls> XML tags, and provide "
      "tool-name and json-object of arguments, following the format below:\n<tool_calls>\n";
  text += wording_.call_format;
  return text + "\n...\n</tool_calls>";
}

// The parts of a message, trimmed one by one in kTools.
std::string Renderer::text_of(size_t index, bool first_part_only) const {
  const Message& message = messages_[index];
  MM_CHECK(has_text(message) || message.role == Role::kAssistant, "message ", index, " (", to_string(message.role),
           ") has no text");
  std::string text;
  for (const ContentPart& part : message.content) {
    text += official_ ? std::string_view(part.text) : trim(part.text);
    if (first_part_only) break;
  }
  return text;
}

std::string Renderer::assistant(size_t index) const {
  const Message& message = messages_[index];
  const bool drop_reasoning = !options_.keep_reasoning && is_old_turn(index);
  const bool drop_text = !official_ && !message.tool_calls.empty() && !options_.keep_all_text;
  std::string answer = drop_text ? "" : text_of(index, false);
  if (drop_reasoning) {
    ReasoningParser parser;
    std::string content = parser.feed(answer).content;
    answer = content + parser.finish().content;
  }
  if (!message.tool_calls.empty()) {
    if (!answer.empty() && !answer.ends_with('\n')) answer += '\n';
    answer += tool_calls(index);
  }
  if (message.reasoning && !drop_reasoning) answer = cat("<think>\n", *message.reasoning, "\n</think>\n\n", answer);
  return answer;
}

std::string Renderer::tool_calls(size_t index) const {
  std::string text = "<tool_calls>\n";
  for (const ToolCall& call : messages_[index].tool_calls) {
    const std::string what = cat("message ", index, ": arguments of \"", call.name, "\"");
    text += cat("{\"name\": ", io::write_json_string(call.name), ", \"arguments\": ", python_json(call.arguments, what),
                "}\n");
  }
  return text + "</tool_calls>";
}

std::string Renderer::tool_results(size_t index) const {
  MM_CHECK(has_text(messages_[index]), "message ", index, " (tool) has no text");
  std::string text;
  for (const ContentPart& part : messages_[index].content) {
    // kTools names the tool only for a part that is not marked as text.
    if (official_ || part.type != "text") text += cat("tool name: ", tool_name(index, part), "\n");
    text += cat("tool result: ", part.text, "\n\n");
  }
  return text;
}

std::string Renderer::tool_name(size_t index, const ContentPart& part) const {
  const Message& message = messages_[index];
  if (!part.name.empty()) return part.name;
  if (!message.name.empty()) return message.name;
  for (size_t earlier = index; earlier-- > 0 && !message.tool_call_id.empty();)
    for (const ToolCall& call : messages_[earlier].tool_calls)
      if (call.id == message.tool_call_id) return call.name;
  throw Error(ErrorKind::kInvalidArgument, cat("message ", index, " (tool) names no tool, and its tool_call_id \"",
                                               message.tool_call_id, "\" is that of no earlier call"));
}

bool Renderer::is_old_turn(size_t index) const {
  return std::any_of(messages_.begin() + static_cast<std::ptrdiff_t>(index), messages_.end(),
                     [](const Message& message) { return message.role == Role::kUser; });
}

constexpr std::array<std::pair<ChatTemplate, std::string_view>, 3> kNames{{
    {ChatTemplate::kAuto, "auto"},
    {ChatTemplate::kOfficial, "official"},
    {ChatTemplate::kTools, "tools"},
}};

}  // namespace

ChatTemplate parse_chat_template(std::string_view name) {
  for (const auto& [chat_template, its_name] : kNames)
    if (name == its_name) return chat_template;
  throw Error(ErrorKind::kInvalidArgument, cat("chat template \"", name, "\", expected auto, official or tools"));
}

std::string_view to_string(ChatTemplate chat_template) {
  return kNames[static_cast<size_t>(chat_template)].second;
}

ChatPrompt render_chat(std::span<const Message> messages, std::span<const ToolDefinition> tools,
                       const ChatOptions& options) {
  bool official = options.chat_template == ChatTemplate::kOfficial;
  if (options.chat_template == ChatTemplate::kAuto)
    official = tools.empty() && std::none_of(messages.begin(), messages.end(), [](const Message& message) {
                 return message.role == Role::kTool || !message.tool_calls.empty();
               });
  return Renderer(messages, options, official).render(tools);
}

std::string to_string(const ChatPrompt& prompt) {
  std::string text;
  for (const ChatPiece& piece : prompt) text += piece.text;
  return text;
}

}  // namespace minimax::text
