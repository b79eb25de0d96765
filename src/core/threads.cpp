#include "core/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace minimax {
namespace {

// About 20 microseconds of polling before a thread sleeps: longer than the gap between two ops of a decode step, short
// enough that a busy machine is not stalled (unbounded spinning cost 8-170 ms at the 99th percentile there).
constexpr int kSpins = 4000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// True while this thread runs a body: a nested parallel_for must not wait for the team it is part of.
thread_local bool inside_body = false;

// cgroup v2 cpu.max: "max 100000" or "200000 100000". 0 when there is no limit.
int cgroup_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  int64_t period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return static_cast<int>(std::max<int64_t>(1, (std::stoll(quota) + period - 1) / period));
}

}  // namespace

struct ThreadPool::Team {
  explicit Team(int threads) : size(threads) {
    for (int worker = 1; worker < size; ++worker) workers.emplace_back([this] { work(); });
  }

  ~Team() {
    stopping.store(true);
    start();
    for (std::thread& worker : workers) worker.join();
  }

  void run(int64_t count, int64_t grain_size, const std::function<void(int64_t, int64_t)>& task) {
    std::lock_guard one_at_a_time(callers);
    body = &task;
    end = count;
    grain = grain_size;
    next.store(0, std::memory_order_relaxed);
    pending.store(size - 1, std::memory_order_relaxed);
    start();
    take_pieces();
    wait_for_workers();
    if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
  }

  /// A run costs no system call while the workers are awake. A worker counts itself among the sleepers before it looks
  /// at `generation` for the last time, and this looks at the sleepers after it has changed that: one sees the other.
  void start() {
    generation.fetch_add(1);
    if (sleepers.load() == 0) return;
    std::lock_guard lock(mutex);
    wake.notify_all();
  }

  void take_pieces() {
    inside_body = true;
    try {
      for (;;) {
        const int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= end) break;
        (*body)(begin, std::min(begin + grain, end));
      }
    } catch (...) {
      next.store(end, std::memory_order_relaxed);  // the others need not finish what will be thrown away
      std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
    inside_body = false;
  }

  void wait_for_workers() {
    for (int spin = 0; spin < kSpins; ++spin) {
      if (pending.load(std::memory_order_acquire) == 0) return;
      pause();
    }
    std::unique_lock lock(mutex);
    done.wait(lock, [this] { return pending.load(std::memory_order_acquire) == 0; });
  }

  void wait_for_run(uint64_t seen) {
    for (int spin = 0; spin < kSpins; ++spin) {
      if (generation.load(std::memory_order_acquire) != seen) return;
      pause();
    }
    std::unique_lock lock(mutex);
    sleepers.fetch_add(1);
    wake.wait(lock, [&] { return generation.load() != seen; });
    sleepers.fetch_sub(1);
  }

  void work() {
    for (uint64_t seen = 0;;) {
      wait_for_run(seen);
      // One more at a time: a run ends only when every worker has taken part.
      ++seen;
      if (stopping.load()) return;
      take_pieces();
      if (pending.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::lock_guard lock(mutex);
        done.notify_one();
      }
    }
  }

  const int size;
  std::vector<std::thread> workers;
  std::mutex callers;  // held for a whole run: runs from several threads queue up
  std::mutex mutex;
  std::condition_variable wake, done;
  std::atomic<uint64_t> generation{0};  // counts runs; a change wakes the workers
  std::atomic<int> sleepers{0};         // workers that are to be woken
  std::atomic<int> pending{0};          // workers that have not finished this run
  std::atomic<int64_t> next{0};         // first index not handed out yet
  const std::function<void(int64_t, int64_t)>* body = nullptr;
  int64_t end = 0, grain = 1;
  std::exception_ptr failure;
  std::atomic<bool> stopping{false};
};

ThreadPool::ThreadPool(int threads) : team_(std::make_unique<Team>(threads > 0 ? threads : available())) {}
ThreadPool::~ThreadPool() = default;
int ThreadPool::size() const {
  return team_->size;
}

void ThreadPool::parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (inside_body || team_->size == 1 || count <= grain) {
    body(0, count);
    return;
  }
  team_->run(count, grain, body);
}

int ThreadPool::available() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  int processors = 1;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) processors = std::max(1, CPU_COUNT(&mask));
  const int quota = cgroup_quota();
  return quota > 0 ? std::min(processors, quota) : processors;
}

}  // namespace minimax
