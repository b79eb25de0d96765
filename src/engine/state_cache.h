// StateCache: paged keys and values of the softmax layers and state slots of the lightning layers, for many sequences.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"
#include "ops/batch.h"

namespace minimax::engine {

/// One sequence's place in the caches. Made by StateCache::open, given back by close.
struct Sequence {
  int32_t slot = -1;           ///< lightning state slot
  std::vector<int32_t> pages;  ///< page i holds positions 64 i .. 64 i + 63
  int64_t length = 0;          ///< tokens that went through the model
};

/// A copy of what a sequence's lightning layers hold at one length. KV pages are only ever appended to, so a mark is
/// enough to take the same sequence back there.
struct StateMark {
  int64_t length = 0;
  std::vector<LightningSlots> layers;  ///< one slot each; windows are left out when length is a multiple of kChunk
};

/// A whole sequence, independent of the cache it was taken from.
struct Snapshot {
  StateMark state;
  std::vector<KvPages> pages;  ///< of each layer: [pages of the sequence, ...]; undefined for lightning layers
};

/// Memory is taken from the system as pages are first written, not when the cache is made. Not thread-safe.
class StateCache {
 public:
  /// Room for `max_seqs` sequences with `max_tokens` tokens in all, each sequence rounded up to a page of kChunk.
  StateCache(const ModelConfig& config, int64_t max_tokens, int64_t max_seqs);

  /// A new, empty sequence. Throws kOutOfMemory when all slots are taken.
  Sequence open();
  /// Makes sure there are pages for positions below `length`. Throws kOutOfMemory, with the numbers, and changes
  /// nothing.
  void reserve(Sequence& sequence, int64_t length);
  /// Gives slot and pages back; the sequence is empty afterwards. Closing a closed sequence does nothing.
  void close(Sequence& sequence);

  StateMark mark(const Sequence& sequence) const;
  /// Takes a sequence back to a mark of its own. Throws kInvalidArgument when the sequence is shorter than the mark.
  void rewind(Sequence& sequence, const StateMark& mark);
  Snapshot save(const Sequence& sequence) const;
  /// A new sequence that goes on with the same bits as the saved one. Throws kOutOfMemory, or kInvalidArgument when the
  /// snapshot is of a model of another shape.
  Sequence restore(const Snapshot& snapshot);

  /// What the model's forward pass reads and extends, one for each layer.
  std::span<LayerCache> layers() { return layers_; }

  int64_t free_pages() const { return static_cast<int64_t>(free_pages_.size()); }
  int64_t free_slots() const { return static_cast<int64_t>(free_slots_.size()); }
  int64_t max_tokens() const { return pages_ * kChunk; }

  /// Bytes of keys and values for one token, and of lightning states and windows for one sequence.
  static int64_t kv_bytes_per_token(const ModelConfig& config);
  static int64_t state_bytes_per_sequence(const ModelConfig& config);

 private:
  void load_slot(int32_t slot, const StateMark& mark);

  int64_t pages_;
  std::vector<LayerCache> layers_;
  std::vector<int32_t> free_pages_, free_slots_;  // taken from the back
};

/// Packs token runs of several sequences into one Batch.
class BatchBuilder {
 public:
  enum class Logits { kNone, kLast, kAll };

  /// Appends `ids` to `sequence` (whose pages must be reserved); its length grows when the batch has been run: call
  /// commit() then. The sequence must stay where it is until build().
  void add(const Sequence& sequence, std::span<const int32_t> ids, Logits logits);
  /// Throws kInvalidArgument when nothing was added.
  Batch build() const;

 private:
  std::vector<int32_t> tokens_, positions_, starts_{0}, rows_, slots_;
  std::vector<const Sequence*> sequences_;
};

}  // namespace minimax::engine
