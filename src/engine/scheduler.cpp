#include "engine/scheduler.h"

#include <algorithm>
#include <string>

#include "cuda/gpu.h"

namespace minimax::engine {
namespace {

/// Logits of one step at most: a prompt whose log-probs are wanted goes in pieces of so many bytes of them.
constexpr int64_t kLogitsBytes = int64_t{64} << 20;

}  // namespace

Scheduler::Scheduler(const MiniMaxM1& model, ThreadPool& threads, const EngineOptions& options)
    : model_(model),
      options_(options),
      arena_(options.gpu),
      ctx_{.device = options.gpu ? Device::kCuda : Device::kCpu,
           .gpu = options.gpu,
           .arena = &arena_,
           .threads = &threads,
           .matmul_precision = options.precision,
           .kv_precision = options.kv_precision,
           .deterministic = options.deterministic},
      seats_(model.config, options),
      sessions_(model, options, seats_) {
  if (options.gpu) step_graph_.emplace(model_, ctx_);
  if (options.gpu && options.sample_on_gpu) device_sampler_.emplace(ctx_, model_.config.vocab);
}

Scheduler::~Scheduler() {
  for (const auto& job : jobs_) cancel(job->id);
}

void Scheduler::add(std::unique_ptr<Job> job) {
  if (!dead_ids_known_) {
    dead_ids_ = model_.dead_ids();
    dead_ids_known_ = true;
  }
  int64_t clock = -1;  // of the least served of those that read their prompts now
  for (const Answer* answer : seats_.running())
    if (answer->pending() > 1 && (clock < 0 || answer->job.virtual_time < clock)) clock = answer->job.virtual_time;
  job->virtual_time = std::max<int64_t>(clock, 0);
  if (device_sampler_) {
    std::vector<int32_t> banned = dead_ids_;
    banned.insert(banned.end(), job->request.banned.begin(), job->request.banned.end());
    job->banned = device_sampler_->ban(banned);
  }
  ++stats_.requests_submitted;
  Job& added = *jobs_.emplace_back(std::move(job));
  start_answers(added);
}

void Scheduler::start_answers(Job& job) {
  const Request& request = job.request;
  const int64_t room = seats_.max_tokens() - job.prompt_size();
  const int64_t limit = request.max_tokens < 0 ? room : std::min(request.max_tokens, room);
  const int64_t count = std::max(request.n, request.best_of);
  try {
    for (int64_t number = 0; number < count; ++number)
      job.answers.push_back(std::make_unique<Answer>(
          job, number, TokenChooser(request, number, model_.config.vocab, dead_ids_, options_.thinking.get(), limit)));
  } catch (...) {  // a constraint that cannot be cloned
    AnswerEnd end;
    end.reason = FinishReason::kError;
    describe(std::current_exception(), end);
    job.answers.clear();
    ++stats_.requests_failed;
    for (end.answer = 0; end.answer < request.n; ++end.answer) tell(job, [&](Listener& to) { to.on_finish(end); });
    this->end(job);
    return;
  }
  job.unfinished = count;
  if (job.scores_prompt()) job.prompt_tokens.resize(request.prompt.size());
}

void Scheduler::cancel(RequestId id, FinishReason reason) {
  for (const auto& job : jobs_)
    if (job->id == id)
      for (const auto& answer : job->answers)
        if (answer->phase != Answer::Phase::kDone) finish(*answer, reason);
}

void Scheduler::end_thinking(RequestId id) {
  for (const auto& job : jobs_)
    if (job->id == id)
      for (const auto& answer : job->answers) answer->chooser.end_thinking();
}

void Scheduler::expire() {
  const auto now = Clock::now();
  for (const auto& job : jobs_)
    if (job->request.deadline_seconds > 0 && seconds(now - job->submitted) >= job->request.deadline_seconds) {
      if (job->unfinished > 0) ++stats_.requests_past_deadline;
      cancel(job->id, FinishReason::kDeadline);
    }
}

bool Scheduler::step(const std::function<void()>& seated) {
  const auto begin = Clock::now();
  expire();
  if (admits_now()) admit();
  if (seated) seated();
  speak_from_cache();
  std::vector<Run> runs = plan();
  if (runs.empty()) {
    sweep();
    return !jobs_.empty();
  }
  Tensor logits;
  const auto forward_begin = Clock::now();
  const bool ran = forward(runs, logits);
  stats_.forward_seconds += seconds(Clock::now() - forward_begin);
  if (ran) {
    choose(runs, logits);
    for (Run& run : runs) settle(run, logits);
  }
  seats_.cache().trim();
  ++stats_.steps;
  stats_.step_seconds.add(seconds(Clock::now() - begin));
  sweep();
  return true;
}

std::vector<Answer*> Scheduler::waiting() const {
  std::vector<Answer*> answers;
  for (const auto& job : jobs_)
    for (const auto& answer : job->answers)
      if (answer->phase == Answer::Phase::kWaiting) answers.push_back(answer.get());
  std::sort(answers.begin(), answers.end(), [](const Answer* a, const Answer* b) { return a->goes_before(*b); });
  return answers;
}

/// Those that may get a seat now, best first. Of thousands that wait their turn only as many as there are seats for.
std::vector<Answer*> Scheduler::next_in_line() const {
  // An answer begins where the first one of its job has read the prompt.
  const auto is_ready = [](const Answer& answer) { return answer.number == 0 || answer.job.prompt_read; };
  std::vector<Answer*> answers;
  const bool ranked = std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& job) {
    return job->request.priority != jobs_.front()->request.priority;
  });
  if (ranked) {
    answers = waiting();
    std::erase_if(answers, [&](const Answer* answer) { return !is_ready(*answer); });
    return answers;
  }
  // Jobs stand in the order in which they came.
  const int64_t seats = options_.max_running - static_cast<int64_t>(seats_.running().size());
  for (const auto& job : jobs_)
    for (const auto& answer : job->answers) {
      if (static_cast<int64_t>(answers.size()) >= seats) return answers;
      if (answer->phase == Answer::Phase::kWaiting && is_ready(*answer)) answers.push_back(answer.get());
    }
  return answers;
}

