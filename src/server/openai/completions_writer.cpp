#include <map>

#include "server/openai/completions.h"
#include "server/openai/objects.h"

namespace minimax::server {
namespace {

namespace json = io::json;

// The four parallel lists of a choice's log-probs.
class LogprobLists {
 public:
  explicit LogprobLists(const text::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void add(int32_t id, std::optional<float> log_prob, const std::vector<engine::TokenLogProb>& top) {
    const std::string text = token_text(tokenizer_, id);
    tokens_.emplace_back(text);
    offsets_.emplace_back(offset_);
    for (const char c : text) offset_ += (static_cast<unsigned char>(c) & 0xC0) != 0x80;  // characters
    if (!log_prob) {
      log_probs_.emplace_back(nullptr);
      top_.emplace_back(nullptr);
      return;
    }
    log_probs_.emplace_back(finite_logprob(*log_prob));
    json::object best;
    for (const engine::TokenLogProb& other : top)
      if (other.id < tokenizer_.vocab_size()) best[token_text(tokenizer_, other.id)] = finite_logprob(other.log_prob);
    top_.emplace_back(std::move(best));
  }
  bool empty() const { return tokens_.empty(); }
  /// What came since the last time.
  json::object take() {
    json::object out{{"tokens", std::move(tokens_)},
                     {"token_logprobs", std::move(log_probs_)},
                     {"top_logprobs", std::move(top_)},
                     {"text_offset", std::move(offsets_)}};
    tokens_ = log_probs_ = top_ = offsets_ = json::array();
    return out;
  }

 private:
  const text::Tokenizer& tokenizer_;
  json::array tokens_, log_probs_, top_, offsets_;
  int64_t offset_ = 0;
};

class CompletionsWriter : public AnswerWriter {
 public:
  CompletionsWriter(const ServedModel& model, CompletionsFormat format, std::shared_ptr<Exchange> exchange)
      : model_(model),
        format_(std::move(format)),
        created_(unix_seconds()),
        exchange_(exchange),
        sse_(exchange, format_.obfuscate) {
    for (int64_t choice = 0; choice < format_.prompts * format_.n; ++choice) {
      choices_.push_back({.logprobs = LogprobLists(model.tokenizer)});
      if (!format_.echo.empty()) choices_.back().text = format_.echo[static_cast<size_t>(choice / format_.n)];
    }
  }

  void begin() override {
    if (format_.stream) sse_.begin();
  }

  void prompt(int64_t prompt, const std::vector<engine::PromptToken>& tokens) override {
    for (int64_t answer = 0; answer < format_.n; ++answer) {
      LogprobLists& lists = choices_[static_cast<size_t>(prompt * format_.n + answer)].logprobs;
      for (size_t at = 0; at < tokens.size(); ++at)
        lists.add(tokens[at].id, at == 0 ? std::nullopt : std::optional(tokens[at].log_prob), tokens[at].top);
    }
  }

  void piece(int64_t answer, const AnswerText::Step& step) override {
    Choice& choice = choices_[static_cast<size_t>(answer)];
    for (const text::OutputEvent& event : step.events) choice.text += event.text;
    for (const TokenReport& token : step.tokens) choice.logprobs.add(token.id, token.log_prob, token.top);
    if (format_.stream) chunk(answer, nullptr);
  }

  void end(const AnswerFinish& finish) override {
    Choice& choice = choices_[static_cast<size_t>(finish.answer)];
    choice.finish = finish;
    if (format_.stream) chunk(finish.answer, json::value(engine::openai_name(finish.reason)));
  }

  void done(const engine::Usage& usage) override {
    if (!format_.stream) {
      json::object root = envelope();
      json::array choices;
      for (size_t choice = 0; choice < choices_.size(); ++choice) {
        const engine::FinishReason reason = choices_[choice].finish.reason;
        choices.emplace_back(take(static_cast<int64_t>(choice), json::value(engine::openai_name(reason))));
      }
      root["choices"] = std::move(choices);
      root["usage"] = usage_object(usage);
      root["timings"] = timings_object(usage);
      return exchange_->respond({.body = io::write_json(root)});
    }
    if (format_.include_usage) {
      json::object root = envelope();
      root["choices"] = json::array();
      root["usage"] = usage_object(usage);
      root["timings"] = timings_object(usage);
      sse_.send(io::write_json(root));
    }
    sse_.send("[DONE]");
    sse_.finish();
  }

  void failed(const ApiError& error) override {
    if (!format_.stream) return exchange_->respond(error_response(error, ApiStyle::kOpenAi));
    sse_.send(error_body(error, ApiStyle::kOpenAi));
    sse_.send("[DONE]");
    sse_.finish();
  }
  void keep_alive() override {
    if (format_.stream) sse_.comment();
  }

 private:
  struct Choice {
    std::string text = {};  // not sent yet
    LogprobLists logprobs;
    AnswerFinish finish = {};
  };

  json::object envelope() const {
    return {{"id", format_.id}, {"object", "text_completion"}, {"created", created_}, {"model", model_.name()}};
  }

  json::object take(int64_t index, json::value finish) {
    Choice& choice = choices_[static_cast<size_t>(index)];
    json::object object{{"index", index}, {"text", std::exchange(choice.text, {})}};
    object["logprobs"] = format_.logprobs ? json::value(choice.logprobs.take()) : json::value(nullptr);
    object["finish_reason"] = std::move(finish);
    if (choice.finish.stop_string) object["stop_reason"] = *choice.finish.stop_string;
    return object;
  }

  void chunk(int64_t index, json::value finish) {
    json::object root = envelope();
    json::array choices;
    choices.emplace_back(take(index, std::move(finish)));
    root["choices"] = std::move(choices);
    if (format_.include_usage) root["usage"] = nullptr;
    sse_.send(io::write_json(root));
  }

  const ServedModel& model_;
  CompletionsFormat format_;
  int64_t created_;
  std::shared_ptr<Exchange> exchange_;
  SseStream sse_;
  std::vector<Choice> choices_;
};

}  // namespace

std::unique_ptr<AnswerWriter> completions_writer(const ServedModel& model, CompletionsFormat format,
                                                 std::shared_ptr<Exchange> exchange) {
  return std::make_unique<CompletionsWriter>(model, std::move(format), std::move(exchange));
}

}  // namespace minimax::server
