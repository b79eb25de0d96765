#include "cli/conversation.h"

#include "io/atomic_file.h"
#include "io/json.h"

namespace minimax::cli {
namespace {

std::string text_of(const text::Message& message) {
  std::string out;
  for (const text::ContentPart& part : message.content) out += part.text;
  return out;
}

}  // namespace

std::vector<text::Message> Conversation::prompt() const {
  std::vector<text::Message> out;
  if (!system.empty()) out.push_back(text::text_message(text::Role::kSystem, system));
  out.insert(out.end(), messages.begin(), messages.end());
  return out;
}

std::string Conversation::take_back() {
  if (!messages.empty() && messages.back().role == text::Role::kAssistant) messages.pop_back();
  if (messages.empty()) return "";
  const std::string question = text_of(messages.back());
  messages.pop_back();
  return question;
}

void Conversation::save(const std::filesystem::path& file) const {
  io::json::array list;
  for (const text::Message& message : prompt()) {
    io::json::object item{{"role", text::to_string(message.role)}, {"content", text_of(message)}};
    if (message.reasoning) item["reasoning_content"] = *message.reasoning;
    list.push_back(std::move(item));
  }
  const io::json::object root{{"messages", list}};
  io::write_file(file, io::write_json(root, io::JsonStyle::kPretty) + "\n");
}

Conversation Conversation::load(const std::filesystem::path& file) {
  const io::json::value document = io::read_json_file(file);
  const io::JsonField root(document, file.string());
  const io::JsonField list = root.is_array() ? root : root["messages"];
  Conversation out;
  for (int64_t at = 0; at < list.size(); ++at) {
    const io::JsonField item = list[at];
    const std::string_view role = item["role"].string();
    const std::string content(item["content"].string());
    if (role == "system") {
      out.system += content;
    } else if (role == "user") {
      out.messages.push_back(text::text_message(text::Role::kUser, content));
    } else if (role == "assistant") {
      out.messages.push_back(text::text_message(text::Role::kAssistant, content));
      if (item["reasoning_content"].has_value())
        out.messages.back().reasoning = std::string(item["reasoning_content"].string());
    } else {
      item["role"].fail("system, user or assistant");
    }
  }
  return out;
}

}  // namespace minimax::cli
