#include "text/jinja/prompt_template.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "core/error.h"
#include "io/file.h"
#include "io/json.h"
#include "text/jinja/interpreter.h"
#include "text/reasoning_parser.h"
#include "text/tokenizer.h"
#include "text/tokenizer_files.h"

namespace minimax::text {
namespace {

using jinja::TracedString;
using jinja::Value;
namespace json = io::json;

// How a template wants to see what chat APIs spell in several ways.
struct Style {
  bool parts = false;           // a message's content as a list of parts, not as one string
  bool text_arguments = false;  // a call's arguments as JSON text, not as an object
  bool bare_tools = false;      // tools without {"type": "function", "function": ...}
};

constexpr std::array<std::string_view, 7> kTokenNames{"bos_token", "eos_token", "unk_token", "sep_token",
                                                      "pad_token", "cls_token", "mask_token"};

using Members = std::vector<std::pair<Value, Value>>;

void add(Members& to, std::string_view name, Value value) {
  to.emplace_back(Value::data_text(name), std::move(value));
}

Value json_value(std::string_view text, std::string_view what) {
  return jinja::from_json(io::parse_json(text, what, {.duplicate_keys = io::DuplicateKeys::kKeepLast}));
}

Value content_of(const Message& message, const Style& style) {
  if (message.content.empty()) return Value::None{};
  if (!style.parts) {
    std::string text;
    for (const ContentPart& part : message.content) text += part.text;
    return Value::data_text(text);
  }
  std::vector<Value> parts;
  for (const ContentPart& part : message.content) {
    Members members;
    add(members, "type", Value::data_text(part.type.empty() ? "text" : part.type));
    const std::string& name = part.name.empty() ? message.name : part.name;
    if (!name.empty()) add(members, "name", Value::data_text(name));
    add(members, "text", Value::data_text(part.text));
    parts.push_back(jinja::make_dict(std::move(members)));
  }
  return jinja::make_list(std::move(parts));
}

Value calls_of(const Message& message, const Style& style, size_t index) {
  std::vector<Value> calls;
  for (const ToolCall& call : message.tool_calls) {
    const std::string what = cat("message ", index, ": arguments of \"", call.name, "\"");
    Members function, members;
    add(function, "name", Value::data_text(call.name));
    add(function, "arguments",
        style.text_arguments ? Value::data_text(call.arguments) : json_value(call.arguments, what));
    if (!call.id.empty()) add(members, "id", Value::data_text(call.id));
    add(members, "type", Value::data_text("function"));
    add(members, "function", jinja::make_dict(std::move(function)));
    calls.push_back(jinja::make_dict(std::move(members)));
  }
  return jinja::make_list(std::move(calls));
}

Value message_value(const Message& message, const Style& style, size_t index) {
  Members members;
  add(members, "role", Value::data_text(to_string(message.role)));
  add(members, "content", content_of(message, style));
  if (message.reasoning) add(members, "reasoning_content", Value::data_text(*message.reasoning));
  if (!message.tool_calls.empty()) add(members, "tool_calls", calls_of(message, style, index));
  if (!message.tool_call_id.empty()) add(members, "tool_call_id", Value::data_text(message.tool_call_id));
  if (!message.name.empty()) add(members, "name", Value::data_text(message.name));
  return jinja::make_dict(std::move(members));
}

Value tools_value(std::span<const ToolDefinition> tools, const Style& style) {
  if (tools.empty()) return Value::None{};
  std::vector<Value> out;
  for (const ToolDefinition& tool : tools) {
    Value function = json_value(tool.json, cat("tool \"", tool.name, "\""));
    if (!style.bare_tools) {
      Members wrapped;
      add(wrapped, "type", Value::data_text("function"));
      add(wrapped, "function", std::move(function));
      function = jinja::make_dict(std::move(wrapped));
    }
    out.push_back(std::move(function));
  }
  return jinja::make_list(std::move(out));
}

// Without the thinking of assistant turns before the last user message, and with the default system prompt.
std::vector<Message> prepared(std::span<const Message> messages, const ChatOptions& options) {
  std::vector<Message> out(messages.begin(), messages.end());
  const auto is_system = [](const Message& message) { return message.role == Role::kSystem; };
  if (!options.keep_reasoning) {
    bool old = false;
    for (size_t i = out.size(); i-- > 0;) {
      Message& message = out[i];
      if (message.role == Role::kAssistant && old) {
        message.reasoning.reset();
        for (ContentPart& part : message.content) {
          ReasoningParser parser;
          const std::string text = parser.feed(part.text).content;
          part.text = text + parser.finish().content;
        }
      }
      old |= message.role == Role::kUser;
    }
  }
  if (options.default_system_prompt.value_or("").size() > 0 && std::ranges::none_of(out, is_system))
    out.insert(out.begin(), text_message(Role::kSystem, *options.default_system_prompt));
  return out;
}

// What a tokenizer's files call a special token: a text, or an object with its "content".
std::optional<std::string> token_text(const json::value* value) {
  if (!value) return std::nullopt;
  if (value->is_string()) return std::string(value->get_string());
  const auto* content = value->is_object() ? value->get_object().if_contains("content") : nullptr;
  if (!content || !content->is_string()) return std::nullopt;
  return std::string(content->get_string());
}

}  // namespace

struct PromptTemplate::Interpreted {
  jinja::Template code;
  jinja::Variables tokens;  // bos_token and others
  TokenMatcher specials;
  Style style;

