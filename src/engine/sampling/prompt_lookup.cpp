#include "engine/sampling/prompt_lookup.h"

#include <algorithm>

namespace minimax::engine {
namespace {

/// Places that are compared; a text that repeats one word has thousands.
constexpr int kCandidates = 8;

}  // namespace

/// Of the min_match ids before `end`.
uint64_t PromptLookup::key(std::span<const int32_t> ids, int64_t end) const {
  uint64_t hash = 0;
  for (int64_t i = end - min_match_; i < end; ++i)
    hash = (hash ^ static_cast<uint32_t>(ids[static_cast<size_t>(i)])) * 0x9FB21C651E98DF25u + 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 32;
}

std::vector<int32_t> PromptLookup::guess(std::span<const int32_t> ids, int64_t count) {
  const auto size = static_cast<int64_t>(ids.size());
  // Everything but the end itself: it would only find itself.
  before_.resize(static_cast<size_t>(size), -1);
  for (indexed_ = std::max(indexed_, min_match_); indexed_ < size; ++indexed_) {
    const auto [place, is_new] = last_.try_emplace(key(ids, indexed_), indexed_);
    if (is_new) continue;
    before_[static_cast<size_t>(indexed_)] = place->second;
    place->second = indexed_;
  }
  if (size < min_match_ || count <= 0) return {};
  const auto found = last_.find(key(ids, size));
  if (found == last_.end()) return {};

  int64_t best = -1, best_match = min_match_ - 1;
  int64_t end = found->second;
  for (int candidate = 0; candidate < kCandidates && end >= 0; ++candidate, end = before_[static_cast<size_t>(end)]) {
    int64_t match = 0;
    while (match < max_match_ && match < end &&
           ids[static_cast<size_t>(end - 1 - match)] == ids[static_cast<size_t>(size - 1 - match)])
      ++match;
    if (match > best_match) {
      best = end;
      best_match = match;
    }
  }
  if (best < 0) return {};
  // A text that repeats itself goes on as it repeats: what is copied may reach into the copy.
  std::vector<int32_t> next;
  for (int64_t i = 0; i < count; ++i)
    next.push_back(best + i < size ? ids[static_cast<size_t>(best + i)] : next[static_cast<size_t>(best + i - size)]);
  return next;
}

}  // namespace minimax::engine
