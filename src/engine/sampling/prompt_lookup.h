// PromptLookup: guesses the next tokens of a sequence from what followed the same tokens before.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace minimax::engine {

/// An index over one growing sequence (Saxena 2023, "prompt lookup decoding"). Not thread-safe.
class PromptLookup {
 public:
  /// The last `min_match` ids must have stood there before; of several places the one that agrees longest counts, up to
  /// `max_match` ids, of equal ones the latest. 1 <= min_match <= max_match.
  PromptLookup(int64_t min_match, int64_t max_match) : min_match_(min_match), max_match_(max_match) {}

  /// `count` ids that may follow `ids`, which must be what the last call saw and more. Empty: no guess.
  std::vector<int32_t> guess(std::span<const int32_t> ids, int64_t count);

 private:
  uint64_t key(std::span<const int32_t> ids, int64_t end) const;

  int64_t min_match_, max_match_;
  int64_t indexed_ = 0;                         // ends of matches below this are in the index
  std::unordered_map<uint64_t, int64_t> last_;  // hash of min_match ids -> where they ended last
  std::vector<int64_t> before_;                 // by end: where the same hash ended before, or -1
};

}  // namespace minimax::engine
