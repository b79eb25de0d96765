// Tensors, arenas and gradients whose bytes the host cannot address, with a device that is made up.
#include "core/device_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "core/arena.h"
#include "core/tape.h"

namespace minimax {
namespace {

/// Hands out addresses that nothing lies at: what reads them on the host faults.
class MadeUpDevice final : public DeviceMemory {
 public:
  void* allocate(int64_t bytes) override {
    blocks_.emplace_back(static_cast<size_t>(bytes));
    const uintptr_t address = next_;
    next_ += (static_cast<uintptr_t>(bytes) + 255) / 256 * 256;
    starts_.push_back(address);
    live_.insert(address);
    return reinterpret_cast<void*>(address);
  }
  void release(void* memory) noexcept override { live_.erase(reinterpret_cast<uintptr_t>(memory)); }
  void copy(void* to, const void* from, int64_t bytes) override {
    std::memmove(there(to), there(from), static_cast<size_t>(bytes));
  }
  void fill(void* memory, int byte, int64_t bytes) override {
    std::memset(there(memory), byte, static_cast<size_t>(bytes));
  }
  void add(float* sum, const float* more, int64_t count) override {
    auto* to = static_cast<float*>(there(sum));
    const auto* from = static_cast<const float*>(there(more));
    for (int64_t i = 0; i < count; ++i) to[i] += from[i];
  }
  size_t live() const { return live_.size(); }

 private:
  static constexpr uintptr_t kFirst = 0x1000;  // the first page is never mapped, nor are the next few here

  void* there(const void* address) {
    const auto value = reinterpret_cast<uintptr_t>(address);
    for (size_t i = 0; i < starts_.size(); ++i)
      if (value >= starts_[i] && value < starts_[i] + std::max<size_t>(blocks_[i].size(), 1))
        return blocks_[i].data() + (value - starts_[i]);
    return const_cast<void*>(address);
  }

  std::vector<std::vector<char>> blocks_;
  std::vector<uintptr_t> starts_;
  std::set<uintptr_t> live_;
  uintptr_t next_ = kFirst;
};

Tensor numbers(const std::vector<float>& values) {
  return Tensor::from(std::span<const float>(values), {static_cast<int64_t>(values.size())});
}
std::vector<float> values_of(const Tensor& x) {
  const Tensor host = to_host(x);
  return {host.span<float>().begin(), host.span<float>().end()};
}

TEST(DeviceMemory, TensorsGoThereAndBack) {
  MadeUpDevice device;
  {
    const Tensor x = to_memory(numbers({1, 2, 3, 4, 5, 6}), &device);
    EXPECT_EQ(x.device(), Device::kCuda);
    EXPECT_EQ(x.memory(), &device);
    EXPECT_EQ(device.live(), 1u);
    const Tensor row = x.view({3, 2}).rows(1, 2);
    EXPECT_EQ(row.memory(), &device);
    EXPECT_EQ(values_of(row), (std::vector<float>{3, 4}));
    EXPECT_EQ(to_memory(x, &device).raw(), x.raw());
    EXPECT_EQ(values_of(Tensor::zeros({2}, DType::kFloat32, &device)), (std::vector<float>{0, 0}));
  }
  EXPECT_EQ(device.live(), 0u);
}

TEST(DeviceMemory, TheHostDoesNotReadThere) {
  MadeUpDevice device;
  const Tensor x = Tensor::zeros({2}, DType::kFloat32, &device);
  try {
    x.data<float>();
    FAIL() << "read on the host";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    EXPECT_THAT(error.what(), testing::HasSubstr("lies on a device"));
  }
}

TEST(DeviceMemory, CopiesSayWhatDoesNotFit) {
  MadeUpDevice device;
  const Tensor x = Tensor::zeros({2}, DType::kFloat32, &device);
  EXPECT_THROW(copy_bytes(x, Tensor::empty({3}, DType::kFloat32)), Error);
  EXPECT_THROW(copy_bytes(x, Tensor::empty({2}, DType::kInt32)), Error);
}

TEST(DeviceMemory, ArenasReuseTheirBlocks) {
  MadeUpDevice device;
  {
    Arena arena(&device);
    const void* first = arena.empty({100}, DType::kFloat32).raw();
    const Tensor again = arena.empty({90}, DType::kFloat32);
    EXPECT_EQ(again.raw(), first);
    EXPECT_EQ(again.memory(), &device);
    arena.poison();
    const Tensor poisoned = arena.empty({1}, DType::kInt32);
    EXPECT_EQ(*to_host(poisoned).data<int32_t>(), -1);
    EXPECT_EQ(device.live(), 2u);
  }
  EXPECT_EQ(device.live(), 0u);
}

TEST(DeviceMemory, GradientsAddUpThere) {
  MadeUpDevice device;
  const Tensor x = Tensor::zeros({2}, DType::kFloat32, &device);
  Gradients d;
  const Tensor first = to_memory(numbers({1, 2}), &device);
  d.add(x, first);
  d.add(x, to_memory(numbers({10, 20}), &device));
  d.add(x, to_memory(numbers({100, 200}), &device));
  EXPECT_EQ(values_of(*d.find(x)), (std::vector<float>{111, 222}));
  EXPECT_EQ(values_of(first), (std::vector<float>{1, 2})) << "somebody else's tensor was written";
  const Tensor y = Tensor::zeros({3}, DType::kFloat32, &device);
  EXPECT_EQ(d.accumulator(y).memory(), &device);
  EXPECT_EQ(values_of(d.accumulator(y)), (std::vector<float>{0, 0, 0}));
}

}  // namespace
}  // namespace minimax
