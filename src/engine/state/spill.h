// Spill: cached prefixes that had to leave memory, kept in files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <list>
#include <span>
#include <string>

#include "engine/state/session_file.h"

namespace minimax::engine {

/// Files lose their names as soon as they are written and mapped, so that nothing is left behind, however the process
/// ends. The oldest go when there are more bytes than allowed. Not thread-safe.
class Spill {
 public:
  /// max_bytes 0: keeps nothing. Throws kNotFound when the folder does not exist.
  Spill(std::filesystem::path folder, int64_t max_bytes);

  bool enabled() const { return max_bytes_ > 0; }
  /// Takes a copy. A prefix that is too large is not kept; neither is one that cannot be written: a full disk costs
  /// time, not answers.
  void put(const SavedSession& prefix, const ModelConfig& config);
  /// The longest prefix of `ids` that leaves at least one token to compute, or that has logits; null: none. Valid until
  /// the next call of another member.
  const SavedSession* find(const std::string& salt, std::span<const int32_t> ids);
  /// The one of exactly these tokens.
  const SavedSession* find_exact(const std::string& salt, std::span<const int32_t> ids) const;
  /// Forgets what find() gave.
  void drop(const SavedSession* prefix);
  void clear();

  int64_t bytes() const { return bytes_; }
  int64_t writes() const { return writes_; }
  int64_t failures() const { return failures_; }

 private:
  struct Entry {
    SavedSession prefix;
    int64_t bytes = 0;
  };

  std::filesystem::path folder_;
  int64_t max_bytes_;
  int64_t bytes_ = 0;
  int64_t writes_ = 0;
  int64_t failures_ = 0;
  std::list<Entry> entries_;  // oldest first
};

}  // namespace minimax::engine
