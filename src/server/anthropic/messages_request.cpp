#include "server/anthropic/messages.h"
#include "server/api/constraint.h"

namespace minimax::server {
namespace {

using io::JsonField;
namespace json = io::json;

// A text, or a list of text blocks.
std::string text_of(const JsonField& content) {
  if (!content.has_value()) return {};
  if (content.is_string()) return std::string(content.string());
  if (!content.is_array()) content.fail("a text or a list of blocks");
  std::string text;
  for (int64_t index = 0; index < content.size(); ++index) {
    if (content[index]["type"].string() != "text") content[index]["type"].fail("\"text\"");
    text += content[index]["text"].string();
  }
  return text;
}

text::Message tool_result(const JsonField& block) {
  text::Message message = text::text_message(text::Role::kTool, text_of(block["content"]));
  if (block["is_error"].boolean_or(false)) message.content[0].text = "error: " + message.content[0].text;
  message.tool_call_id = block["tool_use_id"].string();
  return message;
}

text::ToolCall tool_use(const JsonField& block) {
  if (!block["input"].is_object()) block["input"].fail("an object");
  return {.id = std::string(block["id"].string()),
          .name = std::string(block["name"].string()),
          .arguments = io::write_json(block["input"].value(), io::JsonStyle::kPython)};
}

// One message of theirs may be several here: results of tools are messages of their own.
void add_message(const JsonField& field, std::vector<text::Message>& out) {
  const std::string_view role = field["role"].string();
  if (role == "system") return out.push_back(text::text_message(text::Role::kSystem, text_of(field["content"])));
  if (role != "user" && role != "assistant") field["role"].fail("user, assistant or system");
  text::Message message{.role = role == "user" ? text::Role::kUser : text::Role::kAssistant};
  const JsonField content = field["content"];
  if (content.is_string()) {
    message.content = {{.text = std::string(content.string())}};
    return out.push_back(std::move(message));
  }
  if (!content.is_array()) content.fail("a text or a list of blocks");
  bool results = false;
  for (int64_t index = 0; index < content.size(); ++index) {
    const JsonField block = content[index];
    const std::string_view type = block["type"].string();
    if (type == "text") {
      message.content.push_back({.text = std::string(block["text"].string())});
    } else if (type == "tool_result" && role == "user") {
      out.push_back(tool_result(block));
      results = true;
    } else if (type == "tool_use" && role == "assistant") {
      message.tool_calls.push_back(tool_use(block));
    } else if (type == "thinking" && role == "assistant") {
      message.reasoning = message.reasoning.value_or("") + std::string(block["thinking"].string());
    } else if (type != "redacted_thinking") {
      block["type"].fail("text, tool_use, tool_result or thinking: this model only reads text");
    }
  }
  const bool empty = message.content.empty() && message.tool_calls.empty() && !message.reasoning;
  if (empty && !results) content.fail("at least one block");
  if (!empty) out.push_back(std::move(message));
}

text::ToolDefinition tool_of(const JsonField& tool) {
  const std::string_view type = tool["type"].string_or("custom");
  if (type != "custom") tool["type"].fail("\"custom\": this server runs no tools of its own");
  json::object definition{{"name", tool["name"].string()}};
  if (tool["description"].has_value()) definition["description"] = tool["description"].string();
  if (!tool["input_schema"].is_object()) tool["input_schema"].fail("a JSON schema");
  definition["parameters"] = tool["input_schema"].value();
  return {.name = std::string(tool["name"].string()), .json = io::write_json(definition, io::JsonStyle::kPython)};
}

ToolChoice choice_of(const JsonField& field, const std::vector<text::ToolDefinition>& tools) {
  ToolChoice choice;
  if (!field.has_value()) return choice;
  const std::string_view type = field["type"].string();
  choice.parallel = !field["disable_parallel_tool_use"].boolean_or(false);
  if (type == "none") {
    choice.mode = ToolChoice::Mode::kNone;
  } else if (type == "any" || type == "tool") {
    choice.mode = ToolChoice::Mode::kRequired;
    if (tools.empty()) field.fail("auto or none, since there are no tools");
    if (type == "tool") {
      choice.allowed.emplace_back(field["name"].string());
      bool known = false;
      for (const text::ToolDefinition& tool : tools) known = known || tool.name == choice.allowed[0];
      if (!known) field["name"].fail("the name of one of the tools");
    }
  } else if (type != "auto") {
    field["type"].fail("auto, any, tool or none");
  }
  return choice;
}

}  // namespace

Conversation read_messages_conversation(const JsonField& root) {
  Conversation conversation;
  const std::string system = text_of(root["system"]);
  if (!system.empty()) conversation.messages.push_back(text::text_message(text::Role::kSystem, system));
  const JsonField messages = root["messages"];
  for (int64_t index = 0; index < messages.size(); ++index) add_message(messages[index], conversation.messages);
  if (messages.size() == 0) messages.fail("at least one message");
  const JsonField tools = root["tools"];
  for (int64_t index = 0; tools.has_value() && index < tools.size(); ++index)
    conversation.tools.push_back(tool_of(tools[index]));
  conversation.tool_choice = choice_of(root["tool_choice"], conversation.tools);
  const text::Message& last = conversation.messages.back();
  conversation.continue_final_message = last.role == text::Role::kAssistant && last.tool_calls.empty();
  return conversation;
}

MessagesCall read_messages(const JsonField& root, const ServedModel& model) {
  check_model_name(root, model);
  const Conversation conversation = read_messages_conversation(root);
  MessagesCall call;
  engine::Request& request = call.spec.request;
  request.sampling = read_sampling(root, model);
  read_engine_fields(root, model, request);
  request.max_tokens = root["max_tokens"].integer(1, int64_t{1} << 40);
  request.max_thinking_tokens = read_thinking_budget(root, model);
  call.format.id = new_id("msg_");
  call.format.stream = root["stream"].boolean_or(false);

  AnswerTextOptions& text = call.spec.text;
  text.stop = read_stop(root["stop_sequences"]);
  text.parser.parse_tool_calls =
      !conversation.tools.empty() && conversation.tool_choice.mode != ToolChoice::Mode::kNone;
  text.parser.tool_calls = {.stream_arguments = false, .id_seed = random_seed()};
  call.spec.parallel_tool_calls = conversation.tool_choice.parallel;
  request.constraint = whole_constraint(nullptr, conversation, *model.constraints);

  set_prompt(call.spec, conversation, render(conversation, model), model);
  return call;
}

void messages(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const json::value body = read_body(*exchange, service);
  MessagesCall call = read_messages(JsonField(body, "request"), service.model);
  const std::string id = call.format.id;
  const auto prompt_tokens = static_cast<int64_t>(call.spec.request.prompt.size());
  auto writer = messages_writer(service.model, std::move(call.format), exchange, prompt_tokens);
  start_job(service, std::move(call.spec), std::move(writer), exchange, id);
}

void count_message_tokens(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const json::value body = read_body(*exchange, service);
  const RenderedPrompt prompt = render(read_messages_conversation(JsonField(body, "request")), service.model);
  respond_json(*exchange, json::object{{"input_tokens", prompt.ids.size()}});
}

}  // namespace minimax::server