/// As EngineOptions::admit_every says, but where newcomers would be an eighth of those that run.
bool Scheduler::admits_now() const {
  const auto running = static_cast<int64_t>(seats_.running().size());
  if (stats_.steps % options_.admit_every == 0 || running == 0) return true;
  int64_t waiting = -running;
  for (const auto& job : jobs_) waiting += job->unfinished;
  return 8 * std::min(waiting, options_.max_running - running) >= running;
}

/// Who gives way to a newcomer waits until the next step.
void Scheduler::admit() {
  for (Answer* answer : next_in_line()) {
    Job& job = answer->job;
    if (!seats_.admit(*answer)) {
      // Alone it must fit; that it does not would be our mistake, and must not make others wait for ever.
      if (seats_.running().empty())
        finish(
            *answer, FinishReason::kError,
            std::make_exception_ptr(Error(ErrorKind::kOutOfMemory, cat("no room for ", answer->length(), " tokens"))));
      return;
    }
    if (job.has_started) continue;
    job.has_started = true;
    job.started = Clock::now();
    job.usage.queue_seconds = seconds(job.started - job.submitted);
    stats_.queue_seconds.add(job.usage.queue_seconds);
    if (job.usage.cached_tokens > 0)
      tell(job, [&](Listener& to) { to.on_prompt(job.usage.cached_tokens, job.prompt_size()); });
  }
}

/// Answers whose prompts were cached to the last token, logits and all, have their next token without a forward pass.
void Scheduler::speak_from_cache() {
  std::vector<Run> runs;
  std::vector<Tensor> logits;  // of each
  for (Answer* answer : seats_.running()) {
    if (!answer->logits.defined()) continue;
    runs.push_back({.answer = answer, .start = answer->length(), .count = 0});
    logits.push_back(std::exchange(answer->logits, {}).view({1, model_.config.vocab}));
  }
  if (runs.empty()) return;
  scratch_.resize(std::max(scratch_.size(), runs.size()));
  // After a prompt with hundreds of answers these are hundreds.
  ctx_.threads->parallel_for(static_cast<int64_t>(runs.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
      choose(runs[i], logits[i], scratch_[i]);
  });
  for (size_t i = 0; i < runs.size(); ++i)
    if (runs[i].answer->phase == Answer::Phase::kRunning) settle(runs[i], logits[i]);
}

