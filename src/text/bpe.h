// Bpe: splits a piece of text into tokens by byte-pair encoding, merging the pair of lowest rank first.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

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
  class Scratch {
    friend class Bpe;
    struct Symbol {
      int32_t id;
      int32_t rank;            // of the pair (this, next)
      int32_t previous, next;  // neighbours in the piece; -1: none
      int32_t before, after;   // neighbours in the list of pairs of this rank; before is kHead or kLoose at its start
    };
    std::vector<int32_t> ids;
    std::vector<Symbol> symbols;
    std::vector<int32_t> heads;  // by rank: a symbol whose pair has it, or -1
    std::vector<int32_t> ranks;  // min-heap of the ranks with a head
    std::vector<int32_t> same;   // the symbols of one rank
  };

  /// byte_ids: the token of each byte. The bytes of the merges' tokens are looked up in `vocabulary`, now only. Of
  /// merges with the same pair the last counts.
  Bpe(const std::array<int32_t, 256>& byte_ids, std::span<const Merge> merges, const Vocabulary& vocabulary);

  /// Appends the tokens of `piece`: repeatedly merge the adjacent pair of lowest rank, the leftmost of equals, until no
  /// pair has one. Linear in the bytes but for a heap of distinct ranks. Throws kInvalidArgument for a piece of 2 GiB
  /// or more.
  void encode(std::string_view piece, Scratch& scratch, std::vector<int32_t>& out) const;

  /// Tokens of `vocabulary` that merging their own bytes does not make. `merges` and `vocabulary` are the
  /// constructor's.
  std::vector<int32_t> not_made(std::span<const Merge> merges, const Vocabulary& vocabulary) const;

 private:
  static constexpr int32_t kNoRank = (1 << 22) - 1;

  void index_merges(std::span<const Merge> merges, size_t ids);
  void find_whole_characters(std::span<const Merge> merges, const Vocabulary& vocabulary);
  int32_t rank(int32_t left, int32_t right) const;
  bool crossing(char before, char after) const {
    return crossing_[static_cast<size_t>(static_cast<unsigned char>(before)) << 8 | static_cast<unsigned char>(after)];
  }
  /// The symbols that merging starts from, at most one a byte; their number.
  int64_t split(std::string_view piece, int32_t* ids) const;
  bool split_characters(std::string_view piece, int32_t* ids, int64_t& count) const;
  void merge_short(int32_t* ids, int64_t count, std::vector<int32_t>& out) const;
  void merge_long(std::span<const int32_t> ids, Scratch& scratch, std::vector<int32_t>& out) const;

  std::array<int32_t, 256> byte_ids_;
  std::vector<uint64_t> filter_;  // a bit for each hash of a pair that merges: says no to most that do not
  std::vector<uint64_t> pairs_;   // open addressing: left:21 right:21 rank:22
  std::vector<int32_t> results_;  // by rank
  std::vector<bool> doubles_;     // by rank: left is right, so that occurrences may overlap
  int shift_ = 0;
  bool ordered_ = true;              // every merge comes after all that make its parts
  std::vector<int32_t> characters_;  // by code point below U+10000: the token its bytes become on their own, or -1
  std::bitset<65536> crossing_;      // [byte, byte]: a merge may join parts of two characters where these meet
};

}  // namespace minimax::text
