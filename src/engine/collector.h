// Collector: a Listener that keeps everything, for callers who want whole answers.
#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "engine/request.h"

namespace minimax::engine {

/// Give one to Engine::submit, then wait() (or step the engine by hand) and read the members.
class Collector : public Listener {
 public:
  struct Answer {
    std::vector<int32_t> ids;
    std::vector<float> log_probs;  ///< of each id, as Sampled::log_prob
    std::vector<Token> tokens;     ///< with everything else
    AnswerEnd end;
  };

  /// Returns when the request is done; only where another thread runs the engine.
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_; });
  }
  bool done() const {
    const std::lock_guard lock(mutex_);
    return done_;
  }

  void on_prompt_logprobs(const std::vector<PromptToken>& tokens) override { prompt = tokens; }
  FinishReason on_token(const Token& token) override {
    Answer& to = at(token.answer);
    to.ids.push_back(token.sampled.id);
    to.log_probs.push_back(token.sampled.log_prob);
    to.tokens.push_back(token);
    return FinishReason::kNone;
  }
  void on_finish(const AnswerEnd& end) override { at(end.answer).end = end; }
  void on_done(const Usage& all) override {
    const std::lock_guard lock(mutex_);
    usage = all;
    done_ = true;
    changed_.notify_all();
  }

  // Written by the engine's thread until done.
  std::vector<Answer> answers;
  std::vector<PromptToken> prompt;
  Usage usage;

 private:
  Answer& at(int64_t answer) {
    if (answers.size() <= static_cast<size_t>(answer)) answers.resize(static_cast<size_t>(answer) + 1);
    return answers[static_cast<size_t>(answer)];
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
};

}  // namespace minimax::engine