std::vector<Scheduler::Run> Scheduler::plan() {
  std::vector<Run> runs;
  runs.reserve(seats_.running().size());
  int64_t budget = options_.step_tokens;
  const std::vector<Answer*>& running = seats_.running();
  const auto alone = std::find_if(running.begin(), running.end(), [](const Answer* answer) { return answer->alone; });
  if (alone != running.end()) {
    plan_run(**alone, runs, budget);
    return runs;
  }
  plan_decode(runs, budget);
  plan_prefill(runs, budget);
  plan_drafts(runs, budget);
  return runs;
}

/// As much of what an answer has pending as goes into the budget. Its pages are there already, but for the last one.
void Scheduler::plan_run(Answer& answer, std::vector<Run>& runs, int64_t& budget) {
  const int64_t start = answer.sequence.length;
  int64_t count = std::min(budget, seats_.next_stop(answer) - start);
  if (answer.scores_prompt())
    count = std::min(count, std::max<int64_t>(kLogitsBytes / (model_.config.vocab * size_of(DType::kFloat32)), 1));
  if (count <= 0 || !seats_.grow(answer, start + count)) return;
  Run& run = runs.emplace_back(Run{.answer = &answer, .start = start, .count = count});
  if (answer.scores_prompt() || count == 1)
    run.logits = BatchBuilder::Logits::kAll;
  else if (start + count == answer.length() || start + count == answer.job.prompt_size())
    // At the prompt's end also when an answer's tokens follow, computed again: the prefix is kept with its logits.
    run.logits = BatchBuilder::Logits::kLast;
  budget -= count;
}

void Scheduler::plan_decode(std::vector<Run>& runs, int64_t& budget) {
  const std::vector<Answer*> running = seats_.running();  // a copy: answers may lose their seats on the way
  for (Answer* answer : running)
    if (answer->phase == Answer::Phase::kRunning && answer->pending() == 1) plan_run(*answer, runs, budget);
}

void Scheduler::plan_prefill(std::vector<Run>& runs, int64_t& budget) {
  std::vector<Answer*> readers;
  for (Answer* answer : seats_.running())
    if (answer->pending() > 1) readers.push_back(answer);
  std::stable_sort(readers.begin(), readers.end(), [](const Answer* a, const Answer* b) {
    return std::pair(a->job.request.priority, a->job.virtual_time) <
           std::pair(b->job.request.priority, b->job.virtual_time);
  });
  for (Answer* answer : readers) {
    if (budget <= 0) break;
    const int64_t before = budget;
    plan_run(*answer, runs, budget);
    answer->job.virtual_time += before - budget;
  }
}

/// Tokens after the next one that are certain (a closing tag) or guessed. A run may not go past the end of its chunk on
/// drafts: the lightning states would be committed with them, and could not go back (docs/design.md, P3).
void Scheduler::plan_drafts(std::vector<Run>& runs, int64_t& budget) {
  for (Run& run : runs) {
    Answer& answer = *run.answer;
    if (run.count != 1 || run.start < answer.job.prompt_size() || run.start + 1 != answer.length()) continue;
    const int64_t limit = std::min({kChunk - 1 - (run.start + 1) % kChunk, answer.chooser.room() - 1, budget});
    if (limit <= 0) continue;
    run.drafts = answer.chooser.certain();
    const Speculation& speculation = options_.speculation;
    if (run.drafts.empty() && speculation.max_drafts > 0 && answer.job.request.speculate) {
      if (!answer.lookup) {
        answer.lookup.emplace(speculation.min_match, speculation.max_match);
        answer.drafts = speculation.max_drafts;
      }
      run.drafts = answer.lookup->guess(answer.ids, std::min(limit, answer.drafts));
      run.guessed = true;
    }
    if (static_cast<int64_t>(run.drafts.size()) > limit) run.drafts.resize(static_cast<size_t>(limit));
    if (run.drafts.empty()) continue;
    const int64_t length = answer.length() + static_cast<int64_t>(run.drafts.size());
    if (StateCache::pages_for(length) > static_cast<int64_t>(answer.sequence.pages.size()) &&
        seats_.cache().free_pages() == 0) {
      run.drafts.clear();  // nobody gives way to a guess
      continue;
    }
    seats_.cache().reserve(answer.sequence, length);
    budget -= static_cast<int64_t>(run.drafts.size());
  }
}

