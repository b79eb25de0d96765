#include "server/openai/chat_writer.h"

#include "server/openai/objects.h"

namespace minimax::server {
namespace {

using Kind = text::OutputEvent::Kind;
namespace json = io::json;

void add_reasoning(json::object& to, std::string_view text, ReasoningFields fields) {
  if (fields != ReasoningFields::kReasoning) to["reasoning_content"] = text;
  if (fields != ReasoningFields::kReasoningContent) to["reasoning"] = text;
}

std::string_view finish_word(engine::FinishReason reason, const ChatFormat& format) {
  if (format.old_calls && reason == engine::FinishReason::kToolCalls) return "function_call";
  return engine::openai_name(reason);
}

// What both forms begin with.
json::object envelope(const ServedModel& model, const ChatFormat& format, std::string_view object, int64_t created) {
  return {{"id", format.id}, {"object", object}, {"created", created}, {"model", model.name()}};
}

class WholeChat : public AnswerWriter {
 public:
  WholeChat(const ServedModel& model, ChatFormat format, std::shared_ptr<Exchange> exchange)
      : model_(model), format_(std::move(format)), exchange_(std::move(exchange)), choices_(format_.n) {}

  void begin() override {}
  void piece(int64_t answer, const AnswerText::Step& step) override {
    Choice& choice = choices_[static_cast<size_t>(answer)];
    choice.output.add(step.events);
    for (const TokenReport& token : step.tokens) choice.logprobs.emplace_back(chat_logprob(model_.tokenizer, token));
  }
  void end(const AnswerFinish& finish) override { choices_[static_cast<size_t>(finish.answer)].finish = finish; }

  void done(const engine::Usage& usage) override {
    json::object root = envelope(model_, format_, "chat.completion", unix_seconds());
    json::array choices;
    for (Choice& choice : choices_) choices.emplace_back(choice_object(choice));
    root["choices"] = std::move(choices);
    root["usage"] = usage_object(usage);
    root["timings"] = timings_object(usage);
    root["system_fingerprint"] = nullptr;
    exchange_->respond({.body = io::write_json(root)});
  }
  void failed(const ApiError& error) override { exchange_->respond(error_response(error, ApiStyle::kOpenAi)); }

 private:
  struct Choice {
    text::ParsedOutput output;
    json::array logprobs;
    AnswerFinish finish;
  };

  json::object choice_object(Choice& choice) {
    text::ParsedOutput& output = choice.output;
    json::object message{{"role", "assistant"}};
    message["content"] =
        output.content.empty() && !output.tool_calls.empty() ? json::value(nullptr) : json::value(output.content);
    message["refusal"] = nullptr;
    if (output.reasoning && format_.reasoning.include)
      add_reasoning(message, *output.reasoning, model_.reasoning_fields);
    if (!output.tool_calls.empty() && format_.old_calls) {
      const text::ToolCall& call = output.tool_calls.front();
      message["function_call"] = json::object{{"name", call.name}, {"arguments", call.arguments}};
    } else if (!output.tool_calls.empty()) {
      json::array calls;
      for (const text::ToolCall& call : output.tool_calls)
        calls.emplace_back(
            json::object{{"id", call.id},
                         {"type", "function"},
                         {"function", json::object{{"name", call.name}, {"arguments", call.arguments}}}});
      message["tool_calls"] = std::move(calls);
    }
    json::object object{{"index", choice.finish.answer}};
    object["message"] = std::move(message);
    object["logprobs"] = format_.logprobs
                             ? json::value(json::object{{"content", std::move(choice.logprobs)}, {"refusal", nullptr}})
                             : json::value(nullptr);
    object["finish_reason"] = finish_word(choice.finish.reason, format_);
    if (choice.finish.stop_string) object["stop_reason"] = *choice.finish.stop_string;
    return object;
  }

  const ServedModel& model_;
  ChatFormat format_;
  std::shared_ptr<Exchange> exchange_;
  std::vector<Choice> choices_;
};

class StreamedChat : public AnswerWriter {
 public:
  StreamedChat(const ServedModel& model, ChatFormat format, std::shared_ptr<Exchange> exchange)
      : model_(model),
        format_(std::move(format)),
        created_(unix_seconds()),
        sse_(std::move(exchange), format_.obfuscate),
        begun_(static_cast<size_t>(format_.n), false),
        open_(format_.n) {}

  void begin() override { sse_.begin(); }

