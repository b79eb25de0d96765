#include "server/openai/objects.h"
#include "server/openai/responses.h"

namespace minimax::server {
namespace {

using Kind = text::OutputEvent::Kind;
namespace json = io::json;

// One piece of the output: reasoning, a message or a call. Both forms of an answer are made from a list of them.
struct Item {
  enum class Type : uint8_t { kReasoning, kMessage, kCall };
  Type type;
  std::string id;
  std::string text = {};  // or the arguments of the call
  std::string call_id = {}, name = {};
  json::array logprobs = {};
};

json::object text_part(const Item& item) {
  return {{"type", "output_text"}, {"text", item.text}, {"annotations", json::array()}, {"logprobs", item.logprobs}};
}

json::object item_object(const Item& item, std::string_view status) {
  json::object object{{"id", item.id}};
  switch (item.type) {
    case Item::Type::kReasoning:
      object["type"] = "reasoning";
      object["summary"] = json::array();
      object["content"] = json::array();
      if (!item.text.empty())
        object["content"].as_array().emplace_back(json::object{{"type", "reasoning_text"}, {"text", item.text}});
      break;
    case Item::Type::kMessage:
      object["type"] = "message";
      object["role"] = "assistant";
      object["content"] = json::array();
      if (status != "in_progress") object["content"].as_array().emplace_back(text_part(item));
      break;
    case Item::Type::kCall:
      object["type"] = "function_call";
      object["call_id"] = item.call_id;
      object["name"] = item.name;
      object["arguments"] = item.text;
      break;
  }
  object["status"] = status;
  return object;
}

json::object usage_of(const engine::Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", json::object{{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.generated_tokens},
          {"output_tokens_details", json::object{{"reasoning_tokens", usage.reasoning_tokens}}},
          {"total_tokens", usage.prompt_tokens + usage.generated_tokens}};
}

class ResponsesWriter : public AnswerWriter {
 public:
  ResponsesWriter(const ServedModel& model, ResponsesFormat format, std::shared_ptr<Exchange> exchange,
                  std::shared_ptr<ResponseStore> store)
      : model_(model),
        format_(std::move(format)),
        created_(unix_seconds()),
        exchange_(exchange),
        sse_(exchange, format_.obfuscate),
        store_(std::move(store)) {}

  void begin() override {
    if (!format_.stream) return;
    sse_.begin();
    event("response.created", {{"response", response("in_progress")}});
    event("response.in_progress", {{"response", response("in_progress")}});
  }

  void piece(int64_t, const AnswerText::Step& step) override {
    json::array logprobs;
    for (const TokenReport& token : step.tokens) logprobs.emplace_back(chat_logprob(model_.tokenizer, token));
    for (const text::OutputEvent& part : step.events) {
      switch (part.kind) {
        case Kind::kReasoning:
          open(Item::Type::kReasoning, "rs_");
          add("response.reasoning_text.delta", part.text, {{"content_index", 0}});
          break;
        case Kind::kContent:
          open(Item::Type::kMessage, "msg_");
          for (json::value& logprob : logprobs) item().logprobs.push_back(logprob);
          add("response.output_text.delta", part.text,
              {{"content_index", 0}, {"logprobs", std::exchange(logprobs, json::array())}});
          break;
        case Kind::kToolCallBegin:
          close();
          open(Item::Type::kCall, "fc_", &part);
          break;
        case Kind::kToolCallArguments:
          add("response.function_call_arguments.delta", part.text, {});
          break;
        case Kind::kToolCallEnd:
        case Kind::kToolCallAbort:
          close();
          break;
      }
    }
  }

  void end(const AnswerFinish& finish) override {
    close();
    finish_ = finish;
  }

  void done(const engine::Usage& usage) override {
    const bool whole = finish_.reason != engine::FinishReason::kLength &&
                       finish_.reason != engine::FinishReason::kCancelled &&
                       finish_.reason != engine::FinishReason::kDeadline;
    const std::string_view status = whole ? "completed" : "incomplete";
    json::object root = response(status);
    root["usage"] = usage_of(usage);
    if (!whole) {
      const bool length = finish_.reason == engine::FinishReason::kLength;
      root["incomplete_details"] =
          json::object{{"reason", length ? "max_output_tokens" : engine::to_string(finish_.reason)}};
    }
    const std::string body = io::write_json(root);
    if (format_.store) keep(body);
    if (!format_.stream) return exchange_->respond({.body = body});
    event("response." + std::string(status), {{"response", std::move(root)}});
    sse_.finish();
  }

