// StateCache: paged keys and values of the softmax layers and state slots of the lightning layers, for many sequences.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/state/memory_budget.h"
#include "model/config.h"
#include "ops/batch.h"

namespace minimax::engine {

/// One sequence's place in the caches. Made by StateCache::open, given back by close. A full page may be shared with
/// others; the last, partly filled one is written by this sequence alone.
struct Sequence {
  int32_t slot = -1;           ///< lightning state slot
  std::vector<int32_t> pages;  ///< page i holds positions 64 i .. 64 i + 63; one reference each
  int64_t length = 0;          ///< tokens that went through the model
};

/// A copy of what a sequence's lightning layers hold at one length. KV pages are only ever appended to, so a mark is
/// enough to take the same sequence back there, and with the pages up to its length another one can go on from there.
struct StateMark {
  int64_t length = 0;
  /// One slot each. Windows are left out when length is a multiple of kChunk; rows past length % kChunk are zero.
  std::vector<LightningSlots> layers;
};

/// A whole sequence.
struct Snapshot {
  StateMark state;
  /// By layer and page, each [1, ...]; empty for lightning layers. Rows past the length are zero.
  std::vector<std::vector<KvPages>> pages;
};

/// Pages and slots are counted against one budget, beside what others take from it (budget()). Not thread-safe.
class StateCache {
 public:
  /// Room for `max_seqs` sequences with `max_tokens` tokens in all, each sequence rounded up to a page of kChunk.
  /// In the memory of `ctx`, in the layout its ops want; on a GPU memory is taken at once.
  StateCache(const ModelConfig& config, int64_t max_tokens, int64_t max_seqs, const Context& ctx = {});

  /// On the CPU pages, slots and snapshots take what they need of the bytes, and from the system as they are first
  /// written. On a GPU memory is taken at once: slots for max_seqs, and of the rest two thirds for pages.
  struct Limits {
    int64_t bytes = 0;     ///< pages, slots, and what is charged to budget()
    int64_t max_seqs = 1;  ///< slots
  };
  StateCache(const ModelConfig& config, Limits limits, const Context& ctx = {});

  /// A new, empty sequence. Throws kOutOfMemory when all slots are taken or the budget has no room for one.
  Sequence open();
  /// Makes sure there are pages for positions below `length`. Throws kOutOfMemory, with the numbers, and changes
  /// nothing.
  void reserve(Sequence& sequence, int64_t length);
  /// Gives slot and pages back; the sequence is empty afterwards. Closing a closed sequence does nothing.
  void close(Sequence& sequence);
  /// Gives the slot back and keeps the pages.
  void close_slot(Sequence& sequence);

  StateMark mark(const Sequence& sequence) const;
  /// Takes a sequence back to a mark of its own. Throws kInvalidArgument when the sequence is shorter than the mark.
  void rewind(Sequence& sequence, const StateMark& mark);
  /// A new sequence that goes on from a mark. `pages`: those of the sequence that was marked, up to the mark's length;
  /// full ones are shared, a last partial one is copied. Throws kOutOfMemory and takes nothing.
  Sequence resume(const StateMark& mark, std::span<const int32_t> pages);
  /// A copy, independent of the cache.
  Snapshot save(const Sequence& sequence) const;
  /// A mark and the pages it belongs to, without a copy but of a partial page: valid until one of these is released.
  Snapshot view(const StateMark& mark, std::span<const int32_t> pages) const;
  /// A new sequence that goes on with the same bits as the saved one, of this cache or in the layout of files
  /// (file_layout.h), which a cache of bfloat16 rounds. Throws kOutOfMemory, or kInvalidArgument when the
  /// snapshot is of a model of another shape.
  Sequence restore(const Snapshot& snapshot);

  /// One more holder of a page that is in use; release() takes one away and frees the page after the last.
  void retain(int32_t page) { ++references_[static_cast<size_t>(page)]; }
  void release(int32_t page);

  /// What the model's forward pass reads and extends, one for each layer.
  std::span<LayerCache> layers() { return layers_; }

  /// What somebody is about to take.
  struct Need {
    int64_t pages = 0;
    int64_t slots = 0;
    int64_t bytes = 0;  ///< charged to budget()
  };
  bool fits(const Need& need) const;
  /// Gives memory of free pages and slots back to the system when they and what is in use are more than the budget: a
  /// budget that went from pages to snapshots must not be held twice. Cheap when there is nothing to do.
  void trim();
  MemoryBudget& budget() { return budget_; }
  const MemoryBudget& budget() const { return budget_; }
  /// That could be taken now.
  int64_t free_pages() const;
  int64_t free_slots() const;
  int64_t used_pages() const { return pages_ - static_cast<int64_t>(free_pages_.size()); }
  int64_t used_slots() const { return slots_ - static_cast<int64_t>(free_slots_.size()); }
  int64_t max_tokens() const { return pages_ * kChunk; }
  /// Pages that a sequence can have that is alone in the cache.
  int64_t max_pages_of_one() const;

  /// On a GPU: a slot and a page beside all others, for sequences that only fill a batch up (Batch::padding).
  struct Place {
    int32_t slot = -1, page = -1;
  };
  Place scratch() const { return {static_cast<int32_t>(slots_), static_cast<int32_t>(pages_)}; }

  /// Against the budget: of one page over all layers, of one slot, and of a mark at `length`.
  int64_t page_bytes() const { return page_bytes_; }
  int64_t slot_bytes() const { return slot_bytes_; }
  int64_t mark_bytes(int64_t length) const { return length % kChunk == 0 ? state_bytes_ : slot_bytes_; }

  /// Pages that `tokens` positions lie on.
  static int64_t pages_for(int64_t tokens) { return (tokens + kChunk - 1) / kChunk; }
  /// Bytes of keys and values for one token, and of lightning states and windows for one sequence.
  static int64_t kv_bytes_per_token(const ModelConfig& config);
  static int64_t state_bytes_per_sequence(const ModelConfig& config);

 private:
  StateCache(const ModelConfig& config, const Context& ctx, int64_t bytes, int64_t pages, int64_t slots);
  void load_slot(int32_t slot, const StateMark& mark);
  int32_t take_page();
  void copy_page(int32_t from, int32_t to);

  int64_t charge(int64_t bytes) const { return taken_at_once_ ? 0 : bytes; }

  int64_t pages_ = 0, slots_ = 0;
  int64_t page_bytes_ = 0, slot_bytes_ = 0, state_bytes_ = 0;
  std::vector<bool> touched_pages_, touched_slots_;  // have memory of the system
  int64_t idle_bytes_ = 0;                           // of those that are free
  bool taken_at_once_ = false;                       // pages and slots are charged when the cache is made
  MemoryBudget budget_;
  std::vector<LayerCache> layers_;
  std::vector<int32_t> free_pages_, free_slots_;  // taken from the back
  std::vector<int32_t> references_;               // by page
};

/// Packs token runs of several sequences into one Batch.
class BatchBuilder {
 public:
  enum class Logits { kNone, kLast, kAll };

  /// Appends `ids` to `sequence` (whose pages must be reserved); its length grows when the batch has been run: the
  /// caller adds to it then. The sequence must stay where it is until build().
  void add(const Sequence& sequence, std::span<const int32_t> ids, Logits logits);
  bool empty() const { return tokens_.empty(); }
  /// Throws kInvalidArgument when nothing was added.
  Batch build() const;

 private:
  std::vector<int32_t> tokens_, positions_, starts_{0}, rows_, slots_;
  std::vector<const Sequence*> sequences_;
};

}  // namespace minimax::engine
