// PrefixCache: the states of token sequences that later ones may begin with.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/state/state_cache.h"

namespace minimax::engine {

/// A radix tree over token ids. An edge is a whole KV page, kChunk ids; a node keeps one reference to its page, which
/// running sequences may hold as well. Snapshots hang on nodes: the lightning states at one length, with the rows since
/// the last multiple of kChunk (and the partly filled page of these) when the length is not one, and optionally the
/// logits of the last token. Pages alone are of no use here, so that a node goes when no snapshot is left at or below
/// it. What resumes from a snapshot has the bits of a cold run (docs/design.md, P2).
///
/// Memory counts against the StateCache's budget. When it is needed, the snapshot goes that is worth least: what
/// computing it again would cost (tokens since the snapshot before) for each byte it frees, aged by use (GreedyDual).
/// Not thread-safe.
class PrefixCache {
 public:
  /// Names a snapshot for as long as it exists; 0 is none.
  using SnapshotId = uint64_t;

  struct Hit {
    SnapshotId snapshot = 0;
    int64_t length = 0;  ///< tokens that need not be computed
    /// Tokens, in whole pages, that are in the tree; more than `length` where the prompt leaves what was seen before
    /// between two snapshots.
    int64_t known = 0;
  };

  struct Counts {
    int64_t pages = 0;  ///< held here, each counted once
    int64_t snapshots = 0, snapshot_bytes = 0, evictions = 0;
  };

  /// `cache` must outlive this.
  explicit PrefixCache(StateCache& cache);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  /// The longest snapshot that `ids` begin with, of at least one token. One as long as `ids` itself counts only when it
  /// has logits. Only what was kept under the same salt is seen.
  Hit find(const std::string& salt, std::span<const int32_t> ids) const;
  /// A sequence that goes on from a hit. Throws kOutOfMemory.
  Sequence resume(const Hit& hit);
  /// The logits of the hit's last token; undefined when they were not kept.
  Tensor logits(const Hit& hit) const;

  /// Keeps the state of `sequence`, whose tokens are the first sequence.length of `ids`; an old snapshot of the same
  /// tokens is used instead. Evicts what is worth less, and returns 0 when there is no room even then. Pages of the
  /// sequence that the tree already has are exchanged for the tree's.
  /// `close`: the sequence is closed, and its slot makes the room. `pinned`: as pin().
  SnapshotId keep(const std::string& salt, std::span<const int32_t> ids, Sequence& sequence, const Tensor& logits,
                  bool close, bool pinned);

  bool has(SnapshotId id) const { return snapshots_.count(id) != 0; }
  /// A pinned snapshot is evicted only when nothing else is left. Ids of snapshots that are gone are ignored.
  void pin(SnapshotId id);
  void unpin(SnapshotId id);

  /// Evicts until there is room; false when there is none after all is gone.
  bool make_room(const StateCache::Need& need);

  /// Forgets what was kept under a salt.
  void drop(const std::string& salt);
  void clear();

  Counts counts() const { return counts_; }

  /// The parts of a snapshot, to be written to a file. Valid until the tree changes.
  struct Parts {
    std::string salt;
    std::vector<int32_t> ids;
    const StateMark* mark = nullptr;
    Tensor logits;
    std::vector<int32_t> pages;
    int64_t saves = 0;  ///< tokens that would have to be computed without it
  };
  Parts parts(SnapshotId id) const;
  /// Called before a snapshot is evicted (not when it is dropped or cleared). Must not change the tree.
  std::function<void(const Parts&)> on_evict;

 private:
  struct Node;
  struct Snapshot;
  static constexpr double kAnyWorth = std::numeric_limits<double>::infinity();

  bool make_room(const StateCache::Need& need, double below);
  bool evict_one(double below);
  void remove(Snapshot& snapshot);
  void trim(Node* node);
  void hold(int32_t page);
  void let_go(int32_t page);
  void touch(Snapshot& snapshot);
  static int64_t base_of(const Snapshot& snapshot);
  std::vector<int32_t> pages_of(const Snapshot& snapshot) const;
  Node* path_of(const std::string& salt, std::span<const int32_t> ids, Sequence& sequence);
  SnapshotId put(Snapshot& snapshot, Sequence& sequence, bool close);

  StateCache& cache_;
  std::map<std::string, std::unique_ptr<Node>> roots_;  // by salt
  std::unordered_map<SnapshotId, Snapshot*> snapshots_;
  SnapshotId next_id_ = 1;
  std::unordered_map<int32_t, int> held_;  // references to each page from here
  double clock_ = 0;                       // worth of what was evicted last
  Counts counts_;
};

}  // namespace minimax::engine