  void piece(int64_t answer, const AnswerText::Step& step) override {
    open(answer);
    json::array logprobs;
    for (const TokenReport& token : step.tokens) logprobs.emplace_back(chat_logprob(model_.tokenizer, token));
    for (const text::OutputEvent& event : step.events) {
      json::object delta = delta_of(event);
      if (delta.empty()) continue;
      const bool content = event.kind == Kind::kContent;
      chunk(answer, std::move(delta), content ? std::move(logprobs) : json::array(), nullptr);
      if (content) logprobs.clear();
    }
    if (!logprobs.empty()) chunk(answer, {}, std::move(logprobs), nullptr);
  }

  void end(const AnswerFinish& finish) override {
    open(finish.answer);
    // The last one waits for the timings.
    if (--open_ == 0)
      last_ = finish;
    else
      chunk(finish.answer, {}, {}, json::value(finish_word(finish.reason, format_)));
  }

  void done(const engine::Usage& usage) override {
    json::object timings = timings_object(usage);
    if (last_) chunk(last_->answer, {}, {}, json::value(finish_word(last_->reason, format_)), &timings);
    if (format_.include_usage) {
      json::object root = envelope(model_, format_, "chat.completion.chunk", created_);
      root["choices"] = json::array();
      root["usage"] = usage_object(usage);
      root["timings"] = std::move(timings);
      sse_.send(io::write_json(root));
    }
    sse_.send("[DONE]");
    sse_.finish();
  }

  void failed(const ApiError& error) override {
    sse_.send(error_body(error, ApiStyle::kOpenAi));
    sse_.send("[DONE]");
    sse_.finish();
  }
  void keep_alive() override { sse_.comment(); }

 private:
  void open(int64_t answer) {
    if (begun_[static_cast<size_t>(answer)]) return;
    begun_[static_cast<size_t>(answer)] = true;
    chunk(answer, {{"role", "assistant"}, {"content", ""}}, {}, nullptr);
  }

  json::object delta_of(const text::OutputEvent& event) const {
    const auto call = [&](json::object function) {
      if (format_.old_calls) return json::object{{"function_call", std::move(function)}};
      json::object object{{"index", event.call}};
      if (event.kind == Kind::kToolCallBegin) {
        object["id"] = event.id;
        object["type"] = "function";
      }
      object["function"] = std::move(function);
      return json::object{{"tool_calls", json::array{json::value(std::move(object))}}};
    };
    switch (event.kind) {
      case Kind::kContent:
        return {{"content", event.text}};
      case Kind::kReasoning: {
        json::object delta;
        if (format_.reasoning.include) add_reasoning(delta, event.text, model_.reasoning_fields);
        return delta;
      }
      case Kind::kToolCallBegin:
        return call({{"name", event.name}, {"arguments", ""}});
      case Kind::kToolCallArguments:
        return call({{"arguments", event.text}});
      case Kind::kToolCallEnd:
      case Kind::kToolCallAbort:
        return {};
    }
    return {};
  }

  void chunk(int64_t answer, json::object delta, json::array logprobs, json::value finish,
             const json::object* timings = nullptr) {
    json::object choice{{"index", answer}};
    choice["delta"] = std::move(delta);
    choice["logprobs"] = logprobs.empty()
                             ? json::value(nullptr)
                             : json::value(json::object{{"content", std::move(logprobs)}, {"refusal", nullptr}});
    choice["finish_reason"] = std::move(finish);
    json::object root = envelope(model_, format_, "chat.completion.chunk", created_);
    json::array choices;
    choices.emplace_back(std::move(choice));
    root["choices"] = std::move(choices);
    if (format_.include_usage) root["usage"] = nullptr;
    if (timings) root["timings"] = *timings;
    sse_.send(io::write_json(root));
  }

  const ServedModel& model_;
  ChatFormat format_;
  int64_t created_;
  SseStream sse_;
  std::vector<bool> begun_;
  int64_t open_;
  std::optional<AnswerFinish> last_;
};

}  // namespace

std::unique_ptr<AnswerWriter> chat_writer(const ServedModel& model, ChatFormat format,
                                          std::shared_ptr<Exchange> exchange) {
  if (format.stream) return std::make_unique<StreamedChat>(model, std::move(format), std::move(exchange));
  return std::make_unique<WholeChat>(model, std::move(format), std::move(exchange));
}

}  // namespace minimax::server