  Interpreted(std::string_view source, const Tokenizer& tokenizer, const json::object& config) : code(source) {
    std::vector<AddedToken> added;
    for (const int32_t id : tokenizer.special_ids())
      if (const std::string_view text = tokenizer.token_bytes(id); !text.empty())
        added.push_back({.id = id, .text = std::string(text)});
    specials = TokenMatcher(added);
    for (const std::string_view name : kTokenNames)
      if (const auto text = token_text(config.if_contains(name)))
        tokens.emplace_back(std::string(name), Value::text(*text));
    const auto known = [&](std::string_view name) {
      return std::ranges::any_of(tokens, [name](const auto& token) { return token.first == name; });
    };
    if (tokenizer.bos_id() && !known("bos_token"))
      tokens.emplace_back("bos_token", Value::text(tokenizer.token_bytes(*tokenizer.bos_id())));
    if (tokenizer.eos_id() && !known("eos_token"))
      tokens.emplace_back("eos_token", Value::text(tokenizer.token_bytes(*tokenizer.eos_id())));
  }

  TracedString render(std::span<const Message> messages, std::span<const ToolDefinition> tools, const Style& as,
                      const Options& options) const {
    std::vector<Value> values;
    for (size_t i = 0; i < messages.size(); ++i) values.push_back(message_value(messages[i], as, i));
    jinja::Variables variables = tokens;
    variables.emplace_back("messages", jinja::make_list(std::move(values)));
    variables.emplace_back("tools", tools_value(tools, as));
    variables.emplace_back("documents", Value::None{});
    variables.emplace_back("add_generation_prompt", Value(options.chat.add_generation_prompt));
    if (options.extra)
      for (const auto& [name, value] : *options.extra)
        if (name != "messages" && name != "tools") variables.emplace_back(std::string(name), jinja::from_json(value));
    const int64_t now =
        options.now >= 0
            ? options.now
            : std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
                  .count();
    return code.render(variables, now);
  }

