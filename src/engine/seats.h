// Seats: which answers have their state in memory, and what happens to those for which there is no room.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/engine.h"
#include "engine/job.h"
#include "engine/state/session_file.h"
#include "engine/state/spill.h"

namespace minimax::engine {

/// Owns the caches. Nothing is taken that the budget does not hold. When memory is short, cached prefixes go first,
/// then the running answer that goes last gives up its seat: its state becomes a snapshot in the prefix cache, from
/// which it goes on later with the same bits; if that snapshot has to go too, its tokens are computed again, with the
/// same bits. Not thread-safe.
class Seats {
 public:
  Seats(const ModelConfig& config, const EngineOptions& options);

  /// Gives a waiting answer pages for all its tokens, and the longest cached prefix; answers that go after it give way.
  /// False when there is no room now.
  bool admit(Answer& answer);
  /// Makes sure there are pages for `length` tokens of a running answer. False: it has lost its seat.
  bool grow(Answer& answer, int64_t length);
  /// Takes the seat away and keeps the state where possible.
  void preempt(Answer& answer);
  /// Takes the seat away and drops the state: it is computed again.
  void restart(Answer& answer);
  /// Takes the seat away at the answer's end. `keep_state`: as a snapshot for the next turn, which is returned (0:
  /// there is none); `pinned`: as PrefixCache::pin.
  PrefixCache::SnapshotId leave(Answer& answer, bool keep_state, bool pinned);
  /// Takes a saved state into the prefix cache, pinned. 0 when there is no room now.
  PrefixCache::SnapshotId adopt(const SavedSession& saved);

  /// Whether keep_prefix would keep anything once `at` tokens of the prompt are read: then the last one's logits too.
  bool keeps_prefix(const Answer& answer, int64_t at) const;
  /// After a forward pass that brought a prompt to a place worth keeping. `last_logits` [vocab]: of the last token,
  /// when it was the prompt's last.
  void keep_prefix(Answer& answer, const Tensor& last_logits);
  /// The next length above the current one at which keep_prefix is wanted, at most the answer's length.
  int64_t next_stop(const Answer& answer) const;
  /// Nothing of this job will be asked for again.
  void forget(Job& job);

  /// Running answers, best first.
  const std::vector<Answer*>& running() const { return running_; }
  StateCache& cache() { return cache_; }
  const StateCache& cache() const { return cache_; }
  PrefixCache& prefixes() { return prefixes_; }
  const PrefixCache& prefixes() const { return prefixes_; }
  Spill& spill() { return spill_; }
  const Spill& spill() const { return spill_; }
  /// Tokens that one sequence can have.
  int64_t max_tokens() const;

  struct Counts {
    int64_t preemptions = 0, queries = 0, query_tokens = 0, hit_tokens = 0, spill_loads = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  bool may_reuse(const Answer& answer) const;
  bool shares(const Job& job) const;
  bool make_room(Answer& answer, const StateCache::Need& need);
  void fetch_spilled(Answer& answer, const PrefixCache::Hit& hit);
  PrefixCache::SnapshotId adopt(const SavedSession& saved, bool pinned);
  void seat(Answer& answer, Sequence sequence);
  void unseat(Answer& answer);
  void unpin(PrefixCache::SnapshotId& id);

  const ModelConfig& config_;
  const EngineOptions& options_;
  int64_t every_tokens_;
  StateCache cache_;
  PrefixCache prefixes_;
  Spill spill_;
  std::vector<Answer*> running_;
  Counts counts_;
};

}  // namespace minimax::engine
