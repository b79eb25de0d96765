// Scheduler: decides what goes through the model in each step, runs it, and tells the listeners.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/job.h"
#include "engine/sampling/device_sampler.h"
#include "engine/seats.h"
#include "engine/sessions.h"
#include "engine/step_graph.h"

namespace minimax::engine {

/// Requests under way, oldest first. A step is one packed forward pass: one token of every running answer, then pieces
/// of prompts as far as step_tokens goes (the request with the best priority first, among equals the one that has had
/// least), then guesses of prompt lookup. Nothing that one request does ends another: what fails in choosing a token
/// fails that answer; when a forward pass fails, those in it run alone once, and only those fail that fail alone.
/// Used by one thread at a time.
class Scheduler {
 public:
  Scheduler(const MiniMaxM1& model, ThreadPool& threads, const EngineOptions& options);
  /// Ends what is left as kCancelled.
  ~Scheduler();

  void add(std::unique_ptr<Job> job);
  /// Unknown ids are ignored.
  void cancel(RequestId id, FinishReason reason = FinishReason::kCancelled);
  void end_thinking(RequestId id);
  /// False when there was nothing to do. `seated` is called before the forward pass, when those who wait have taken
  /// the seats there are.
  bool step(const std::function<void()>& seated = {});
  bool idle() const { return jobs_.empty(); }

  void weights_changed(bool recompute);
  int64_t weights_version() const { return weights_version_; }
  /// Everything but what only the mailbox knows.
  EngineStats stats() const;
  /// Ids of requests that ended since the last call.
  std::vector<RequestId> take_ended() { return std::exchange(ended_, {}); }
  Seats& seats() { return seats_; }
  Sessions& sessions() { return sessions_; }

 private:
  /// A run of one answer's tokens in a batch.
  struct Run {
    Answer* answer = nullptr;
    int64_t start = 0, count = 0;      // of the answer's own tokens
    std::vector<int32_t> drafts = {};  // after them
    BatchBuilder::Logits logits = BatchBuilder::Logits::kNone;
    int64_t row = 0;                          // first of its rows
    bool guessed = false;                     // drafts come from prompt lookup
    std::optional<cuda::Choice> choice = {};  // where a device chose its one token
    std::vector<Token> chosen = {};
    std::exception_ptr error = {};
  };

  void start_answers(Job& job);
  void expire();
  bool admits_now() const;
  void admit();
  void speak_from_cache();
  std::vector<Answer*> waiting() const;
  std::vector<Answer*> next_in_line() const;
  std::vector<Run> plan();
  void plan_run(Answer& answer, std::vector<Run>& runs, int64_t& budget);
  void plan_decode(std::vector<Run>& runs, int64_t& budget);
  void plan_prefill(std::vector<Run>& runs, int64_t& budget);
  void plan_drafts(std::vector<Run>& runs, int64_t& budget);
  bool forward(std::vector<Run>& runs, Tensor& logits);
  Tensor read_logits(std::vector<Run>& runs, const Tensor& logits);
  bool may_wish(const Run& run);
  bool wish(Run& run);
  void choose(std::vector<Run>& runs, const Tensor& logits);
  void choose(Run& run, const Tensor& logits, SamplerScratch& scratch);
  void score_prompt(const Run& run, const Tensor& logits);
  void settle(Run& run, const Tensor& logits);
  void count_tokens(const Run& run);
  void deliver(Run& run);
  FinishReason report(Answer& answer, const Token& token, Clock::time_point now, double inter_token);
  static void describe(const std::exception_ptr& error, AnswerEnd& end);
  void finish(Answer& answer, FinishReason reason, const std::exception_ptr& error = {});
  void end(Job& job);
  void report_best(Job& job);
  bool may_be_session(const Answer& answer) const;
  void keep_session(Answer& answer);
  void sweep();
  /// What a listener throws ends its request.
  template <typename Call>
  void tell(Job& job, const Call& call) {
    if (job.deaf) return;
    try {
      call(*job.listener);
    } catch (...) {
      job.deaf = true;
    }
  }

  const MiniMaxM1& model_;
  const EngineOptions& options_;
  Arena arena_;
  Context ctx_;
  std::vector<int32_t> dead_ids_;
  bool dead_ids_known_ = false;
  Seats seats_;
  Sessions sessions_;
  std::optional<StepGraph> step_graph_;  // with a GPU
  std::optional<DeviceSampler> device_sampler_;
  /// What a device is asked to choose in this step: rows of which a temperature and banned ids decide, and others.
  struct Wishes {
    std::vector<cuda::ChoiceRow> plain;
    std::vector<cuda::SampleRow> others;
    std::vector<cuda::LogitEdit> edits;
    std::vector<uint64_t> allowed;
    std::vector<Run*> plain_runs, other_runs;
  };
  Wishes wishes_;
  std::vector<std::unique_ptr<Job>> jobs_;
  std::vector<SamplerScratch> scratch_;
  std::vector<RequestId> ended_;
  int64_t weights_version_ = 0;
  EngineStats stats_;
};

}  // namespace minimax::engine
