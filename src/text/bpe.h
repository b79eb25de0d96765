// Bpe: splits a piece of text into tokens by byte-pair encoding, merging the pair of lowest rank first.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace minimax::text {

/// Two adjacent tokens become one. The index in the list of merges is the rank.
struct Merge {
  int32_t left;
  int32_t right;
  int32_t result;
};

/// Immutable; encode may be called from many threads, each with its own Scratch.
class Bpe {
 public:
  /// At most this many merges: 22 bits of rank, one value kept for "none".
  static constexpr int64_t kMaxMerges = (int64_t{1} << 22) - 1;

  /// Memory that encode reuses from piece to piece.
  struct Scratch {
    struct Symbol {
      int32_t id;
      uint32_t rank;  // of the pair (this, next)
      int32_t previous;
      int32_t next;
    };
    std::vector<Symbol> symbols;
    std::vector<uint64_t> heap;
  };

  /// byte_ids: the token of each byte. Ids are below Vocabulary::kMaxIds. Of merges with the same pair the last counts.
  Bpe(const std::array<int32_t, 256>& byte_ids, std::span<const Merge> merges);

  /// Appends the tokens of `piece`: repeatedly merge the adjacent pair of lowest rank, the leftmost of equals, until no
  /// pair has one. O(n log n) for n bytes. Throws kInvalidArgument for a piece of 2 GiB or more.
  void encode(std::string_view piece, Scratch& scratch, std::vector<int32_t>& out) const;

 private:
  static constexpr uint32_t kNoRank = (1u << 22) - 1;

  uint32_t rank(int32_t left, int32_t right) const;
  void encode_short(std::string_view piece, std::vector<int32_t>& out) const;
  void encode_long(std::string_view piece, Scratch& scratch, std::vector<int32_t>& out) const;

  std::array<int32_t, 256> byte_ids_;
  std::vector<uint32_t> byte_pair_ranks_;  // [left byte, right byte]: the first look-ups of every piece
  std::vector<uint64_t> filter_;           // a bit for each hash of a pair that merges: says no to most that do not
  std::vector<uint64_t> pairs_;            // open addressing: left:21 right:21 rank:22
  std::vector<int32_t> results_;           // by rank
  int shift_ = 0;
};

}  // namespace minimax::text
