// MemoryBudget: how many bytes a cache may hold, and how many it holds.
#pragma once

#include <cstdint>

namespace minimax::engine {

/// Counts what is taken and given back; hands out no memory itself. Not thread-safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t limit) : limit_(limit) {}

  bool fits(int64_t bytes) const { return bytes <= limit_ - used_; }
  void take(int64_t bytes) { used_ += bytes; }
  void give_back(int64_t bytes) { used_ -= bytes; }

  int64_t limit() const { return limit_; }
  int64_t used() const { return used_; }
  int64_t free() const { return limit_ - used_; }

 private:
  int64_t limit_;
  int64_t used_ = 0;
};

}  // namespace minimax::engine
