#include "cuda/devices.h"
#include "core/error.h"
#include "cuda/module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace minimax::cuda {
namespace {

using testing::HasSubstr;

GpuReport fake(const std::string& answer) {
  return gpu_devices(std::filesystem::path(MINIMAX_FAKE_MODULES) / ("libcuda_fake_" + answer + ".so"));
}

TEST(GpuDevices, AreTakenFromTheModule) {
  const GpuReport report = fake("two_gpus");
  EXPECT_EQ(report.reason, "");
  EXPECT_EQ(report.driver_version, "13.1");
  EXPECT_EQ(report.runtime_version, "12.9");
  ASSERT_EQ(report.gpus.size(), 2u);
  EXPECT_EQ(report.gpus[0].name, "Fake 0");
  EXPECT_EQ(report.gpus[0].memory_free_bytes, int64_t{70} << 30);
  EXPECT_EQ(report.gpus[1].name, "Fake 1");
  EXPECT_EQ(report.gpus[1].compute_major, 9);
  EXPECT_EQ(report.gpus[1].compute_minor, 1);
  EXPECT_EQ(report.gpus[1].multiprocessors, 132);
  EXPECT_EQ(report.gpus[1].memory_total_bytes, int64_t{80} << 30);
  EXPECT_EQ(report.gpus[1].memory_free_bytes, -1);
}

TEST(GpuDevices, AModuleThatCannotAskTellsWhy) {
  const GpuReport report = fake("no_driver");
  EXPECT_TRUE(report.gpus.empty());
  EXPECT_EQ(report.reason, "driver too old");
}

TEST(GpuDevices, AModuleThatIsMissingIsAReason) {
  const GpuReport report = fake("of_nothing");
  EXPECT_TRUE(report.gpus.empty());
  EXPECT_THAT(report.reason, HasSubstr("built without CUDA"));
  EXPECT_THAT(report.reason, HasSubstr("libcuda_fake_of_nothing.so"));
}

TEST(GpuDevices, AModuleOfAnotherBuildIsRefused) {
  EXPECT_THAT(fake("other_abi").reason,
              HasSubstr(cat("interface ", MINIMAX_CUDA_ABI + 1, ", expected ", MINIMAX_CUDA_ABI)));
  EXPECT_THAT(fake("no_entry").reason, HasSubstr("has no minimax_cuda_module"));
}

TEST(GpuDevices, AFileThatIsNoModuleIsAReason) {
  EXPECT_THAT(gpu_devices("/proc/self/status").reason, HasSubstr("/proc/self/status"));
}

// Whatever this machine has: either GPUs or a reason why not.
TEST(GpuDevices, OfThisMachine) {
  const GpuReport report = gpu_devices(MINIMAX_CUDA_MODULE);
  EXPECT_EQ(report.gpus.empty(), !report.reason.empty()) << report.reason;
  RecordProperty("reason", report.reason);
  // This program lies elsewhere than the module, and a program without a module has no GPU.
  EXPECT_THAT(gpu_devices().reason, HasSubstr("built without CUDA"));
  for (const GpuInfo& gpu : report.gpus) {
    EXPECT_NE(gpu.name, "");
    EXPECT_GT(gpu.memory_total_bytes, 0);
    EXPECT_LE(gpu.memory_free_bytes, gpu.memory_total_bytes);
  }
}

}  // namespace
}  // namespace minimax::cuda
