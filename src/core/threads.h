// ThreadPool: fork-join over index ranges, for kernels that split their work by output rows.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace minimax {

/// A fixed team of threads; the caller is one of them. Results must not depend on the number of threads: give each
/// index its own output and no part in anybody else's sum. One parallel_for at a time; calls from inside a running body
/// run on the calling thread alone.
class ThreadPool {
 public:
  /// `threads` <= 0: one per processor this process may run on.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  /// Calls body(begin, end) so that every index in [0, count) is covered exactly once, in pieces of at least `grain`
  /// indices and at multiples of it. Pieces are handed out in order as threads come free. Returns when all are done;
  /// rethrows the first exception of a body.
  void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& body);

  /// Processors this process may run on (its affinity mask and cgroup quota).
  static int available();

 private:
  struct Team;
  std::unique_ptr<Team> team_;
};

}  // namespace minimax
