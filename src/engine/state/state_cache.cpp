#include "engine/state/state_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>

#include "engine/state/file_layout.h"

namespace minimax::engine {
namespace {

void copy_row(const Tensor& from, int64_t from_row, const Tensor& to, int64_t to_row) {
  const Tensor source = from.rows(from_row, from_row + 1), target = to.rows(to_row, to_row + 1);
  MM_CHECK(source.shape() == target.shape(), "snapshot holds ", source.shape(), ", this model needs ", target.shape());
  copy_bytes(source, target);
}

Tensor one_row_like(const Tensor& x) {
  return Tensor::empty({1, x.dim(1), x.dim(2), x.dim(3)}, x.dtype(), x.memory());
}

Tensor copy_of(const Tensor& x) {
  const Tensor copy = Tensor::empty(x.shape(), x.dtype(), x.memory());
  copy_bytes(x, copy);
  return copy;
}

/// Rows that no position fills hold whatever was there before, perhaps another user's: they must not leave the cache.
/// transposed: [1, heads, head_dim, kChunk], positions fastest; else, and on a GPU, [1, heads, kChunk, head_dim].
void clear_unfilled(const Tensor& x, int64_t filled, bool transposed) {
  if (x.memory()) {
    const int64_t row_bytes = x.dim(3) * size_of(x.dtype());
    for (int64_t head = 0; head < x.dim(1); ++head)
      x.memory()->fill(static_cast<char*>(x.raw()) + (head * kChunk + filled) * row_bytes, 0,
                       (kChunk - filled) * row_bytes);
    return;
  }
  const int64_t head_dim = transposed ? x.dim(2) : x.dim(3);
  const int64_t runs = transposed ? x.dim(1) * head_dim : x.dim(1);
  const int64_t row = transposed ? 1 : head_dim;
  for (int64_t run = 0; run < runs; ++run) {
    float* first = x.data<float>() + run * kChunk * row;
    std::fill(first + filled * row, first + kChunk * row, 0.0f);
  }
}

/// The whole memory pages of the system in one row; they read as zero afterwards.
void give_back_row(const Tensor& x, int64_t row) {
  if (!x.defined()) return;
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const Tensor bytes = x.rows(row, row + 1);
  const auto begin = (reinterpret_cast<uintptr_t>(bytes.raw()) + page - 1) / page * page;
  const auto end = (reinterpret_cast<uintptr_t>(bytes.raw()) + static_cast<uintptr_t>(bytes.bytes())) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

/// What is walked from end to end for every token lies in huge pages where the system has them: 32768 tokens in small
/// ones are more entries than the processor keeps. Small tensors are left alone: they would be rounded up.
void want_huge_pages(const Tensor& x) {
  constexpr uintptr_t kHugePage = uintptr_t{2} << 20;
  constexpr int64_t kLeastBytes = 8 << 20;
  if (!x.defined() || x.memory() || x.bytes() < kLeastBytes) return;
  const auto begin = (reinterpret_cast<uintptr_t>(x.raw()) + kHugePage - 1) / kHugePage * kHugePage;
  const auto end = (reinterpret_cast<uintptr_t>(x.raw()) + static_cast<uintptr_t>(x.bytes())) / kHugePage * kHugePage;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

int64_t count(const ModelConfig& config, LayerKind kind) {
  return std::count(config.layer_kind.begin(), config.layer_kind.end(), kind);
}

}  // namespace

StateCache::StateCache(const ModelConfig& config, int64_t max_tokens, int64_t max_seqs, const Context& ctx)
    : StateCache(config, ctx, -1, pages_for(max_tokens) + max_seqs - 1, max_seqs) {
  MM_CHECK(max_tokens >= 1 && max_seqs >= 1, "cache for ", max_tokens, " tokens in ", max_seqs, " sequences");
}

StateCache::StateCache(const ModelConfig& config, Limits limits, const Context& ctx)
    : StateCache(config, ctx, limits.bytes, -1, limits.max_seqs) {
  MM_CHECK(limits.max_seqs >= 1, "cache for ", limits.max_seqs, " sequences");
}

/// `bytes` or `pages` is negative: what the other one means.
StateCache::StateCache(const ModelConfig& config, const Context& ctx, int64_t bytes, int64_t pages, int64_t slots)
    : slots_(std::max<int64_t>(slots, 0)), taken_at_once_(ctx.device != Device::kCpu), budget_(0) {
  for (const LayerKind kind : config.layer_kind) {  // a page and a slot, to see how large they are here
    if (kind == LayerKind::kSoftmax) {
      const KvPages page = make_pages(ctx, 1, config.kv_heads, config.head_dim);
      page_bytes_ += page.k.bytes() + page.v.bytes();
    } else {
      const LightningSlots slot = make_slots(ctx, 1, config.heads, config.head_dim);
      state_bytes_ += slot.state.bytes();
      slot_bytes_ += slot.state.bytes() + slot.k_window.bytes() + slot.v_window.bytes();
    }
  }
  // A model without softmax layers has pages of nothing; they count a little, so that there is an end to them.
  page_bytes_ = std::max<int64_t>(page_bytes_, 16 * kChunk);

  const int64_t rest = std::max<int64_t>(bytes - slots_ * slot_bytes_, 0);
  pages_ = pages >= 0 ? pages : (taken_at_once_ ? rest / 3 * 2 : std::max<int64_t>(bytes, 0)) / page_bytes_;
  pages_ = std::min<int64_t>(pages_, std::numeric_limits<int32_t>::max());
  const int64_t pools = pages_ * page_bytes_ + slots_ * slot_bytes_;
  budget_ = MemoryBudget(bytes >= 0 ? bytes : pools);
  if (taken_at_once_) budget_.take(pools);

  const int64_t scratch = taken_at_once_ ? 1 : 0;
  for (const LayerKind kind : config.layer_kind) {
    LayerCache& layer = layers_.emplace_back();
    if (kind == LayerKind::kSoftmax)
      layer.kv = make_pages(ctx, pages_ + scratch, config.kv_heads, config.head_dim);
    else
      layer.lightning = make_slots(ctx, slots_ + scratch, config.heads, config.head_dim);
    for (const Tensor& x : {layer.kv.k, layer.kv.v, layer.lightning.state}) want_huge_pages(x);
  }
  references_.resize(static_cast<size_t>(pages_));
  touched_pages_.resize(static_cast<size_t>(pages_));
  touched_slots_.resize(static_cast<size_t>(slots_));
  for (int64_t page = pages_; page-- > 0;) free_pages_.push_back(static_cast<int32_t>(page));
  for (int64_t slot = slots_; slot-- > 0;) free_slots_.push_back(static_cast<int32_t>(slot));
}

bool StateCache::fits(const Need& need) const {
  return need.pages <= static_cast<int64_t>(free_pages_.size()) &&
         need.slots <= static_cast<int64_t>(free_slots_.size()) &&
         budget_.fits(charge(need.pages * page_bytes_ + need.slots * slot_bytes_) + need.bytes);
}

int64_t StateCache::free_pages() const {
  const auto left = static_cast<int64_t>(free_pages_.size());
  return taken_at_once_ ? left : std::min(left, std::max<int64_t>(budget_.free(), 0) / page_bytes_);
}

int64_t StateCache::free_slots() const {
  const auto left = static_cast<int64_t>(free_slots_.size());
  return taken_at_once_ || slot_bytes_ == 0 ? left : std::min(left, std::max<int64_t>(budget_.free(), 0) / slot_bytes_);
}

int64_t StateCache::max_pages_of_one() const {
  if (slots_ == 0) return 0;
  return taken_at_once_ ? pages_ : std::clamp<int64_t>((budget_.limit() - slot_bytes_) / page_bytes_, 0, pages_);
}

Sequence StateCache::open() {
  MM_CHECK_KIND(kOutOfMemory, !free_slots_.empty(), "all sequence slots of the cache are taken");
  MM_CHECK_KIND(kOutOfMemory, fits({.slots = 1}), "the cache has ", budget_.free(),
                " bytes free, the lightning states of a sequence need ", slot_bytes_);
  Sequence sequence;
  sequence.slot = free_slots_.back();
  free_slots_.pop_back();
  if (touched_slots_[static_cast<size_t>(sequence.slot)]) idle_bytes_ -= slot_bytes_;
  touched_slots_[static_cast<size_t>(sequence.slot)] = true;
  budget_.take(charge(slot_bytes_));
  return sequence;  // its slot is zeroed by the model when position 0 comes
}

int32_t StateCache::take_page() {
  const int32_t page = free_pages_.back();
  free_pages_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  if (touched_pages_[static_cast<size_t>(page)]) idle_bytes_ -= page_bytes_;
  touched_pages_[static_cast<size_t>(page)] = true;
  budget_.take(charge(page_bytes_));
  return page;
}

void StateCache::release(int32_t page) {
  if (--references_[static_cast<size_t>(page)] > 0) return;
  free_pages_.push_back(page);
  idle_bytes_ += page_bytes_;
  budget_.give_back(charge(page_bytes_));
}

void StateCache::reserve(Sequence& sequence, int64_t length) {
  const int64_t missing = pages_for(length) - static_cast<int64_t>(sequence.pages.size());
  MM_CHECK_KIND(kOutOfMemory, missing <= free_pages(), "the cache has ", free_pages() * kChunk,
                " tokens free, a sequence of ", length, " tokens needs ", missing * kChunk, " more");
  for (int64_t page = 0; page < missing; ++page) sequence.pages.push_back(take_page());
}

void StateCache::close_slot(Sequence& sequence) {
  if (sequence.slot < 0) return;
  free_slots_.push_back(sequence.slot);
  idle_bytes_ += slot_bytes_;
  budget_.give_back(charge(slot_bytes_));
  sequence.slot = -1;
}

void StateCache::close(Sequence& sequence) {
  close_slot(sequence);
  while (!sequence.pages.empty()) {
    release(sequence.pages.back());
    sequence.pages.pop_back();
  }
  sequence = Sequence();
}

void StateCache::trim() {
  if (taken_at_once_) return;
  const auto too_much = [&] { return idle_bytes_ > 0 && budget_.used() + idle_bytes_ > budget_.limit(); };
  // Those that were free longest stand in front.
  for (size_t i = 0; i < free_pages_.size() && too_much(); ++i) {
    const auto page = static_cast<size_t>(free_pages_[i]);
    if (!touched_pages_[page]) continue;
    touched_pages_[page] = false;
    idle_bytes_ -= page_bytes_;
    for (const LayerCache& layer : layers_)
      for (const Tensor& x : {layer.kv.k, layer.kv.v}) give_back_row(x, free_pages_[i]);
  }
  for (size_t i = 0; i < free_slots_.size() && too_much(); ++i) {
    const auto slot = static_cast<size_t>(free_slots_[i]);
    if (!touched_slots_[slot]) continue;
    touched_slots_[slot] = false;
    idle_bytes_ -= slot_bytes_;
    for (const LayerCache& layer : layers_)
      for (const Tensor& x : {layer.lightning.state, layer.lightning.k_window, layer.lightning.v_window})
        give_back_row(x, free_slots_[i]);
  }
}

StateMark StateCache::mark(const Sequence& sequence) const {
  StateMark mark{sequence.length, {}};
  const int64_t filled = sequence.length % kChunk;
  for (const LayerCache& layer : layers_) {
    LightningSlots& copy = mark.layers.emplace_back();
    const LightningSlots& from = layer.lightning;
    if (!from.state.defined()) continue;
    copy.state = one_row_like(from.state);
    copy_row(from.state, sequence.slot, copy.state, 0);
    // Before the first commit nothing reads the state, and nothing has written it either.
    if (sequence.length == 0) copy.state = Tensor::zeros(copy.state.shape(), DType::kFloat32, copy.state.memory());
    if (filled == 0) continue;
    copy.k_window = one_row_like(from.k_window);
    copy.v_window = one_row_like(from.v_window);
    copy_row(from.k_window, sequence.slot, copy.k_window, 0);
    copy_row(from.v_window, sequence.slot, copy.v_window, 0);
    clear_unfilled(copy.k_window, filled, true);
    clear_unfilled(copy.v_window, filled, false);
  }
  return mark;
}

void StateCache::load_slot(int32_t slot, const StateMark& mark) {
  MM_CHECK(mark.layers.size() == layers_.size(), "snapshot has ", mark.layers.size(), " layers, this model ",
           layers_.size());
  for (size_t i = 0; i < layers_.size(); ++i) {
    const LightningSlots& from = mark.layers[i];
    const LightningSlots& to = layers_[i].lightning;
    MM_CHECK(from.state.defined() == to.state.defined(), "snapshot and model differ in the kind of layer ", i);
    if (!to.state.defined()) continue;
    copy_row(from.state, 0, to.state, slot);
    if (mark.length % kChunk == 0) continue;
    copy_row(in_cache_layout(from.k_window, to.k_window, true), 0, to.k_window, slot);
    copy_row(in_cache_layout(from.v_window, to.v_window, false), 0, to.v_window, slot);
  }
}

void StateCache::rewind(Sequence& sequence, const StateMark& mark) {
  MM_CHECK(mark.length <= sequence.length, "rewind to ", mark.length, " tokens of a sequence of ", sequence.length);
  load_slot(sequence.slot, mark);
  sequence.length = mark.length;
  while (static_cast<int64_t>(sequence.pages.size()) > pages_for(mark.length)) {
    release(sequence.pages.back());
    sequence.pages.pop_back();
  }
}

void StateCache::copy_page(int32_t from, int32_t to) {
  for (const LayerCache& layer : layers_) {
    if (!layer.kv.k.defined()) continue;
    copy_row(layer.kv.k, from, layer.kv.k, to);
    copy_row(layer.kv.v, from, layer.kv.v, to);
  }
}

Sequence StateCache::resume(const StateMark& mark, std::span<const int32_t> pages) {
  const int64_t full = mark.length / kChunk;
  assert(static_cast<int64_t>(pages.size()) >= pages_for(mark.length));
  Sequence sequence = open();
  try {
    load_slot(sequence.slot, mark);
    for (int64_t page = 0; page < full; ++page) {
      retain(pages[static_cast<size_t>(page)]);
      sequence.pages.push_back(pages[static_cast<size_t>(page)]);
    }
    reserve(sequence, mark.length);
    if (mark.length % kChunk != 0) copy_page(pages[static_cast<size_t>(full)], sequence.pages.back());
  } catch (...) {
    close(sequence);
    throw;
  }
  sequence.length = mark.length;
  return sequence;
}

Snapshot StateCache::save(const Sequence& sequence) const {
  Snapshot snapshot = view(mark(sequence), sequence.pages);
  for (std::vector<KvPages>& pages : snapshot.pages)
    for (KvPages& page : pages) page = {copy_of(page.k), copy_of(page.v)};
  return snapshot;
}

Snapshot StateCache::view(const StateMark& mark, std::span<const int32_t> pages) const {
  Snapshot snapshot{mark, {}};
  const int64_t filled = mark.length % kChunk;
  pages = pages.first(static_cast<size_t>(pages_for(mark.length)));
  for (const LayerCache& layer : layers_) {
    std::vector<KvPages>& views = snapshot.pages.emplace_back();
    if (!layer.kv.k.defined()) continue;
    for (const int32_t page : pages)
      views.push_back({layer.kv.k.rows(page, page + 1), layer.kv.v.rows(page, page + 1)});
    if (filled == 0) continue;
    views.back() = {copy_of(views.back().k), copy_of(views.back().v)};
    clear_unfilled(views.back().k, filled, true);
    clear_unfilled(views.back().v, filled, false);
  }
  return snapshot;
}

Sequence StateCache::restore(const Snapshot& snapshot) {
  MM_CHECK(snapshot.pages.size() == layers_.size(), "snapshot has pages of ", snapshot.pages.size(),
           " layers, this model ", layers_.size());
  Sequence sequence = open();
  try {
    reserve(sequence, snapshot.state.length);
    load_slot(sequence.slot, snapshot.state);
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (!layers_[i].kv.k.defined()) continue;
      MM_CHECK(snapshot.pages[i].size() == sequence.pages.size(), "snapshot has ", snapshot.pages[i].size(),
               " pages in layer ", i, ", expected ", sequence.pages.size());
      for (size_t page = 0; page < sequence.pages.size(); ++page) {
        const KvPages &from = snapshot.pages[i][page], &to = layers_[i].kv;
        copy_row(in_cache_layout(from.k, to.k, true), 0, to.k, sequence.pages[page]);
        copy_row(in_cache_layout(from.v, to.v, false), 0, to.v, sequence.pages[page]);
      }
    }
  } catch (...) {
    close(sequence);
    throw;
  }
  sequence.length = snapshot.state.length;
  return sequence;
}

int64_t StateCache::kv_bytes_per_token(const ModelConfig& config) {
  return count(config, LayerKind::kSoftmax) * 2 * config.kv_dim() * size_of(DType::kFloat32);
}

int64_t StateCache::state_bytes_per_sequence(const ModelConfig& config) {
  return count(config, LayerKind::kLightning) * config.attention_dim() * (config.head_dim + 2 * kChunk) *
         size_of(DType::kFloat32);
}

void BatchBuilder::add(const Sequence& sequence, std::span<const int32_t> ids, Logits logits) {
  const auto first = static_cast<int32_t>(tokens_.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    tokens_.push_back(ids[i]);
    positions_.push_back(static_cast<int32_t>(sequence.length + static_cast<int64_t>(i)));
    if (logits == Logits::kAll) rows_.push_back(first + static_cast<int32_t>(i));
  }
  if (logits == Logits::kLast) rows_.push_back(static_cast<int32_t>(tokens_.size()) - 1);
  starts_.push_back(static_cast<int32_t>(tokens_.size()));
  slots_.push_back(sequence.slot);
  sequences_.push_back(&sequence);
}

Batch BatchBuilder::build() const {
  MM_CHECK(!tokens_.empty(), "a batch needs at least one token");
  auto tensor = [](const std::vector<int32_t>& values) {
    return Tensor::from(std::span<const int32_t>(values), {static_cast<int64_t>(values.size())});
  };
  size_t max_pages = 1;
  for (const Sequence* sequence : sequences_) max_pages = std::max(max_pages, sequence->pages.size());
  std::vector<int32_t> table(sequences_.size() * max_pages, -1);
  for (size_t seq = 0; seq < sequences_.size(); ++seq)
    std::copy(sequences_[seq]->pages.begin(), sequences_[seq]->pages.end(), table.begin() + seq * max_pages);
  return {.tokens = tensor(tokens_),
          .positions = tensor(positions_),
          .cu_seqlens = tensor(starts_),
          .rows = tensor(rows_),
          .page_table = tensor(table).view({static_cast<int64_t>(sequences_.size()), static_cast<int64_t>(max_pages)}),
          .slots = tensor(slots_)};
}

}  // namespace minimax::engine
