// AnswerWriter: what happens to a request, put into the words of one API; SseStream: the wire form of event streams.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "server/api/answer_text.h"
#include "server/api/api_error.h"
#include "server/http/exchange.h"

namespace minimax::server {

/// How one of a request's answers ended.
struct AnswerFinish {
  int64_t answer = 0;
  engine::FinishReason reason = engine::FinishReason::kNone;  ///< kToolCalls where the answer has calls
  std::optional<std::string> stop_string = {};                ///< which one ended it
};

/// Told by Job, one call at a time, in this order: begin, pieces and ends mixed, done or failed.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;
  /// The engine has taken the request: a stream's headers may go out.
  virtual void begin() = 0;
  /// Log-probs of prompt number `prompt` of the call.
  virtual void prompt(int64_t prompt, const std::vector<engine::PromptToken>& tokens) { (void)prompt, (void)tokens; }
  virtual void piece(int64_t answer, const AnswerText::Step& step) = 0;
  virtual void end(const AnswerFinish& finish) = 0;
  virtual void done(const engine::Usage& usage) = 0;
  virtual void failed(const ApiError& error) = 0;
  /// Nothing was said for some seconds: keeps proxies from closing a stream.
  virtual void keep_alive() {}
};

/// Server-sent events over an exchange.
class SseStream {
 public:
  /// `obfuscate`: JSON objects get a member "obfuscation", which fills the event up to a multiple of 64 bytes.
  explicit SseStream(std::shared_ptr<Exchange> exchange, bool obfuscate = false)
      : exchange_(std::move(exchange)), obfuscate_(obfuscate) {}

  void begin();
  /// "data: {...}", with "event: name" before it when `event` is not empty.
  void send(std::string_view data, std::string_view event = {});
  void comment() { exchange_->send(": waiting\n\n"); }
  void finish() { exchange_->finish(); }

 private:
  std::shared_ptr<Exchange> exchange_;
  bool obfuscate_;
};

/// "chatcmpl-" and 24 random letters and digits.
std::string new_id(std::string_view prefix);
int64_t unix_seconds();

}  // namespace minimax::server
