#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "core/error.h"
#include "text/utf8.h"

namespace minimax::text {

namespace {

// Up to this many symbols an array with moves beats lists: most pieces have fewer than 20.
constexpr int64_t kShort = 128;
constexpr uint64_t kEmpty = ~uint64_t{0};
constexpr int kFilterBits = 21;  // 256 KiB: stays in the second-level cache

// Symbol::before of the first in a list, and of one whose list was taken out to be merged.
constexpr int32_t kHead = -1;
constexpr int32_t kLoose = -2;

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(left) << 21 | static_cast<uint64_t>(right);
}

uint64_t pair_hash(uint64_t key) {
  return (key ^ key >> 21) * 0x9E3779B97F4A7C15u;
}

enum class Shape { kWhole, kPart, kMixed };

/// Whole characters; a proper part of one character (or bytes of none); or anything else.
Shape shape_of(std::string_view bytes) {
  const char* const end = bytes.data() + bytes.size();
  const char* p = bytes.data();
  while (p < end) {
    const Utf8Char c = decode_utf8(p, end);
    if (c.code_point == kInvalidCodePoint) break;
    p += c.length;
  }
  if (p == end) return Shape::kWhole;
  const auto is_tail = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  return p == bytes.data() && std::all_of(bytes.begin() + 1, bytes.end(), is_tail) ? Shape::kPart : Shape::kMixed;
}

}  // namespace

Bpe::Bpe(const std::array<int32_t, 256>& byte_ids, std::span<const Merge> merges, const Vocabulary& vocabulary)
    : byte_ids_(byte_ids), filter_(size_t{1} << (kFilterBits - 6)) {
  MM_CHECK(static_cast<int64_t>(merges.size()) <= kMaxMerges, merges.size(), " merges, expected at most ", kMaxMerges);
  index_merges(merges, vocabulary.id_limit());
  if (ordered_) find_whole_characters(merges, vocabulary);
}

void Bpe::index_merges(std::span<const Merge> merges, size_t ids) {
  const size_t slots = std::bit_ceil(std::max<size_t>(merges.size() * 2, 64));
  pairs_.assign(slots, kEmpty);
  shift_ = 64 - std::countr_zero(slots);
  std::vector<int32_t> last_made(ids, -1);  // by id: the last merge that makes it
  for (const Merge& merge : merges) {
    const auto rank = static_cast<int32_t>(results_.size());
    const uint64_t key = pair_key(merge.left, merge.right);
    const uint64_t hash = pair_hash(key);
    size_t at = static_cast<size_t>(hash >> shift_);
    while (pairs_[at] != kEmpty && pairs_[at] >> 22 != key) at = (at + 1) & (slots - 1);
    pairs_[at] = key << 22 | static_cast<uint64_t>(rank);
    const uint64_t bit = hash >> (64 - kFilterBits);
    filter_[bit >> 6] |= uint64_t{1} << (bit & 63);
    results_.push_back(merge.result);
    doubles_.push_back(merge.left == merge.right);
    last_made[merge.result] = rank;
  }
  for (size_t rank = 0; rank < merges.size(); ++rank)
    for (const int32_t part : {merges[rank].left, merges[rank].right})
      ordered_ = ordered_ && last_made[part] < static_cast<int32_t>(rank);
}

// Where every merge comes after those that make its parts, merging may start from whole characters instead of bytes.
// Merges are then of three kinds: inside one character, of whole characters, and crossing ones, which join a part of a
// character with something outside it. Take a piece in which no crossing merge can happen. What is inside a character
// merges without regard to its neighbours; and a merge of whole characters comes after all merges inside those it
// needs, so doing all of the inside ones first changes nothing. The first crossing merge in a piece joins two symbols
// that no crossing merge made: the bytes that meet there are noted in crossing_, and a piece in which such bytes meet
// between two characters starts from its bytes. (Of M1's merges one in 127 crosses, nearly all of them Arabic, Korean,
// kana or behind a space.) Chinese text has three bytes a character: this makes it several times faster.
void Bpe::find_whole_characters(std::span<const Merge> merges, const Vocabulary& vocabulary) {
  characters_.assign(0x10000, -1);
  std::vector<int32_t> ids;
  for (const Merge& merge : merges) {
    const std::string_view left = vocabulary.bytes(merge.left), right = vocabulary.bytes(merge.right);
    const Shape a = shape_of(left), b = shape_of(right);
    if (a == Shape::kMixed || b == Shape::kMixed || (a == Shape::kWhole && b == Shape::kWhole)) continue;
    const std::string_view made = vocabulary.bytes(merge.result);
    const Shape shape = shape_of(made);
    if (a == Shape::kWhole || b == Shape::kWhole || shape == Shape::kMixed) {
      crossing_.set(static_cast<size_t>(static_cast<unsigned char>(left.back())) << 8 |
                    static_cast<unsigned char>(right.front()));
    } else if (shape == Shape::kWhole && made.size() <= 3) {
      int32_t symbols[3];
      for (size_t i = 0; i < made.size(); ++i) symbols[i] = byte_ids_[static_cast<unsigned char>(made[i])];
      ids.clear();
      merge_short(symbols, static_cast<int64_t>(made.size()), ids);
      if (ids.size() == 1) characters_[decode_utf8(made.data(), made.data() + made.size()).code_point] = ids[0];
    }
  }
}

