#include "server/api/api_error.h"
#include "server/api/constraint.h"
#include "server/openai/responses.h"
#include "text/chat_json.h"

namespace minimax::server {
namespace {

using io::JsonField;
namespace json = io::json;

constexpr std::string_view kPath = "/v1/responses/";

text::Role role_of(const JsonField& role) {
  const std::string_view name = role.string();
  if (name == "system" || name == "developer") return text::Role::kSystem;
  if (name == "user") return text::Role::kUser;
  if (name == "assistant") return text::Role::kAssistant;
  role.fail("system, developer, user or assistant");
}

// A text, or a list of parts with a text.
std::vector<text::ContentPart> content_of(const JsonField& content) {
  if (content.is_string()) return {{.text = std::string(content.string())}};
  if (!content.is_array()) content.fail("a text or a list of parts");
  std::vector<text::ContentPart> parts;
  for (int64_t index = 0; index < content.size(); ++index) {
    const JsonField part = content[index];
    const std::string_view type = part["type"].string();
    if (type == "refusal") {
      parts.push_back({.text = std::string(part["refusal"].string())});
      continue;
    }
    if (type != "input_text" && type != "output_text" && type != "text")
      part["type"].fail("input_text or output_text: this model only reads text");
    parts.push_back({.text = std::string(part["text"].string())});
  }
  if (parts.empty()) content.fail("at least one part");
  return parts;
}

std::string reasoning_of(const JsonField& item) {
  std::string text;
  for (const std::string_view key : {"content", "summary"}) {
    const JsonField parts = item[key];
    for (int64_t index = 0; parts.has_value() && index < parts.size(); ++index) text += parts[index]["text"].string();
    if (!text.empty()) break;
  }
  return text;
}

// An assistant's message that reasoning, text and calls are put into, as they come.
text::Message& assistant(std::vector<text::Message>& messages, bool fresh) {
  if (fresh || messages.empty() || messages.back().role != text::Role::kAssistant)
    messages.push_back({.role = text::Role::kAssistant});
  return messages.back();
}

void add_item(const JsonField& item, std::vector<text::Message>& messages) {
  const std::string_view type = item["type"].string_or("message");
  if (type == "message") {
    const text::Role role = role_of(item["role"]);
    std::vector<text::ContentPart> content = content_of(item["content"]);
    if (role != text::Role::kAssistant) return messages.push_back({.role = role, .content = std::move(content)});
    // Goes with the reasoning before it.
    const bool open = !messages.empty() && messages.back().role == text::Role::kAssistant &&
                      messages.back().content.empty() && messages.back().tool_calls.empty();
    assistant(messages, !open).content = std::move(content);
  } else if (type == "reasoning") {
    assistant(messages, true).reasoning = reasoning_of(item);
  } else if (type == "function_call") {
    const std::string arguments(item["arguments"].string());
    const json::value parsed = io::parse_json(arguments.empty() ? "{}" : arguments, item["arguments"].path());
    if (!parsed.is_object()) item["arguments"].fail("a JSON object as text");
    assistant(messages, false)
        .tool_calls.push_back({.id = std::string(item["call_id"].string()),
                               .name = std::string(item["name"].string()),
                               .arguments = io::write_json(parsed, io::JsonStyle::kPython)});
  } else if (type == "function_call_output") {
    text::Message message{.role = text::Role::kTool, .content = content_of(item["output"])};
    message.tool_call_id = item["call_id"].string();
    messages.push_back(std::move(message));
  } else {
    item["type"].fail("message, reasoning, function_call or function_call_output");
  }
}

std::vector<text::Message> read_input(const JsonField& input) {
  if (input.is_string()) return {text::text_message(text::Role::kUser, std::string(input.string()))};
  if (!input.is_array()) input.fail("a text or a list of items");
  std::vector<text::Message> messages;
  for (int64_t index = 0; index < input.size(); ++index) add_item(input[index], messages);
  return messages;
}

// What of the request a response tells back, as the SDK's type wants it.
json::object echo_of(const JsonField& root, const engine::Request& request) {
  const auto or_null = [&](std::string_view key) {
    return root[key].has_value() ? root[key].value() : json::value(nullptr);
  };
  const auto or_else = [&](std::string_view key, json::value fallback) {
    return root[key].has_value() ? root[key].value() : std::move(fallback);
  };
  const JsonField text = root["text"], reasoning = root["reasoning"];
  json::object echo;
  echo["instructions"] = or_null("instructions");
  echo["max_output_tokens"] = or_null("max_output_tokens");
  echo["metadata"] = or_else("metadata", json::object());
  echo["parallel_tool_calls"] = root["parallel_tool_calls"].boolean_or(true);
  echo["previous_response_id"] = or_null("previous_response_id");
  echo["reasoning"] =
      reasoning.has_value() ? reasoning.value() : json::value(json::object{{"effort", nullptr}, {"summary", nullptr}});
  echo["store"] = root["store"].boolean_or(true);
  echo["temperature"] = static_cast<double>(request.sampling.temperature);
  echo["text"] =
      text.has_value() ? text.value() : json::value(json::object{{"format", json::object{{"type", "text"}}}});
  echo["tool_choice"] = or_else("tool_choice", "auto");
  echo["tools"] = or_else("tools", json::array());
  echo["top_p"] = static_cast<double>(request.sampling.top_p);
  echo["truncation"] = or_else("truncation", "disabled");
  echo["user"] = or_null("user");
  return echo;
}

}  // namespace

ResponsesCall read_responses(const JsonField& root, const ServedModel& model, const ResponseStore& store) {
  check_model_name(root, model);
  if (root["background"].boolean_or(false)) root["background"].fail("false: requests run while their client waits");
  Conversation conversation;
  if (root["previous_response_id"].has_value()) {
    const std::string id(root["previous_response_id"].string());
    const auto previous = store.find(id);
    if (!previous) throw ApiError(404, "the response \"" + id + "\" is not stored here", "previous_response_id");
    conversation.messages = previous->conversation;
  }
  for (text::Message& message : read_input(root["input"])) conversation.messages.push_back(std::move(message));
  if (conversation.messages.empty()) root["input"].fail("at least one item");
  conversation.tools = text::tools_from_json(root["tools"]);
  conversation.tool_choice = read_tool_choice(root["tool_choice"], conversation.tools);
  conversation.tool_choice.parallel = root["parallel_tool_calls"].boolean_or(true);

  ResponsesCall call;
  engine::Request& request = call.spec.request;
  request.sampling = read_sampling(root, model);
  read_engine_fields(root, model, request);
  request.max_tokens = root["max_output_tokens"].integer_or(model.max_answer_tokens, 1, int64_t{1} << 40);
  request.max_thinking_tokens = read_thinking_budget(root, model);

  ResponsesFormat& format = call.format;
  format.id = new_id("resp_");
  const StreamOptions stream = read_stream_options(root);
  format.stream = stream.stream;
  format.obfuscate = stream.obfuscate;
  format.store = root["store"].boolean_or(true);
  request.sampling.top_logprobs = root["top_logprobs"].integer_or(0, 0, 20);
  const JsonField include = root["include"];
  for (int64_t index = 0; include.has_value() && index < include.size(); ++index)
    format.logprobs = format.logprobs || include[index].string() == "message.output_text.logprobs";

  AnswerTextOptions& text = call.spec.text;
  text.stop = read_stop(root["stop"]);
  text.reports = format.logprobs;
  text.parser.parse_tool_calls =
      !conversation.tools.empty() && conversation.tool_choice.mode != ToolChoice::Mode::kNone;
  text.parser.tool_calls = {.stream_arguments = false, .id_seed = random_seed()};
  call.spec.parallel_tool_calls = conversation.tool_choice.parallel;
  std::shared_ptr<const engine::TokenControl> constraint;
  if (root["text"].has_value()) constraint = read_format(root["text"]["format"], *model.constraints);
  request.constraint = whole_constraint(std::move(constraint), conversation, *model.constraints);

  format.echo = echo_of(root, request);
  format.conversation = conversation.messages;
  const std::string_view instructions = root["instructions"].string_or("");
  if (!instructions.empty())
    conversation.messages.insert(conversation.messages.begin(),
                                 text::text_message(text::Role::kSystem, std::string(instructions)));
  set_prompt(call.spec, conversation, render(conversation, model), model);
  return call;
}

void responses(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const json::value body = read_body(*exchange, service);
  ResponsesCall call = read_responses(JsonField(body, "request"), service.model, *service.responses);
  const std::string id = call.format.id;
  auto writer = responses_writer(service.model, std::move(call.format), exchange, service.responses);
  start_job(service, std::move(call.spec), std::move(writer), exchange, id);
}

void show_response(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const std::string id = exchange->request().path.substr(kPath.size());
  const auto entry = service.responses->find(id);
  if (!entry) throw ApiError(404, "the response \"" + id + "\" is not stored here", "response_id");
  exchange->respond({.body = entry->body});
}

void drop_response(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const std::string id = exchange->request().path.substr(kPath.size());
  if (!service.responses->drop(id))
    throw ApiError(404, "the response \"" + id + "\" is not stored here", "response_id");
  respond_json(*exchange, json::object{{"id", id}, {"object", "response"}, {"deleted", true}});
}

}  // namespace minimax::server
