#include "core/threads.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "core/error.h"

namespace minimax {
namespace {

TEST(ThreadPool, CoversEveryIndexOnceForAnySizeAndGrain) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (int64_t count : {0, 1, 7, 64, 1000})
      for (int64_t grain : {1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> visits(count);
        pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          EXPECT_EQ(begin % grain, 0);
          for (int64_t i = begin; i < end; ++i) ++visits[i];
        });
        for (auto& visit : visits) EXPECT_EQ(visit, 1);
      }
  }
}

TEST(ThreadPool, RethrowsAndStaysUsable) {
  ThreadPool pool(3);
  EXPECT_THROW(pool.parallel_for(100, 1, [](int64_t begin, int64_t) { MM_CHECK(begin != 42, "at ", begin); }), Error);
  std::atomic<int64_t> sum{0};
  pool.parallel_for(100, 1, [&](int64_t begin, int64_t) { sum += begin; });
  EXPECT_EQ(sum, 4950);
}

TEST(ThreadPool, NestedCallsRunInPlace) {
  ThreadPool pool(2);
  std::atomic<int64_t> sum{0};
  pool.parallel_for(4, 1,
                    [&](int64_t, int64_t) { pool.parallel_for(10, 1, [&](int64_t b, int64_t e) { sum += e - b; }); });
  EXPECT_EQ(sum, 40);
}

// Plain, unsynchronised memory: written by whatever thread has an index, read by the caller after the call.
RC_GTEST_PROP(ThreadPool, WhatBodiesWriteIsThereAfterwards, ()) {
  ThreadPool pool(*rc::gen::inRange(1, 6));
  for (const int64_t count : *rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(0, 300))) {
    const int64_t grain = *rc::gen::inRange<int64_t>(-1, 70);
    std::vector<int64_t> values(static_cast<size_t>(count), 0);
    pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
      RC_ASSERT(begin < end && end <= count);
      for (int64_t i = begin; i < end; ++i) values[i] += i + 1;
    });
    RC_ASSERT(std::accumulate(values.begin(), values.end(), int64_t{0}) == count * (count + 1) / 2);
  }
}

TEST(ThreadPool, CallsFromSeveralThreadsQueueUp) {
  ThreadPool pool(3);
  std::vector<std::thread> callers;
  std::vector<int64_t> sums(4, 0);
  for (size_t caller = 0; caller < sums.size(); ++caller)
    callers.emplace_back([&, caller] {
      for (int run = 0; run < 50; ++run) {
        std::vector<int64_t> own(64, 0);
        pool.parallel_for(64, 3, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) own[i] = i;
        });
        sums[caller] += std::accumulate(own.begin(), own.end(), int64_t{0});
      }
    });
  for (std::thread& caller : callers) caller.join();
  for (const int64_t sum : sums) EXPECT_EQ(sum, 50 * 63 * 64 / 2);
}

TEST(ThreadPool, EveryBodyMayThrow) {
  ThreadPool pool(4);
  for (int run = 0; run < 50; ++run)
    EXPECT_THROW(
        pool.parallel_for(20, 1, [](int64_t begin, int64_t) { throw Error(ErrorKind::kInternal, cat(begin)); }), Error);
}

// Idle long enough to sleep, and gone while asleep or just after a run.
TEST(ThreadPool, WakesFromSleepAndEndsAtAnyTime) {
  for (int round = 0; round < 20; ++round) {
    ThreadPool pool(3);
    std::atomic<int64_t> visited{0};
    auto count = [&](int64_t begin, int64_t end) { visited += end - begin; };
    pool.parallel_for(10, 1, count);
    if (round % 2) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    pool.parallel_for(10, 1, count);
    EXPECT_EQ(visited, 20);
  }
}

}  // namespace
}  // namespace minimax
