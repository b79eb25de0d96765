#include "text/bpe.h"

#include <algorithm>
#include <bit>

#include "core/error.h"

namespace minimax::text {

namespace {

// Up to this many bytes an array with moves beats a heap: most pieces have fewer than 20.
constexpr size_t kShort = 96;
constexpr uint64_t kEmpty = ~uint64_t{0};
constexpr int kFilterBits = 21;  // 256 KiB: stays in the second-level cache

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(left) << 21 | static_cast<uint64_t>(right);
}

uint64_t pair_hash(uint64_t key) {
  return (key ^ key >> 21) * 0x9E3779B97F4A7C15u;
}

}  // namespace

Bpe::Bpe(const std::array<int32_t, 256>& byte_ids, std::span<const Merge> merges)
    : byte_ids_(byte_ids), byte_pair_ranks_(size_t{256} * 256, kNoRank), filter_(size_t{1} << (kFilterBits - 6)) {
  MM_CHECK(static_cast<int64_t>(merges.size()) <= kMaxMerges, merges.size(), " merges, expected at most ", kMaxMerges);
  const size_t slots = std::bit_ceil(std::max<size_t>(merges.size() * 2, 64));
  pairs_.assign(slots, kEmpty);
  shift_ = 64 - std::countr_zero(slots);
  results_.reserve(merges.size());
  for (const Merge& merge : merges) {
    const uint64_t key = pair_key(merge.left, merge.right);
    const uint64_t hash = pair_hash(key);
    size_t at = static_cast<size_t>(hash >> shift_);
    while (pairs_[at] != kEmpty && pairs_[at] >> 22 != key) at = (at + 1) & (slots - 1);
    pairs_[at] = key << 22 | results_.size();
    const uint64_t bit = hash >> (64 - kFilterBits);
    filter_[bit >> 6] |= uint64_t{1} << (bit & 63);
    results_.push_back(merge.result);
  }
  for (size_t left = 0; left < 256; ++left)
    for (size_t right = 0; right < 256; ++right)
      byte_pair_ranks_[left << 8 | right] = rank(byte_ids_[left], byte_ids_[right]);
}

inline uint32_t Bpe::rank(int32_t left, int32_t right) const {
  const uint64_t key = pair_key(left, right);
  const uint64_t hash = pair_hash(key);
  const uint64_t bit = hash >> (64 - kFilterBits);
  if ((filter_[bit >> 6] >> (bit & 63) & 1) == 0) return kNoRank;
  for (size_t at = static_cast<size_t>(hash >> shift_);; at = (at + 1) & (pairs_.size() - 1)) {
    const uint64_t pair = pairs_[at];
    if (pair == kEmpty) return kNoRank;
    if (pair >> 22 == key) return static_cast<uint32_t>(pair & kNoRank);
  }
}

void Bpe::encode(std::string_view piece, Scratch& scratch, std::vector<int32_t>& out) const {
  if (piece.size() <= kShort)
    encode_short(piece, out);
  else
    encode_long(piece, scratch, out);
}

void Bpe::encode_short(std::string_view piece, std::vector<int32_t>& out) const {
  int32_t ids[kShort + 1];
  uint32_t ranks[kShort + 1];  // ranks[i]: of the pair (i, i + 1)
  size_t count = piece.size();
  if (count == 0) return;
  const auto byte = [&piece](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(piece[i])); };
  for (size_t i = 0; i < count; ++i) ids[i] = byte_ids_[byte(i)];
  for (size_t i = 0; i + 1 < count; ++i) ranks[i] = byte_pair_ranks_[byte(i) << 8 | byte(i + 1)];
  ranks[count - 1] = kNoRank;
  while (count > 1) {
    uint32_t lowest = kNoRank;
    for (size_t i = 0; i < count; ++i) lowest = std::min(lowest, ranks[i]);
    if (lowest == kNoRank) break;
    size_t at = 0;
    while (ranks[at] != lowest) ++at;
    ids[at] = results_[lowest];
    --count;
    std::copy(ids + at + 2, ids + count + 1, ids + at + 1);
    std::copy(ranks + at + 2, ranks + count + 1, ranks + at + 1);
    ranks[at] = at + 1 < count ? rank(ids[at], ids[at + 1]) : kNoRank;
    if (at > 0) ranks[at - 1] = rank(ids[at - 1], ids[at]);
  }
  out.insert(out.end(), ids, ids + count);
}

void Bpe::encode_long(std::string_view piece, Scratch& scratch, std::vector<int32_t>& out) const {
  MM_CHECK(piece.size() < size_t{1} << 31, "a piece of ", piece.size(), " bytes to tokenize, expected less than 2 GiB");
  const auto count = static_cast<int32_t>(piece.size());
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;  // rank:32 position:32; entries whose pair is gone are skipped when they surface
  symbols.resize(piece.size());
  heap.clear();
  const auto byte = [&piece](int32_t i) { return static_cast<size_t>(static_cast<unsigned char>(piece[i])); };
  for (int32_t i = 0; i < count; ++i) {
    const uint32_t r = i + 1 < count ? byte_pair_ranks_[byte(i) << 8 | byte(i + 1)] : kNoRank;
    symbols[i] = {byte_ids_[byte(i)], r, i - 1, i + 1 < count ? i + 1 : -1};
    if (r != kNoRank) heap.push_back(uint64_t{r} << 32 | static_cast<uint32_t>(i));
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto update = [&](int32_t at) {
    auto& symbol = symbols[at];
    symbol.rank = symbol.next < 0 ? kNoRank : rank(symbol.id, symbols[symbol.next].id);
    if (symbol.rank == kNoRank) return;
    heap.push_back(uint64_t{symbol.rank} << 32 | static_cast<uint32_t>(at));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    const uint64_t top = heap.front();
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    const auto at = static_cast<int32_t>(top & 0xFFFFFFFF);
    auto& symbol = symbols[at];
    if (symbol.rank != top >> 32) continue;
    symbols[symbol.next].rank = kNoRank;  // its entries are void
    symbol.id = results_[symbol.rank];
    symbol.next = symbols[symbol.next].next;
    if (symbol.next >= 0) symbols[symbol.next].previous = at;
    update(at);
    if (symbol.previous >= 0) update(symbol.previous);
  }
  for (int32_t at = 0; at >= 0; at = symbols[at].next) out.push_back(symbols[at].id);
}

}  // namespace minimax::text
