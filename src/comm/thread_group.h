// A process group whose processes are threads of one, for tests of what several do together.
#pragma once

#include <algorithm>
#include <barrier>
#include <functional>
#include <thread>
#include <vector>

#include "comm/process_group.h"

namespace minimax::comm::test {

/// What the members of a group have in common.
struct MeetingPlace {
  explicit MeetingPlace(int size) : barrier(size), values(static_cast<size_t>(size)) {}
  std::barrier<> barrier;
  std::vector<std::byte*> values;  // of each member, while all of them stand still
};

class ThreadMember : public ProcessGroup {
 public:
  ThreadMember(MeetingPlace& place, int rank) : place_(place), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(place_.values.size()); }
  void all_reduce_sum(std::span<float> values) override { add_up(values); }
  void all_reduce_sum(std::span<double> values) override { add_up(values); }
  void broadcast(std::span<std::byte> bytes, int root) override {
    show(bytes);
    if (rank_ != root) std::copy_n(place_.values[static_cast<size_t>(root)], bytes.size(), bytes.begin());
    barrier();
  }
  void barrier() override { place_.barrier.arrive_and_wait(); }

 private:
  void show(std::span<std::byte> bytes) {
    place_.values[static_cast<size_t>(rank_)] = bytes.data();
    barrier();
  }
  template <typename T>
  void add_up(std::span<T> values) {
    show(std::as_writable_bytes(values));
    std::vector<T> sums(values.size());
    for (const std::byte* member : place_.values)
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += reinterpret_cast<const T*>(member)[i];
    barrier();  // all have read
    std::copy(sums.begin(), sums.end(), values.begin());
  }

  MeetingPlace& place_;
  int rank_;
};

/// Calls body(group) once for each of `size` members, all at the same time; returns when all have. What a member throws
/// ends the program: all must come to the same calls.
inline void run_as_group(int size, const std::function<void(ProcessGroup&)>& body) {
  MeetingPlace place(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      ThreadMember member(place, rank);
      body(member);
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace minimax::comm::test