bool Scheduler::forward(std::vector<Run>& runs, Tensor& logits) {
  BatchBuilder builder;
  int64_t rows = 0;
  for (Run& run : runs) {
    const auto own = std::span(run.answer->ids).subspan(static_cast<size_t>(run.start), static_cast<size_t>(run.count));
    std::vector<int32_t> ids(own.begin(), own.end());
    ids.insert(ids.end(), run.drafts.begin(), run.drafts.end());
    builder.add(run.answer->sequence, ids, run.logits);
    run.row = rows;
    if (run.logits == BatchBuilder::Logits::kLast) rows += 1;
    if (run.logits == BatchBuilder::Logits::kAll) rows += static_cast<int64_t>(ids.size());
  }
  try {
    const Batch batch = builder.build();
    if (options_.before_forward) options_.before_forward(batch);
    StateCache& cache = seats_.cache();
    if (rows == 0)
      model_.hidden(ctx_, batch, cache.layers());
    else if (step_graph_ && StepGraph::takes(batch))
      logits = read_logits(runs, step_graph_->forward(batch, cache.layers(), cache.scratch()));
    else
      logits = read_logits(runs, model_.forward(ctx_, batch, cache.layers()));
    for (const Run& run : runs) run.answer->alone = false;
    return true;
  } catch (...) {
    // Some layers may have taken the tokens up and others not: the states are of no use any more. Who is to blame
    // shows when each runs alone.
    for (const Run& run : runs) {
      if (runs.size() == 1) {
        finish(*run.answer, FinishReason::kError, std::current_exception());
      } else {
        run.answer->alone = true;
        seats_.restart(*run.answer);
      }
    }
    return false;
  }
}

/// Whether a device may choose the one token of a run: nothing of its logits is asked for besides.
bool Scheduler::may_wish(const Run& run) {
  const Answer& answer = *run.answer;
  const int64_t end = run.start + run.count;
  return run.logits != BatchBuilder::Logits::kNone && end == answer.length() && run.drafts.empty() &&
         answer.job.banned != DeviceSampler::kNoRoom && !answer.scores_prompt() &&
         answer.chooser.finish() == FinishReason::kNone &&
         !(run.start < answer.job.prompt_size() && seats_.keeps_prefix(answer, end));
}

/// Leaves the token of a run to the device; false when the host has to choose it.
bool Scheduler::wish(Run& run) {
  if (!may_wish(run)) return false;
  Answer& answer = *run.answer;
  const int64_t row = run.logits == BatchBuilder::Logits::kAll ? run.row + run.count - 1 : run.row;
  if (const std::optional<TokenChooser::Plain> plain = answer.chooser.plain()) {
    wishes_.plain.push_back(
        {.uniform = plain->uniform, .row = row, .temperature = plain->temperature, .banned = answer.job.banned});
    wishes_.plain_runs.push_back(&run);
    return true;
  }
  try {
    std::optional<TokenChooser::Wish> wish = answer.chooser.wish(wishes_.edits);
    if (!wish) return false;
    wish->row.row = row;
    wish->row.banned = answer.job.banned;
    if (!wish->allowed.empty()) {
      wish->row.allowed = static_cast<int32_t>(wishes_.allowed.size() / wish->allowed.size());
      wishes_.allowed.insert(wishes_.allowed.end(), wish->allowed.begin(), wish->allowed.end());
    }
    wishes_.others.push_back(wish->row);
    wishes_.other_runs.push_back(&run);
    return true;
  } catch (...) {  // a constraint that fails does so again where it ends its answer alone
    return false;
  }
}

/// The logits where the host can read them, but for the rows from which a device has chosen.
Tensor Scheduler::read_logits(std::vector<Run>& runs, const Tensor& logits) {
  if (!device_sampler_) return to_host(logits);
  wishes_ = {};
  std::vector<const Run*> others;
  for (Run& run : runs)
    if (!wish(run) && run.logits != BatchBuilder::Logits::kNone) others.push_back(&run);
  const Tensor host = others.empty() ? Tensor() : Tensor::empty(logits.shape(), DType::kFloat32);
  for (const Run* run : others) {
    const int64_t end = run->logits == BatchBuilder::Logits::kLast
                            ? run->row + 1
                            : run->row + run->count + static_cast<int64_t>(run->drafts.size());
    copy_bytes(logits.rows(run->row, end), host.rows(run->row, end));
  }
  if (!wishes_.plain.empty()) {
    const std::span<const cuda::Choice> chosen = device_sampler_->choose(logits, wishes_.plain);
    for (size_t i = 0; i < chosen.size(); ++i) wishes_.plain_runs[i]->choice = chosen[i];
  }
  if (!wishes_.others.empty()) {
    const std::span<const cuda::Choice> chosen =
        device_sampler_->sample(logits, wishes_.others, wishes_.edits, wishes_.allowed);
    for (size_t i = 0; i < chosen.size(); ++i) wishes_.other_runs[i]->choice = chosen[i];
  }
  return host;
}

