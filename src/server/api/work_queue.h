// WorkQueue: a few threads for what is too long for the connections' thread: parsing, templates, tokenizing.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace minimax::server {

class WorkQueue {
 public:
  /// At most `max_waiting` pieces of work wait.
  WorkQueue(int threads, size_t max_waiting) : max_waiting_(max_waiting) {
    for (int thread = 0; thread < threads; ++thread) threads_.emplace_back([this] { work(); });
  }
  /// Finishes what waits.
  ~WorkQueue() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  /// False when too much waits. `piece` must not throw.
  bool post(std::function<void()> piece) {
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() >= max_waiting_) return false;
      waiting_.push_back(std::move(piece));
    }
    changed_.notify_one();
    return true;
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      std::function<void()> piece = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      piece();
      piece = nullptr;  // what it holds goes before the lock is taken again
      lock.lock();
    }
  }

  const size_t max_waiting_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace minimax::server
