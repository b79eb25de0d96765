// What a step came to: tokens for listeners, ends of answers and requests, counts.
#include <algorithm>

#include "engine/scheduler.h"

namespace minimax::engine {
void Scheduler::describe(const std::exception_ptr& error, AnswerEnd& end) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& known) {
    end.error_kind = known.kind();
    end.error = known.what();
  } catch (const std::bad_alloc&) {
    end.error_kind = ErrorKind::kOutOfMemory;
    end.error = "out of memory";
  } catch (const std::exception& other) {
    end.error_kind = ErrorKind::kInternal;
    end.error = other.what();
  } catch (...) {
    end.error_kind = ErrorKind::kInternal;
    end.error = "unknown failure";
  }
}

void Scheduler::settle(Run& run, const Tensor& logits) {
  Answer& answer = *run.answer;
  Job& job = answer.job;
  if (run.error) return finish(answer, FinishReason::kError, run.error);
  const int64_t end = run.start + run.count, prompt = job.prompt_size();
  count_tokens(run);
  answer.sequence.length = end;
  answer.furthest = std::max(answer.furthest, end);
  if (run.count > 0 && run.start < prompt) {
    Tensor last;
    if (end == prompt && run.logits != BatchBuilder::Logits::kNone && !run.choice) {
      const int64_t row = run.logits == BatchBuilder::Logits::kAll ? run.row + run.count - 1 : run.row;
      last = Tensor::empty({model_.config.vocab}, DType::kFloat32);
      std::copy_n(logits.data<float>() + row * model_.config.vocab, model_.config.vocab, last.data<float>());
    }
    seats_.keep_prefix(answer, last);
    if (!job.prompt_read) tell(job, [&](Listener& to) { to.on_prompt(end, prompt); });
  }
  if (end < answer.length()) return;
  if (!job.prompt_read) {
    job.prompt_read = true;
    if (job.scores_prompt()) tell(job, [&](Listener& to) { to.on_prompt_logprobs(job.prompt_tokens); });
  }
  deliver(run);
}

void Scheduler::count_tokens(const Run& run) {
  const Answer& answer = *run.answer;
  const int64_t end = run.start + run.count;
  const int64_t again = std::clamp<int64_t>(answer.furthest - run.start, 0, run.count);
  stats_.recomputed_tokens += again;
  stats_.prompt_tokens += std::max<int64_t>(std::min(end, answer.job.prompt_size()) - run.start - again, 0);
  if (!run.guessed) return;
  const auto drafted = static_cast<int64_t>(run.drafts.size());
  const int64_t accepted = std::max<int64_t>(static_cast<int64_t>(run.chosen.size()) - 1, 0);
  stats_.drafted_tokens += drafted;
  stats_.accepted_tokens += accepted;
  run.answer->job.usage.drafted_tokens += drafted;
  run.answer->job.usage.accepted_tokens += accepted;
  // A text that does not repeat itself is not worth wide guesses; one that does is worth more.
  int64_t& width = run.answer->drafts;
  if (accepted == drafted)
    width = std::min(2 * width, options_.speculation.max_drafts);
  else if (accepted == 0)
    width = std::max<int64_t>(width / 2, 1);
}

void Scheduler::deliver(Run& run) {
  Answer& answer = *run.answer;
  Job& job = answer.job;
  const auto now = Clock::now();
  const auto count = static_cast<double>(std::max<size_t>(run.chosen.size(), 1));
  const double inter_token =
      answer.ids.size() > job.request.prompt.size() ? seconds(now - answer.last_token) / count : -1;
  answer.last_token = now;
  const int64_t base = run.start + run.count;
  for (size_t i = 0; i < run.chosen.size(); ++i) {
    Token& token = run.chosen[i];
    token.weights_version = weights_version_;
    answer.ids.push_back(token.sampled.id);
    answer.sequence.length = base + static_cast<int64_t>(i);
    answer.furthest = std::max(answer.furthest, answer.sequence.length);
    const FinishReason wish = report(answer, token, now, inter_token);
    if (wish != FinishReason::kNone) return finish(answer, wish);
  }
  if (answer.chooser.finish() != FinishReason::kNone) finish(answer, answer.chooser.finish());
}

FinishReason Scheduler::report(Answer& answer, const Token& token, Clock::time_point now, double inter_token) {
  Job& job = answer.job;
  ++answer.end.tokens;
  answer.end.sum_log_prob += static_cast<double>(token.sampled.log_prob);
  ++stats_.generated_tokens;
  if (inter_token >= 0) stats_.inter_token.add(inter_token);
  if (!job.has_first_token) {
    job.has_first_token = true;
    job.first_token = now;
    stats_.time_to_first_token.add(seconds(now - job.submitted));
  }
  FinishReason wish = FinishReason::kNone;
  if (job.picks_best()) answer.held.push_back(token);
  tell(job, [&](Listener& to) { wish = job.picks_best() ? to.on_candidate(token) : to.on_token(token); });
  return job.deaf ? FinishReason::kCancelled : wish;
}

