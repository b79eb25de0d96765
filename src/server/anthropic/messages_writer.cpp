#include "server/anthropic/messages.h"

namespace minimax::server {
namespace {

using Kind = text::OutputEvent::Kind;
namespace json = io::json;

std::string_view stop_reason(const AnswerFinish& finish) {
  switch (finish.reason) {
    case engine::FinishReason::kStopString:
      return "stop_sequence";
    case engine::FinishReason::kLength:
      return "max_tokens";
    case engine::FinishReason::kToolCalls:
      return "tool_use";
    case engine::FinishReason::kStopToken:
      return "end_turn";
    default:
      return "pause_turn";  // ended from outside: the turn can be gone on with
  }
}

json::object usage_of(const engine::Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.generated_tokens}};
}

json::value stop_sequence(const AnswerFinish& finish) {
  return finish.stop_string ? json::value(*finish.stop_string) : json::value(nullptr);
}

// {"type": "toolu_..."}: their clients expect ids of this form.
std::string tool_use_id(std::string_view call_id) {
  return "toolu_" + std::string(call_id.starts_with("call_") ? call_id.substr(5) : call_id);
}

json::object text_block(std::string_view text) {
  return {{"type", "text"}, {"text", text}};
}
json::object thinking_block(std::string_view thinking) {
  return {{"type", "thinking"}, {"thinking", thinking}, {"signature", ""}};
}

json::object message_object(const ServedModel& model, const MessagesFormat& format) {
  return {{"id", format.id}, {"type", "message"}, {"role", "assistant"}, {"model", model.name()}};
}

class WholeMessage : public AnswerWriter {
 public:
  WholeMessage(const ServedModel& model, MessagesFormat format, std::shared_ptr<Exchange> exchange)
      : model_(model), format_(std::move(format)), exchange_(std::move(exchange)) {}

  void begin() override {}
  void piece(int64_t, const AnswerText::Step& step) override { output_.add(step.events); }
  void end(const AnswerFinish& finish) override { finish_ = finish; }
  void done(const engine::Usage& usage) override {
    json::array content;
    if (output_.reasoning && format_.thinking) content.emplace_back(thinking_block(*output_.reasoning));
    if (!output_.content.empty()) content.emplace_back(text_block(output_.content));
    for (const text::ToolCall& call : output_.tool_calls)
      content.emplace_back(json::object{{"type", "tool_use"},
                                        {"id", tool_use_id(call.id)},
                                        {"name", call.name},
                                        {"input", io::parse_json(call.arguments, "arguments")}});
    json::object root = message_object(model_, format_);
    root["content"] = std::move(content);
    root["stop_reason"] = stop_reason(finish_);
    root["stop_sequence"] = stop_sequence(finish_);
    root["usage"] = usage_of(usage);
    exchange_->respond({.body = io::write_json(root)});
  }
  void failed(const ApiError& error) override { exchange_->respond(error_response(error, ApiStyle::kAnthropic)); }

 private:
  const ServedModel& model_;
  MessagesFormat format_;
  std::shared_ptr<Exchange> exchange_;
  text::ParsedOutput output_;
  AnswerFinish finish_;
};

class StreamedMessage : public AnswerWriter {
 public:
  StreamedMessage(const ServedModel& model, MessagesFormat format, std::shared_ptr<Exchange> exchange,
                  int64_t prompt_tokens)
      : model_(model), format_(std::move(format)), sse_(std::move(exchange)), prompt_tokens_(prompt_tokens) {}

  void begin() override {
    sse_.begin();
    json::object message = message_object(model_, format_);
    message["content"] = json::array();
    message["stop_reason"] = nullptr;
    message["stop_sequence"] = nullptr;
    // What of the prompt was cached is known only later; message_delta has the final figures.
    message["usage"] = usage_of({.prompt_tokens = prompt_tokens_});
    event("message_start", {{"message", std::move(message)}});
  }

  void piece(int64_t, const AnswerText::Step& step) override {
    for (const text::OutputEvent& part : step.events) {
      switch (part.kind) {
        case Kind::kReasoning:
          if (!format_.thinking) break;
          open(Block::kThinking, [] { return thinking_block(""); });
          delta({{"type", "thinking_delta"}, {"thinking", part.text}});
          break;
        case Kind::kContent:
          open(Block::kText, [] { return text_block(""); });
          delta({{"type", "text_delta"}, {"text", part.text}});
          break;
        case Kind::kToolCallBegin:
          close();
          open(Block::kTool, [&] {
            return json::object{
                {"type", "tool_use"}, {"id", tool_use_id(part.id)}, {"name", part.name}, {"input", json::object()}};
          });
          break;
        case Kind::kToolCallArguments:
          delta({{"type", "input_json_delta"}, {"partial_json", part.text}});
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
    event("message_delta",
          {{"delta", json::object{{"stop_reason", stop_reason(finish_)}, {"stop_sequence", stop_sequence(finish_)}}},
           {"usage", usage_of(usage)}});
    event("message_stop", {});
    sse_.finish();
  }

  void failed(const ApiError& error) override {
    sse_.send(error_body(error, ApiStyle::kAnthropic), "error");
    sse_.finish();
  }
  void keep_alive() override { event("ping", {}); }

 private:
  enum class Block : uint8_t { kNone, kThinking, kText, kTool };

  void event(std::string_view type, json::object fields) {
    json::object root{{"type", type}};
    for (auto& field : fields) root.insert_or_assign(field.key(), std::move(field.value()));
    sse_.send(io::write_json(root), type);
  }
  template <typename Make>
  void open(Block block, Make&& make) {
    if (block_ == block) return;
    close();
    block_ = block;
    event("content_block_start", {{"index", index_}, {"content_block", make()}});
  }
  void delta(json::object what) { event("content_block_delta", {{"index", index_}, {"delta", std::move(what)}}); }
  void close() {
    if (block_ == Block::kNone) return;
    block_ = Block::kNone;
    event("content_block_stop", {{"index", index_++}});
  }

  const ServedModel& model_;
  MessagesFormat format_;
  SseStream sse_;
  int64_t prompt_tokens_;
  Block block_ = Block::kNone;
  int64_t index_ = 0;
  AnswerFinish finish_;
};

}  // namespace

std::unique_ptr<AnswerWriter> messages_writer(const ServedModel& model, MessagesFormat format,
                                              std::shared_ptr<Exchange> exchange, int64_t prompt_tokens) {
  if (format.stream)
    return std::make_unique<StreamedMessage>(model, std::move(format), std::move(exchange), prompt_tokens);
  return std::make_unique<WholeMessage>(model, std::move(format), std::move(exchange));
}

}  // namespace minimax::server
