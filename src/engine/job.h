// Job: a request under way, and the answers that are made for it.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "engine/sampling/prompt_lookup.h"
#include "engine/sampling/token_chooser.h"
#include "engine/state/prefix_cache.h"
#include "engine/state/state_cache.h"

namespace minimax::engine {

using Clock = std::chrono::steady_clock;

inline double seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

struct Answer;

struct Job {
  RequestId id = 0;
  Request request;
  std::shared_ptr<Listener> listener;
  std::vector<std::unique_ptr<Answer>> answers;
  int64_t unfinished = 0;  // answers
  bool deaf = false;       // the listener threw: it is told nothing more
  bool ended = false;

  /// Prompt tokens read, counted from where the least served reader stood when the job came: who has least goes next.
  int64_t virtual_time = 0;
  /// The first answer has read the prompt: the others may begin from its snapshot, `root`, if that is still there.
  bool prompt_read = false;
  PrefixCache::SnapshotId root = 0;
  int32_t banned = -1;  // the device sampler's name for what is never chosen
  std::string salt;     // for the prefix cache: the request's, or one of this job's own

  std::vector<PromptToken> prompt_tokens;  // if asked for
  int64_t scored = 0;                      // of them, from the front

  Usage usage;
  Clock::time_point submitted, started, first_token;
  bool has_started = false, has_first_token = false;

  bool scores_prompt() const { return request.prompt_logprobs >= 0; }
  bool picks_best() const { return request.best_of > request.n; }
  int64_t prompt_size() const { return static_cast<int64_t>(request.prompt.size()); }
};

/// One answer. Its tokens are ids; those below sequence.length have gone through the model.
struct Answer {
  enum class Phase : uint8_t { kWaiting, kRunning, kDone };

  Answer(Job& owner, int64_t index, TokenChooser chooses)
      : job(owner), number(index), ids(owner.request.prompt), chooser(std::move(chooses)) {}

  Job& job;
  int64_t number;
  std::vector<int32_t> ids;  // prompt, then what was chosen
  TokenChooser chooser;
  Phase phase = Phase::kWaiting;
  Sequence sequence;
  Tensor logits;                       // of the last token, when they came from the prefix cache
  int64_t branch_at = 0;               // the prompt leaves what the prefix cache knows here; 0: nowhere
  int64_t furthest = 0;                // sequence.length it has had: what is computed below it is computed again
  PrefixCache::SnapshotId pinned = 0;  // of a preemption
  bool stale = false;       // its state was made by weights that have changed since: nobody else may go on from it
  bool asked_disk = false;  // for a spilled prefix, since it last had a seat
  bool alone = false;       // runs in a batch of its own, since a batch with it failed
  std::optional<PromptLookup> lookup;
  int64_t drafts = 0;  // tokens worth trying now
  Clock::time_point last_token;
  std::vector<Token> held;  // not reported yet (best_of)
  // At its end, of an answer that may be the session's: its state, pinned, and the tokens of it.
  PrefixCache::SnapshotId kept = 0;
  int64_t kept_length = 0;
  AnswerEnd end;

  int64_t length() const { return static_cast<int64_t>(ids.size()); }
  /// Tokens that have to go through the model before the next one can be chosen.
  int64_t pending() const { return length() - sequence.length; }
  /// Whether the prompt's log-probs are still to be read off its forward pass.
  bool scores_prompt() const { return job.scores_prompt() && !job.prompt_read; }
  /// Who comes first in the queue, keeps its seat longest.
  bool goes_before(const Answer& other) const {
    if (job.request.priority != other.job.request.priority) return job.request.priority < other.job.request.priority;
    return job.id != other.job.id ? job.id < other.job.id : number < other.number;
  }
};

}  // namespace minimax::engine
