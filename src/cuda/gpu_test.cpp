// The Gpu class with a module that plays a GPU of 1 MB.
#include "cuda/gpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/error.h"
#include "core/tensor.h"

namespace minimax::cuda {
namespace {

std::filesystem::path fake(const std::string& name) {
  return std::filesystem::path(MINIMAX_FAKE_MODULES) / ("libcuda_fake_" + name + ".so");
}

std::string error_of(const std::function<void()>& action, ErrorKind kind) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  return "no error";
}

TEST(Gpu, KeepsMemoryForTheNextTensorOfThatSize) {
  const std::unique_ptr<Gpu> gpu = Gpu::open(0, fake("two_gpus"));
  const int64_t free = gpu->free_bytes();
  void* first = gpu->allocate(1000);
  gpu->release(first);
  EXPECT_EQ(gpu->free_bytes(), free - 1024);
  EXPECT_EQ(gpu->allocate(1024), first);
  void* other = gpu->allocate(1025);
  EXPECT_NE(other, first);
  gpu->release(first);
  gpu->release(other);
  gpu->trim();
  EXPECT_EQ(gpu->free_bytes(), free);
}

TEST(Gpu, GivesKeptMemoryBackBeforeItSaysNo) {
  const std::unique_ptr<Gpu> gpu = Gpu::open(1, fake("two_gpus"));
  gpu->release(gpu->allocate(700'000));
  void* big = gpu->allocate(900'000);  // only once the other one is gone
  EXPECT_THAT(error_of([&] { gpu->allocate(500'000); }, ErrorKind::kOutOfMemory),
              testing::AllOf(testing::HasSubstr("GPU 1: 500224 bytes are wanted"), testing::HasSubstr("are free")));
  gpu->release(big);
}

TEST(Gpu, SaysWhyThereIsNone) {
  EXPECT_THAT(error_of([] { Gpu::open(0, fake("no_driver")); }, ErrorKind::kDevice),
              testing::HasSubstr("no GPU: driver too old"));
  EXPECT_THAT(error_of([] { Gpu::open(0, fake("of_nothing")); }, ErrorKind::kDevice),
              testing::HasSubstr("built without CUDA"));
  EXPECT_THAT(error_of([] { Gpu::open(0, fake("old_gpu")); }, ErrorKind::kDevice),
              testing::HasSubstr("runs none of this build's kernels: no kernel image"));
  EXPECT_THAT(error_of([] { Gpu::open(2, fake("two_gpus")); }, ErrorKind::kDevice), testing::HasSubstr("GPU 2 of 2"));
}

TEST(Gpu, TensorsInItsMemory) {
  const std::unique_ptr<Gpu> gpu = Gpu::open(0, fake("two_gpus"));
  const std::vector<int32_t> values = {1, 2, 3};
  const Tensor there = to_memory(Tensor::from(std::span<const int32_t>(values), {3}), gpu.get());
  EXPECT_EQ(to_host(there).data<int32_t>()[2], 3);
}

}  // namespace
}  // namespace minimax::cuda
