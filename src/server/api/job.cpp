#include "server/api/job.h"

#include <algorithm>

#include "core/error.h"

namespace minimax::server {
namespace {

constexpr std::chrono::seconds kSilence{10};

ApiError failure_of(const engine::AnswerEnd& end) {
  return to_api_error(std::make_exception_ptr(Error(end.error_kind, end.error)));
}

}  // namespace

Job::Job(const ServedModel& model, AnswerSpec spec, std::unique_ptr<AnswerWriter> writer,
         std::shared_ptr<Exchange> exchange)
    : model_(model), spec_(std::move(spec)), exchange_(std::move(exchange)), writer_(std::move(writer)) {
  const auto read = [&](std::vector<AnswerText>& answers, int64_t count) {
    for (int64_t answer = 0; answer < count; ++answer) {
      AnswerTextOptions options = spec_.text;
      options.parser.tool_calls.id_seed += static_cast<uint64_t>(answer);
      answers.emplace_back(model.tokenizer, std::move(options));
    }
  };
  read(answers_, spec_.request.n);
  if (spec_.request.best_of > spec_.request.n) read(candidates_, spec_.request.best_of);
}

engine::RequestId Job::start(Over over) {
  // The engine would refuse it too; clients know this case by its code, or by OpenAI's words for it.
  const auto prompt_tokens = static_cast<int64_t>(spec_.request.prompt.size());
  const int64_t context = model_.engine->max_tokens();
  if (prompt_tokens + (spec_.request.max_tokens == 0 ? 0 : 1) > context)
    throw ApiError(400,
                   cat("This model's maximum context length is ", context, " tokens with the answer, the prompt has ",
                       prompt_tokens, "."),
                   "messages", "context_length_exceeded");
  over_ = std::move(over);
  last_word_ = std::chrono::steady_clock::now();
  engine::Request request = spec_.request;  // stop ids are still needed here
  const engine::RequestId id = model_.engine->submit(std::move(request), shared_from_this());
  spec_.request.prompt = {};
  {
    const std::lock_guard lock(mutex_);
    begin();
  }
  return id;
}

void Job::abort(const ApiError& error) {
  const std::lock_guard lock(mutex_);
  if (aborted_ || done_) return;
  aborted_ = true;
  begin();
  exchange_->note("shutdown", 1);
  writer_->failed(error);
}

// Under the mutex.
void Job::begin() {
  if (begun_) return;
  begun_ = true;
  writer_->begin();
}

void Job::on_prompt(int64_t, int64_t) {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (aborted_ || now - last_word_ < kSilence) return;
  begin();
  writer_->keep_alive();
  last_word_ = now;
}

void Job::on_prompt_logprobs(const std::vector<engine::PromptToken>& tokens) {
  const std::lock_guard lock(mutex_);
  if (aborted_) return;
  begin();
  writer_->prompt(0, tokens);
}

bool Job::is_stop(const engine::Token& token) const {
  const std::vector<int32_t>& stops = spec_.request.stop_ids;
  return std::find(stops.begin(), stops.end(), token.sampled.id) != stops.end();
}

engine::FinishReason Job::wish(const AnswerText::Step& step) const {
  if (step.stopped) return engine::FinishReason::kStopString;
  if (step.call_ended && !spec_.parallel_tool_calls) return engine::FinishReason::kToolCalls;
  return engine::FinishReason::kNone;
}

engine::FinishReason Job::on_candidate(const engine::Token& token) {
  const std::lock_guard lock(mutex_);
  if (aborted_) return engine::FinishReason::kCancelled;
  if (is_stop(token)) return engine::FinishReason::kNone;
  return wish(candidates_[static_cast<size_t>(token.answer)].push(token.sampled));
}

engine::FinishReason Job::on_token(const engine::Token& token) {
  const std::lock_guard lock(mutex_);
  if (aborted_) return engine::FinishReason::kCancelled;
  begin();
  if (is_stop(token)) return engine::FinishReason::kNone;
  AnswerText& answer = answers_[static_cast<size_t>(token.answer)];
  const AnswerText::Step step = answer.push(token.sampled);
  if (!step.empty()) {
    writer_->piece(token.answer, step);
    last_word_ = std::chrono::steady_clock::now();
  }
  return wish(step);
}

void Job::on_finish(const engine::AnswerEnd& end) {
  const std::lock_guard lock(mutex_);
  if (aborted_) return;
  begin();
  if (end.reason == engine::FinishReason::kError && !failure_) failure_ = failure_of(end);
  if (failure_) return;
  AnswerText& answer = answers_[static_cast<size_t>(end.answer)];
  // What follows the one call that was asked for is not wanted either.
  if (end.reason != engine::FinishReason::kToolCalls) {
    const AnswerText::Step step = answer.finish();
    if (!step.empty()) writer_->piece(end.answer, step);
  }
  AnswerFinish finish{.answer = end.answer, .reason = end.reason, .stop_string = answer.stop_string()};
  if (finish.reason == engine::FinishReason::kStopToken && answer.tool_calls() > 0)
    finish.reason = engine::FinishReason::kToolCalls;
  writer_->end(finish);
}

void Job::on_done(const engine::Usage& usage) {
  if (over_) over_(usage);  // before the client can know
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
    if (aborted_) return;
    begin();
    exchange_->note("prompt_tokens", usage.prompt_tokens);
    exchange_->note("cached_tokens", usage.cached_tokens);
    exchange_->note("completion_tokens", usage.generated_tokens);
    exchange_->note("queue_ms", static_cast<int64_t>(usage.queue_seconds * 1e3));
    exchange_->note("prefill_ms", static_cast<int64_t>(usage.prefill_seconds * 1e3));
    if (failure_)
      writer_->failed(*failure_);
    else
      writer_->done(usage);
  }
}

}  // namespace minimax::server
