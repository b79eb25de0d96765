// Job: one request on its way through the engine: reads its tokens and tells its writer.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "server/api/answer_spec.h"
#include "server/api/answer_writer.h"

namespace minimax::server {

/// Text work runs on the engine's thread: some microseconds a token, and stop strings end an answer at their token.
/// Writers only queue bytes, so no client can hold the batch up.
class Job : public engine::Listener, public std::enable_shared_from_this<Job> {
 public:
  using Over = std::function<void(const engine::Usage&)>;

  Job(const ServedModel& model, AnswerSpec spec, std::unique_ptr<AnswerWriter> writer,
      std::shared_ptr<Exchange> exchange);

  /// Hands the request to the engine. Throws as Engine::submit does; then nothing was answered yet. `over` is called
  /// once when the engine is done with it.
  engine::RequestId start(Over over = {});

  /// Ends the answer with an error now. What the engine still says of it is not heard.
  void abort(const ApiError& error);

  void on_prompt(int64_t done, int64_t total) override;
  void on_prompt_logprobs(const std::vector<engine::PromptToken>& tokens) override;
  engine::FinishReason on_token(const engine::Token& token) override;
  engine::FinishReason on_candidate(const engine::Token& token) override;
  void on_finish(const engine::AnswerEnd& end) override;
  void on_done(const engine::Usage& usage) override;

 private:
  void begin();
  bool is_stop(const engine::Token& token) const;
  engine::FinishReason wish(const AnswerText::Step& step) const;

  const ServedModel& model_;
  AnswerSpec spec_;
  std::shared_ptr<Exchange> exchange_;
  Over over_;

  std::mutex mutex_;  // begin() comes from the thread that submits, the rest from the engine's
  std::unique_ptr<AnswerWriter> writer_;
  bool begun_ = false, aborted_ = false, done_ = false;
  std::vector<AnswerText> answers_;
  std::vector<AnswerText> candidates_;  // with best_of: read while they are made, since their texts may end them
  std::optional<ApiError> failure_;
  std::chrono::steady_clock::time_point last_word_;
};

}  // namespace minimax::server