inline int32_t Bpe::rank(int32_t left, int32_t right) const {
  const uint64_t key = pair_key(left, right);
  const uint64_t hash = pair_hash(key);
  const uint64_t bit = hash >> (64 - kFilterBits);
  if ((filter_[bit >> 6] >> (bit & 63) & 1) == 0) return kNoRank;
  for (size_t at = static_cast<size_t>(hash >> shift_);; at = (at + 1) & (pairs_.size() - 1)) {
    const uint64_t pair = pairs_[at];
    if (pair == kEmpty) return kNoRank;
    if (pair >> 22 == key) return static_cast<int32_t>(pair & kNoRank);
  }
}

bool Bpe::split_characters(std::string_view piece, int32_t* ids, int64_t& count) const {
  if (characters_.empty()) return false;
  const char* const end = piece.data() + piece.size();
  count = 0;
  for (const char* p = piece.data(); p < end;) {
    if (p > piece.data() && crossing(p[-1], *p)) return false;
    const Utf8Char c = decode_utf8(p, end);
    if (c.code_point == kInvalidCodePoint) return false;
    const int32_t whole = c.length > 1 && c.code_point < 0x10000 ? characters_[c.code_point] : -1;
    if (whole >= 0)
      ids[count++] = whole;
    else
      for (uint32_t i = 0; i < c.length; ++i) ids[count++] = byte_ids_[static_cast<unsigned char>(p[i])];
    p += c.length;
  }
  return true;
}

int64_t Bpe::split(std::string_view piece, int32_t* ids) const {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  int64_t count = 0;
  if (!std::all_of(piece.begin(), piece.end(), is_ascii) && split_characters(piece, ids, count)) return count;
  count = 0;
  for (const char c : piece) ids[count++] = byte_ids_[static_cast<unsigned char>(c)];
  return count;
}

void Bpe::encode(std::string_view piece, Scratch& scratch, std::vector<int32_t>& out) const {
  MM_CHECK(piece.size() < size_t{1} << 31, "a piece of ", piece.size(), " bytes to tokenize, expected less than 2 GiB");
  if (static_cast<int64_t>(piece.size()) <= kShort) {
    int32_t ids[kShort];
    merge_short(ids, split(piece, ids), out);
    return;
  }
  scratch.ids.resize(piece.size());
  const int64_t count = split(piece, scratch.ids.data());
  if (count <= kShort)
    merge_short(scratch.ids.data(), count, out);
  else
    merge_long({scratch.ids.data(), static_cast<size_t>(count)}, scratch, out);
}

void Bpe::merge_short(int32_t* ids, int64_t count, std::vector<int32_t>& out) const {
  if (count == 0) return;
  int32_t ranks[kShort];  // ranks[i]: of the pair (i, i + 1)
  for (int64_t i = 0; i + 1 < count; ++i) ranks[i] = rank(ids[i], ids[i + 1]);
  ranks[count - 1] = kNoRank;
  while (count > 1) {
    int32_t lowest = kNoRank;
    for (int64_t i = 0; i < count; ++i) lowest = std::min(lowest, ranks[i]);
    if (lowest == kNoRank) break;
    int64_t at = 0;
    while (ranks[at] != lowest) ++at;
    ids[at] = results_[lowest];
    std::copy(ids + at + 2, ids + count, ids + at + 1);
    std::copy(ranks + at + 2, ranks + count, ranks + at + 1);
    --count;
    ranks[at] = at + 1 < count ? rank(ids[at], ids[at + 1]) : kNoRank;
    if (at > 0) ranks[at - 1] = rank(ids[at - 1], ids[at]);
  }
  out.insert(out.end(), ids, ids + count);
}

