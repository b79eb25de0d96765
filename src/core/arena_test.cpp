#include "core/arena.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

namespace minimax {
namespace {

TEST(Arena, ReusesBlocksAndTensorsMayOutliveIt) {
  Tensor survivor;
  {
    Arena arena;
    void* first = arena.empty({1000}, DType::kFloat32).raw();
    EXPECT_EQ(arena.bytes_in_use(), 0);
    survivor = arena.empty({999}, DType::kFloat32);
    EXPECT_EQ(survivor.raw(), first);
    const int64_t reserved = arena.bytes_reserved();
    Tensor second = arena.empty({1000}, DType::kFloat32);
    EXPECT_EQ(arena.bytes_reserved(), 2 * reserved);
    second = Tensor();
    arena.trim();
    EXPECT_EQ(arena.bytes_reserved(), reserved);
  }
  std::memset(survivor.raw(), 1, static_cast<size_t>(survivor.bytes()));
}

TEST(Arena, PoisonedTensorsAreNaNAndMinusOne) {
  Arena arena;
  arena.empty({100}, DType::kFloat32);  // the block that comes back
  arena.poison();
  const Tensor floats = arena.empty({100}, DType::kFloat32), integers = arena.empty({2000}, DType::kInt32);
  for (const float value : floats.span<float>()) EXPECT_TRUE(std::isnan(value));
  for (const int32_t value : integers.span<int32_t>()) EXPECT_EQ(value, -1);
}

// Any order of taking, giving back and trimming: tensors are aligned, keep their bytes, and are counted.
RC_GTEST_PROP(Arena, LiveTensorsKeepTheirBytes, ()) {
  struct Live {
    Tensor tensor;
    uint8_t mark;
  };
  Arena arena;
  std::vector<Live> live;
  const auto steps = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 1000));
  for (const int step : steps) {
    if (step < 500) {
      const int64_t bytes = *rc::gen::oneOf(rc::gen::inRange<int64_t>(0, 100), rc::gen::inRange<int64_t>(0, 50000));
      const Tensor tensor = arena.empty({bytes}, DType::kUInt8);
      RC_ASSERT(reinterpret_cast<uintptr_t>(tensor.raw()) % 64 == 0u);
      std::memset(tensor.raw(), step & 0xff, static_cast<size_t>(bytes));
      live.push_back({tensor, static_cast<uint8_t>(step & 0xff)});
    } else if (step < 950 && !live.empty()) {
      live.erase(live.begin() + step % static_cast<int64_t>(live.size()));
    } else if (step >= 950) {
      arena.trim();
    }
    int64_t wanted = 0;
    for (const Live& one : live) {
      wanted += one.tensor.bytes();
      RC_ASSERT(std::ranges::all_of(one.tensor.span<uint8_t>(), [&](uint8_t byte) { return byte == one.mark; }));
    }
    RC_ASSERT(arena.bytes_in_use() >= wanted);
    RC_ASSERT(arena.bytes_reserved() >= arena.bytes_in_use());
  }
  live.clear();
  RC_ASSERT(arena.bytes_in_use() == 0);
  arena.trim();
  RC_ASSERT(arena.bytes_reserved() == 0);
}

TEST(Arena, ThreadsMayTakeAndGiveBackAtOnce) {
  Arena arena;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&arena, thread] {
      Tensor kept;
      for (int64_t i = 0; i < 500; ++i) {
        const Tensor tensor = arena.empty({1 + i * 37 % 5000}, DType::kInt32);
        std::fill_n(tensor.data<int32_t>(), tensor.elements(), thread);
        if (kept.defined()) {
          EXPECT_EQ(kept.data<int32_t>()[0], thread);
        }
        kept = tensor;
        if (i % 100 == 99) arena.trim();
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(arena.bytes_in_use(), 0);
}

}  // namespace
}  // namespace minimax
