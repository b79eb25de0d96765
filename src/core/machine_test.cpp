#include "core/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace minimax {
namespace {

namespace fs = std::filesystem;

class PlantedMachine : public testing::Test {
 protected:
  PlantedMachine()
      : root_(fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(root_);
    plant("proc/meminfo",
          "MemTotal:       64000000 kB\nMemFree: 1 kB\nMemAvailable:   32000000 kB\n"
          "SwapTotal: 1000 kB\nSwapFree: 400 kB\n");
  }
  ~PlantedMachine() override { fs::remove_all(root_); }

  void plant(const fs::path& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  Machine inspect() { return inspect_machine(".", root_); }

  fs::path root_;
};

TEST_F(PlantedMachine, Processors) {
  std::string text;
  for (int processor = 0; processor < 8; ++processor)
    text += "processor\t: " + std::to_string(processor) +
            "\nmodel name\t: Some CPU 9000\nphysical id\t: " + std::to_string(processor / 4) +
            "\ncore id\t\t: " + std::to_string(processor % 4 / 2) +
            "\nflags\t\t: fpu fma avx2 avx512f avx512_bf16 sse\n\n";
  plant("proc/cpuinfo", text);
  plant("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
  plant("sys/devices/system/node/node0/cpulist", "");
  plant("sys/devices/system/node/node1/cpulist", "");
  plant("sys/devices/system/node/online", "0-1");
  const Machine machine = inspect();
  EXPECT_EQ(machine.processor, "Some CPU 9000");
  EXPECT_EQ(machine.processors, 8);
  EXPECT_EQ(machine.cores, 4);
  EXPECT_EQ(machine.numa_nodes, 2);
  EXPECT_EQ(machine.governor, "powersave");
  EXPECT_THAT(machine.instructions, testing::ElementsAre("avx2", "fma", "avx512f", "avx512_bf16"));
}

TEST_F(PlantedMachine, Memory) {
  plant("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  plant("proc/self/status", "Name:\tx\nCapEff:\t0000000000004000\n");
  Machine machine = inspect();
  EXPECT_EQ(machine.memory_total, 64000000LL * 1024);
  EXPECT_EQ(machine.memory_available, 32000000LL * 1024);
  EXPECT_EQ(machine.swap_used, 600 * 1024);
  EXPECT_EQ(machine.transparent_huge_pages, "madvise");
  EXPECT_TRUE(machine.may_lock_memory);
  EXPECT_EQ(machine.memory_limit, std::nullopt);
  plant("proc/self/status", "CapEff:\tffffffffffffbfff\n");
  EXPECT_FALSE(inspect().may_lock_memory);
}

TEST_F(PlantedMachine, GroupsOfVersion2TheTightestCounts) {
  plant("proc/self/cgroup", "0::/user/service\n");
  plant("sys/fs/cgroup/user/service/memory.max", "max\n");
  plant("sys/fs/cgroup/user/memory.max", "8000000000\n");
  plant("sys/fs/cgroup/user/memory.current", "3000000000\n");
  plant("sys/fs/cgroup/user/service/cpu.max", "150000 100000\n");
  plant("sys/fs/cgroup/user/cpu.max", "400000 100000\n");
  plant("sys/fs/cgroup/cpu.max", "max 100000\n");
  const Machine machine = inspect();
  EXPECT_EQ(machine.memory_limit, 8000000000);
  EXPECT_EQ(machine.memory_limit_used, 3000000000);
  EXPECT_EQ(machine.processor_quota, 1.5);
}

TEST_F(PlantedMachine, GroupsOfVersion1) {
  plant("proc/self/cgroup", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n");
  plant("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  plant("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "1000000\n");
  plant("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "200000\n");
  plant("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
  plant("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  plant("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  const Machine machine = inspect();
  EXPECT_EQ(machine.memory_limit, 1000000);
  EXPECT_EQ(machine.processor_quota, 2.0);
}

TEST_F(PlantedMachine, AGroupNamedFromOutsideTheContainer) {
  plant("proc/self/cgroup", "0::/../../outside\n");
  plant("sys/fs/cgroup/memory.max", "5000000\n");
  EXPECT_EQ(inspect().memory_limit, 5000000);
}

TEST_F(PlantedMachine, NothingToRead) {
  fs::remove_all(root_);
  const Machine machine = inspect();
  EXPECT_EQ(machine.processors, 0);
  EXPECT_EQ(machine.memory_limit, std::nullopt);
  EXPECT_EQ(machine.processor_quota, std::nullopt);
  EXPECT_EQ(machine.transparent_huge_pages, "");
}

TEST_F(PlantedMachine, Nonsense) {
  for (const char* name : {"proc/cpuinfo", "proc/meminfo", "proc/self/cgroup", "proc/self/status",
                           "sys/fs/cgroup/memory.max", "sys/fs/cgroup/cpu.max"})
    plant(name, "CapEff: x\n0::\n::\n\x01 :\n] [\n");
  inspect();
}

TEST(Machine, ThisOne) {
  const Machine machine = inspect_machine();
  EXPECT_GT(machine.processors, 0);
  EXPECT_GT(machine.processors_allowed, 0);
  EXPECT_GT(machine.memory_total, 0);
  EXPECT_GT(machine.disk_free, 0);
}

}  // namespace
}  // namespace minimax