void Scheduler::choose(std::vector<Run>& runs, const Tensor& logits) {
  if (scratch_.size() < runs.size()) scratch_.resize(runs.size());
  // What a device has chosen leaves little to do.
  const bool all_chosen = std::all_of(runs.begin(), runs.end(), [](const Run& run) { return run.choice.has_value(); });
  ctx_.threads->parallel_for(static_cast<int64_t>(runs.size()), all_chosen ? 128 : 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      choose(runs[static_cast<size_t>(i)], logits, scratch_[static_cast<size_t>(i)]);
  });
}

/// Scores the prompt tokens of a run and chooses the next tokens when it reached the answer's end: one, and one more
/// for each draft that is what would have been chosen anyway.
void Scheduler::choose(Run& run, const Tensor& logits, SamplerScratch& scratch) {
  Answer& answer = *run.answer;
  const int64_t vocab = model_.config.vocab;
  const auto row = [&](int64_t index) {
    return std::span<const float>(logits.data<float>() + index * vocab, static_cast<size_t>(vocab));
  };
  try {
    if (run.choice) {
      MM_CHECK_KIND(kInternal, run.choice->id != cuda::kNotALogit,
                    "one of the model's logits is NaN or infinite, or all are -inf");
      MM_CHECK_KIND(kInternal, run.choice->id >= 0, "no token is left to choose: all ids are banned");
      run.chosen.push_back(answer.chooser.take({.id = run.choice->id, .log_prob = run.choice->log_prob, .top = {}}));
      return;
    }
    if (answer.scores_prompt()) score_prompt(run, logits);
    if (run.start + run.count != answer.length() || answer.chooser.finish() != FinishReason::kNone) return;
    const int64_t first = run.logits == BatchBuilder::Logits::kAll ? run.row + run.count - 1 : run.row;
    for (size_t draft = 0;; ++draft) {
      const Token& token =
          run.chosen.emplace_back(answer.chooser.choose(row(first + static_cast<int64_t>(draft)), scratch));
      if (answer.chooser.finish() != FinishReason::kNone || draft == run.drafts.size() ||
          run.drafts[draft] != token.sampled.id)
        return;
    }
  } catch (...) {
    run.error = std::current_exception();
  }
}

void Scheduler::score_prompt(const Run& run, const Tensor& logits) {
  Job& job = run.answer->job;
  const int64_t vocab = model_.config.vocab, top = job.request.prompt_logprobs;
  job.prompt_tokens[0].id = job.request.prompt[0];
  for (int64_t token = run.start; token < run.start + run.count && token + 1 < job.prompt_size(); ++token) {
    const std::span<const float> row(logits.data<float>() + (run.row + token - run.start) * vocab,
                                     static_cast<size_t>(vocab));
    const auto next = static_cast<size_t>(token + 1);
    Sampled scored = score_token(row, job.request.prompt[next], top);
    job.prompt_tokens[next] = {scored.id, scored.log_prob, std::move(scored.top)};
  }
  job.scored = std::max(job.scored, run.start + run.count);
}

void Scheduler::sweep() {
  for (const auto& job : jobs_)
    if (job->deaf && !job->ended) cancel(job->id);
  std::erase_if(jobs_, [](const auto& job) { return job->ended; });
}

void Scheduler::weights_changed(bool recompute) {
  ++weights_version_;
  sessions_.clear();
  sessions_.forget_tag();
  seats_.prefixes().clear();
  seats_.spill().clear();
  const std::vector<Answer*> running = seats_.running();
  for (Answer* answer : running) {
    if (recompute)
      seats_.restart(*answer);
    else
      answer->stale = true;
  }
  dead_ids_known_ = false;
}

}  // namespace minimax::engine