  std::optional<std::string> attempt(std::span<const Message> messages, std::span<const ToolDefinition> tools,
                                     const Style& as) const {
    try {
      return render(messages, tools, as, {}).bytes();
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  // The spelling with which the template shows what it is given.
  void find_style() {
    const std::array asked{text_message(Role::kUser, "probe-of-content")};
    for (const bool parts : {false, true}) {
      const auto text = attempt(asked, {}, {.parts = parts});
      if (!text || text->find("probe-of-content") == std::string::npos) continue;
      style.parts = parts;
      break;
    }
    std::vector<Message> called{asked[0], Message{.role = Role::kAssistant}};
    called[1].tool_calls = {{.id = "call_1", .name = "probe_tool", .arguments = R"({"probe": "x"})"}};
    const auto as_object = attempt(called, {}, style);
    Style other = style;
    other.text_arguments = true;
    if (!as_object && attempt(called, {}, other)) style.text_arguments = true;
  }

  ChatPrompt pieces(const TracedString& text) const {
    ChatPrompt out;
    std::string plain;
    const auto flush = [&] {
      if (!plain.empty()) out.push_back({.special = false, .text = std::exchange(plain, {})});
    };
    size_t begin = 0;
    for (const TracedString::Run& run : text.runs()) {
      const std::string_view part = std::string_view(text.bytes()).substr(begin, run.end - begin);
      begin = run.end;
      size_t done = 0;
      while (run.origin == TracedString::Origin::kTemplate) {
        const auto match = specials.next(part, done);
        if (!match) break;
        plain += part.substr(done, match->begin - done);
        flush();
        out.push_back({.special = true, .text = std::string(part.substr(match->begin, match->length))});
        done = match->begin + match->length;
      }
      plain += part.substr(done);
    }
    flush();
    return out;
  }

  // Which of MiniMax-M1's templates this is.
  std::optional<ChatTemplate> minimax_m1() const {
    Message result{.role = Role::kTool, .content = {{.type = "", .text = " 21 ", .name = "clock"}}};
    std::vector<Message> talk{text_message(Role::kSystem, " Be brief. "), text_message(Role::kUser, " Hi\n"),
                              text_message(Role::kAssistant, " Hello. "), text_message(Role::kUser, "Time?")};
    const std::vector<ToolDefinition> tools{
        {"clock", R"({"name": "clock", "description": "é", "parameters": {"type": "object", "properties": {}}})"}};
    for (const ChatTemplate candidate : {ChatTemplate::kOfficial, ChatTemplate::kTools}) {
      const bool official = candidate == ChatTemplate::kOfficial;
      std::vector<Message> messages = talk;
      if (official) messages.push_back(result);
      const Style as{.parts = official, .text_arguments = false, .bare_tools = true};
      const auto same = [&](std::span<const Message> conversation, std::span<const ToolDefinition> with) {
        return attempt(conversation, with, as) ==
               to_string(render_chat(conversation, with, {.chat_template = candidate}));
      };
      if (same(messages, {}) && same(messages, tools) && same(std::span(talk).subspan(1, 1), {})) return candidate;
    }
    return std::nullopt;
  }
};

PromptTemplate::PromptTemplate() : description_("MiniMax-M1 (native)") {}

PromptTemplate PromptTemplate::from_source(std::string_view source, const Tokenizer& tokenizer, std::string_view what) {
  json::object config;
  config["chat_template"] = source;
  return from_json(json::value(std::move(config)), tokenizer, what);
}

PromptTemplate PromptTemplate::from_json(const json::value& config, const Tokenizer& tokenizer, std::string_view what) {
  const json::object& object = config.get_object();
  const io::JsonField field = io::JsonField(config, what)["chat_template"];
  PromptTemplate out;
  const auto made = [&](std::string_view source) {
    try {
      auto interpreted = std::make_shared<Interpreted>(source, tokenizer, object);
      interpreted->find_style();
      return interpreted;
    } catch (const Error& error) {
      throw Error(error.kind(), cat(what, ": ", error.what()));
    }
  };
  std::shared_ptr<Interpreted> normal, with_tools;
  if (field.is_string()) {
    normal = made(field.string());
  } else {
    for (int64_t i = 0; i < field.size(); ++i) {
      const std::string_view name = field[i]["name"].string();
      if (name == "default") normal = made(field[i]["template"].string());
      if (name == "tool_use") with_tools = made(field[i]["template"].string());
    }
    if (!normal) field.fail("a template, or a list of templates with one that is named default");
  }
  if (const auto known = normal->minimax_m1(); known && !with_tools) {
    // The official template knows no calls; where there are tools, kAuto takes the other one.
    out.choice_ = *known == ChatTemplate::kOfficial ? ChatTemplate::kAuto : *known;
    out.description_ = cat("MiniMax-M1 (", what, ", native)");
    return out;
  }
  out.normal_ = std::move(normal);
  out.with_tools_ = std::move(with_tools);
  out.description_ = cat(what, " (interpreted)");
  return out;
}

PromptTemplate PromptTemplate::from_file(const std::filesystem::path& file, const Tokenizer& tokenizer) {
  const std::string text = io::read_file(file);
  const std::string what = file.filename().string();
  if (file.extension() == ".json") return from_json(io::parse_json(text, what), tokenizer, what);
  return from_source(text, tokenizer, what);
}

PromptTemplate PromptTemplate::load(const std::filesystem::path& folder, const Tokenizer& tokenizer) {
  std::filesystem::path found;
  json::value config = json::object();
  if (const auto text = read_maybe_gzipped(folder, "tokenizer_config.json", found))
    config = io::parse_json(*text, found.filename().string());
  std::string what = found.filename().string();
  if (const auto text = read_maybe_gzipped(folder, "chat_template.jinja", found)) {
    what = found.filename().string();
    if (config.is_object()) config.get_object()["chat_template"] = *text;
  } else if (const auto json_text = read_maybe_gzipped(folder, "chat_template.json", found)) {
    what = found.filename().string();
    const json::value other = io::parse_json(*json_text, what);
    const auto* source = other.is_object() ? other.get_object().if_contains("chat_template") : nullptr;
    if (source && config.is_object()) config.get_object()["chat_template"] = *source;
  }
  const auto* given = config.is_object() ? config.get_object().if_contains("chat_template") : nullptr;
  return given && !given->is_null() ? from_json(config, tokenizer, what) : PromptTemplate();
}

std::vector<std::string> PromptTemplate::doubts() const {
  std::vector<std::string> all;
  for (const auto& part : {normal_, with_tools_})
    if (part) all.insert(all.end(), part->code.doubts().begin(), part->code.doubts().end());
  return all;
}

ChatPrompt PromptTemplate::render(std::span<const Message> messages, std::span<const ToolDefinition> tools,
                                  const Options& options) const {
  if (native()) {
    ChatOptions chat = options.chat;
    if (chat.chat_template == ChatTemplate::kAuto) chat.chat_template = choice_;
    return render_chat(messages, tools, chat);
  }
  const Interpreted& code = with_tools_ && !tools.empty() ? *with_tools_ : *normal_;
  return code.pieces(code.render(prepared(messages, options.chat), tools, code.style, options));
}

}  // namespace minimax::text