  void failed(const ApiError& error) override {
    if (!format_.stream) return exchange_->respond(error_response(error, ApiStyle::kOpenAi));
    json::object root = response("failed");
    root["error"] = json::object{{"code", "server_error"}, {"message", error.what()}};
    event("response.failed", {{"response", std::move(root)}});
    sse_.finish();
  }
  void keep_alive() override {
    if (format_.stream) sse_.comment();
  }

 private:
  Item& item() { return items_.back(); }

  void event(std::string_view type, json::object fields) {
    if (!format_.stream) return;
    json::object root{{"type", type}, {"sequence_number", sequence_++}};
    for (auto& field : fields) root.insert_or_assign(field.key(), std::move(field.value()));
    sse_.send(io::write_json(root), type);
  }

  // An event about the open item.
  void item_event(std::string_view type, json::object fields) {
    fields["item_id"] = item().id;
    fields["output_index"] = items_.size() - 1;
    event(type, std::move(fields));
  }

  void open(Item::Type type, std::string_view prefix, const text::OutputEvent* call = nullptr) {
    if (open_ && item().type == type && !call) return;
    close();
    open_ = true;
    items_.push_back({.type = type, .id = new_id(prefix)});
    if (call) {
      item().call_id = call->id;
      item().name = call->name;
    }
    event("response.output_item.added",
          {{"output_index", items_.size() - 1}, {"item", item_object(item(), "in_progress")}});
    if (type == Item::Type::kMessage)
      item_event("response.content_part.added", {{"content_index", 0}, {"part", text_part(item())}});
  }

  void add(std::string_view type, const std::string& text, json::object fields) {
    item().text += text;
    fields["delta"] = text;
    item_event(type, std::move(fields));
  }

  void close() {
    if (!open_) return;
    open_ = false;
    switch (item().type) {
      case Item::Type::kReasoning:
        item_event("response.reasoning_text.done", {{"content_index", 0}, {"text", item().text}});
        break;
      case Item::Type::kMessage:
        item_event("response.output_text.done",
                   {{"content_index", 0}, {"text", item().text}, {"logprobs", item().logprobs}});
        item_event("response.content_part.done", {{"content_index", 0}, {"part", text_part(item())}});
        break;
      case Item::Type::kCall:
        item_event("response.function_call_arguments.done", {{"name", item().name}, {"arguments", item().text}});
        break;
    }
    event("response.output_item.done",
          {{"output_index", items_.size() - 1}, {"item", item_object(item(), "completed")}});
  }

  json::object response(std::string_view status) const {
    json::object root{{"id", format_.id}, {"object", "response"},          {"created_at", created_}, {"status", status},
                      {"error", nullptr}, {"incomplete_details", nullptr}, {"model", model_.name()}};
    json::array output;
    for (const Item& item : items_) output.emplace_back(item_object(item, "completed"));
    root["output"] = std::move(output);
    for (const auto& field : format_.echo) root[field.key()] = field.value();
    root["usage"] = nullptr;
    return root;
  }

  void keep(const std::string& body) {
    std::vector<text::Message> conversation = std::move(format_.conversation);
    text::Message answer{.role = text::Role::kAssistant};
    for (const Item& item : items_) {
      if (item.type == Item::Type::kReasoning) answer.reasoning = answer.reasoning.value_or("") + item.text;
      if (item.type == Item::Type::kMessage) answer.content.push_back({.text = item.text});
      if (item.type == Item::Type::kCall)
        answer.tool_calls.push_back({.id = item.call_id, .name = item.name, .arguments = item.text});
    }
    if (answer.content.empty() && answer.tool_calls.empty()) answer.content.push_back({.text = ""});
    conversation.push_back(std::move(answer));
    store_->put(format_.id, {.conversation = std::move(conversation), .body = body});
  }

  const ServedModel& model_;
  ResponsesFormat format_;
  const int64_t created_;
  std::shared_ptr<Exchange> exchange_;
  SseStream sse_;
  std::shared_ptr<ResponseStore> store_;
  std::vector<Item> items_;
  bool open_ = false;
  int64_t sequence_ = 0;
  AnswerFinish finish_;
};

}  // namespace

std::unique_ptr<AnswerWriter> responses_writer(const ServedModel& model, ResponsesFormat format,
                                               std::shared_ptr<Exchange> exchange,
                                               std::shared_ptr<ResponseStore> store) {
  return std::make_unique<ResponsesWriter>(model, std::move(format), std::move(exchange), std::move(store));
}

}  // namespace minimax::server