// Pairs are kept in one list a rank. The list of the lowest rank is taken out and merged from the left; a pair that a
// merge makes has a higher rank where merges come in order, so the list is merged to its end. Where they do not, it is
// put back as soon as a lower rank appears.
void Bpe::merge_long(std::span<const int32_t> ids, Scratch& scratch, std::vector<int32_t>& out) const {
  auto& symbols = scratch.symbols;
  auto& heads = scratch.heads;
  auto& ranks = scratch.ranks;
  auto& same = scratch.same;
  const auto count = static_cast<int32_t>(ids.size());
  symbols.resize(ids.size());
  heads.resize(results_.size(), -1);  // all are -1 again when we leave
  ranks.clear();
  const auto link = [&](int32_t at) {
    auto& symbol = symbols[at];
    if (symbol.rank == kNoRank) return;
    int32_t& head = heads[symbol.rank];
    symbol.before = kHead;
    symbol.after = head;
    if (head >= 0) {
      symbols[head].before = at;
    } else {
      ranks.push_back(symbol.rank);
      std::push_heap(ranks.begin(), ranks.end(), std::greater<>());
    }
    head = at;
  };
  const auto unlink = [&](int32_t at) {
    auto& symbol = symbols[at];
    if (symbol.rank == kNoRank) return;
    if (symbol.before == kHead)
      heads[symbol.rank] = symbol.after;  // the rank may stay in the heap with no symbol
    else if (symbol.before != kLoose)
      symbols[symbol.before].after = symbol.after;
    if (symbol.before != kLoose && symbol.after >= 0) symbols[symbol.after].before = symbol.before;
    symbol.rank = kNoRank;
  };
  const auto relink = [&](int32_t at) {
    unlink(at);
    auto& symbol = symbols[at];
    if (symbol.next >= 0) symbol.rank = rank(symbol.id, symbols[symbol.next].id);
    link(at);
  };

  for (int32_t i = count - 1; i >= 0; --i) {  // from the right, so that lists come out from the left
    const bool last = i + 1 == count;
    const int32_t r = last ? kNoRank : rank(ids[i], ids[i + 1]);
    symbols[i] = {ids[i], r, i - 1, last ? -1 : i + 1, kHead, -1};
    link(i);
  }
  while (!ranks.empty()) {
    const int32_t lowest = ranks.front();
    std::pop_heap(ranks.begin(), ranks.end(), std::greater<>());
    ranks.pop_back();
    same.clear();
    for (int32_t at = heads[lowest]; at >= 0; at = symbols[at].after) {
      same.push_back(at);
      symbols[at].before = kLoose;
    }
    heads[lowest] = -1;
    // Pairs of two different tokens cannot overlap; then their order only matters for what may interrupt them.
    if ((doubles_[lowest] || !ordered_) && !std::is_sorted(same.begin(), same.end()))
      std::sort(same.begin(), same.end());
    for (size_t i = 0; i < same.size(); ++i) {
      if (!ranks.empty() && ranks.front() < lowest) {
        for (; i < same.size(); ++i)
          if (symbols[same[i]].rank == lowest) link(same[i]);
        break;
      }
      const int32_t at = same[i];
      auto& symbol = symbols[at];
      if (symbol.rank != lowest) continue;  // an overlapping pair took its part
      unlink(symbol.next);
      symbol.id = results_[lowest];
      symbol.next = symbols[symbol.next].next;
      if (symbol.next >= 0) symbols[symbol.next].previous = at;
      relink(at);
      if (symbol.previous >= 0) relink(symbol.previous);
    }
  }
  for (int32_t at = 0; at >= 0; at = symbols[at].next) out.push_back(symbols[at].id);
}

// Merging the bytes of a token of M1 takes six merges or so, 200,000 times. Instead look at the one place where it can
// fail: a token's two parts, when each makes itself, become what they are unless a merge joins across the middle first.
// Go back in time from the whole parts: whichever of the two symbols at the middle was made last gives way to its part
// there, and the pair before must not have had a lower rank than the merge that ended it.
std::vector<int32_t> Bpe::not_made(std::span<const Merge> merges, const Vocabulary& vocabulary) const {
  const auto ids = static_cast<size_t>(vocabulary.id_limit());
  std::vector<int32_t> made(ids, -1);  // by id: the rank of the merge that makes it
  std::vector<bool> itself(ids);
  for (const int32_t id : byte_ids_) itself[id] = true;
  Scratch scratch;
  std::vector<int32_t> tokens;
  const auto merge_bytes = [&](int32_t id) {
    tokens.clear();
    encode(vocabulary.bytes(id), scratch, tokens);
    return tokens.size() == 1 && tokens[0] == id;
  };
  const auto meets_undisturbed = [&](const Merge& merge) {
    int32_t left = merge.left, right = merge.right;
    while (made[left] >= 0 || made[right] >= 0) {
      const int32_t end = std::max(made[left], made[right]);
      if (made[left] == made[right]) return merge_bytes(merge.result);  // the order of equals decides: no shortcut
      if (made[left] == end)
        left = merges[end].right;
      else
        right = merges[end].left;
      const int32_t joined = rank(left, right);
      if (joined == end) return merge_bytes(merge.result);
      if (joined < end) return false;
    }
    return true;
  };
  for (size_t r = 0; r < merges.size(); ++r) {
    const Merge& merge = merges[r];
    const bool simple = ordered_ && made[merge.result] < 0 && itself[merge.left] && itself[merge.right];
    itself[merge.result] = simple ? meets_undisturbed(merge) : merge_bytes(merge.result);
    made[merge.result] = static_cast<int32_t>(r);
  }
  std::vector<int32_t> missing;
  for (size_t id = 0; id < ids; ++id)
    if (!itself[id] && !vocabulary.bytes(static_cast<int32_t>(id)).empty()) missing.push_back(static_cast<int32_t>(id));
  return missing;
}

}  // namespace minimax::text