void Scheduler::finish(Answer& answer, FinishReason reason, const std::exception_ptr& error) {
  Job& job = answer.job;
  answer.end.answer = answer.number;
  answer.end.reason = reason;
  answer.end.reasoning_tokens = answer.chooser.reasoning_tokens();
  if (error) describe(error, answer.end);
  if (reason == FinishReason::kLoop) ++stats_.loop_guard_hits;
  if (answer.chooser.hit_thinking_budget()) ++stats_.thinking_budget_hits;
  stats_.reasoning_tokens += answer.end.reasoning_tokens;
  job.usage.generated_tokens += answer.end.tokens;
  job.usage.reasoning_tokens += answer.end.reasoning_tokens;
  ++stats_.answers_finished[static_cast<size_t>(reason)];
  const bool session = may_be_session(answer);
  if (session) answer.kept_length = answer.sequence.length;
  answer.kept =
      seats_.leave(answer, reason != FinishReason::kError && (options_.snapshots.answer_end || session), session);
  if (session && !job.picks_best()) keep_session(answer);
  if (answer.number == 0) job.prompt_read = true;  // nobody else will read it for the others
  if (!job.picks_best()) tell(job, [&](Listener& to) { to.on_finish(answer.end); });
  if (--job.unfinished == 0) end(job);
}

bool Scheduler::may_be_session(const Answer& answer) const {
  const Job& job = answer.job;
  return !job.request.session.empty() && (job.picks_best() || answer.number == 0) &&
         answer.end.reason != FinishReason::kError;
}

/// What a client left half-way is of no use to whoever asks again: that begins where the session was before.
void Scheduler::keep_session(Answer& answer) {
  const Job& job = answer.job;
  const bool finished = answer.end.reason != FinishReason::kCancelled;
  if (answer.kept_length == 0 || (!finished && sessions_.has_finished(job.request.session)))
    return seats_.prefixes().unpin(answer.kept);
  sessions_.put(job.request.session, job.salt, std::span(answer.ids).first(static_cast<size_t>(answer.kept_length)),
                answer.kept, finished);
}

/// The answers of highest mean log-prob are reported as if they were the only ones.
void Scheduler::report_best(Job& job) {
  std::vector<Answer*> ranked;
  for (const auto& answer : job.answers) ranked.push_back(answer.get());
  const auto mean = [](const Answer* answer) {
    return answer->end.tokens > 0 ? answer->end.sum_log_prob / static_cast<double>(answer->end.tokens) : -1e300;
  };
  std::stable_sort(ranked.begin(), ranked.end(), [&](const Answer* a, const Answer* b) {
    const bool a_failed = a->end.reason == FinishReason::kError, b_failed = b->end.reason == FinishReason::kError;
    return a_failed != b_failed ? a_failed : mean(a) > mean(b);
  });
  for (Answer* answer : ranked) {
    if (!may_be_session(*answer)) continue;
    if (answer == ranked[0])
      keep_session(*answer);
    else
      seats_.prefixes().unpin(answer->kept);
  }
  ranked.resize(static_cast<size_t>(job.request.n));
  for (size_t place = 0; place < ranked.size(); ++place) {
    Answer& answer = *ranked[place];
    for (Token& token : answer.held) {
      token.answer = static_cast<int64_t>(place);
      tell(job, [&](Listener& to) { to.on_token(token); });
    }
    answer.end.answer = static_cast<int64_t>(place);
    tell(job, [&](Listener& to) { to.on_finish(answer.end); });
  }
}

void Scheduler::end(Job& job) {
  if (job.picks_best() && !job.answers.empty()) report_best(job);
  const auto now = Clock::now();
  job.usage.prompt_tokens = job.prompt_size();
  if (job.has_started) {
    const auto first = job.has_first_token ? job.first_token : now;
    job.usage.prefill_seconds = seconds(first - job.started);
    job.usage.decode_seconds = seconds(now - first);
  }
  bool failed = job.answers.empty(), cancelled = false;
  for (const auto& answer : job.answers) {
    failed = failed || answer->end.reason == FinishReason::kError;
    cancelled = cancelled || answer->end.reason == FinishReason::kCancelled;
  }
  ++stats_.requests_finished;
  stats_.requests_failed += failed;
  stats_.requests_cancelled += cancelled;
  stats_.request_seconds.add(seconds(now - job.submitted));
  seats_.forget(job);
  job.ended = true;
  ended_.push_back(job.id);
  tell(job, [&](Listener& to) { to.on_done(job.usage); });
}

EngineStats Scheduler::stats() const {
  EngineStats now = stats_;
  const StateCache& cache = seats_.cache();
  const PrefixCache::Counts prefixes = seats_.prefixes().counts();
  const Seats::Counts& seats = seats_.counts();
  for (const auto& job : jobs_) ++(job->has_started ? now.requests_running : now.requests_waiting);
  now.sequences_running = static_cast<int64_t>(seats_.running().size());
  now.memory_bytes = cache.budget().used();
  now.memory_limit_bytes = cache.budget().limit();
  now.pages_used = cache.used_pages();
  now.page_bytes = cache.page_bytes();
  now.slots_used = cache.used_slots();
  now.slot_bytes = cache.slot_bytes();
  now.snapshot_bytes = prefixes.snapshot_bytes;
  now.cached_pages = prefixes.pages;
  now.cached_snapshots = prefixes.snapshots;
  now.sessions = sessions_.size();
  now.weights_version = weights_version_;
  now.cache_queries = seats.queries;
  now.cache_query_tokens = seats.query_tokens;
  now.cache_hit_tokens = seats.hit_tokens;
  now.cache_evictions = prefixes.evictions;
  now.cache_spills = seats_.spill().writes();
  now.cache_spill_loads = seats.spill_loads;
  now.spilled_bytes = seats_.spill().bytes();
  now.preemptions = seats.preemptions;
  return now;
}

}  // namespace minimax::engine
