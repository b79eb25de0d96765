#include "cpu/ceilings.h"

#include <gtest/gtest.h>

#include <vector>

#include "cpu/isa.h"

namespace minimax::cpu {
namespace {

TEST(Ceilings, ProbesReadAndComputeWhatTheySay) {
  std::vector<float> ones(4 * 128, 1.0f);
  for (const Kernels* kernels : usable_kernels()) {
    EXPECT_EQ(kernels->probe_read(ones.data(), 128), 128) << kernels->isa;
    EXPECT_EQ(kernels->probe_read(ones.data(), 4 * 128), 4 * 128) << kernels->isa;
    EXPECT_EQ(kernels->probe_bf16_dot != nullptr, kernels->has_bf16_dot) << kernels->isa;
  }
}

TEST(Ceilings, AreMeasuredForEveryInstructionSet) {
  ThreadPool threads(2);
  for (const Kernels* kernels : usable_kernels()) {
    const double fma = fma_peak(threads, *kernels), dot = bf16_dot_peak(threads, *kernels);
    const double read = read_bandwidth(threads, *kernels);
    // Bounds that hold on any machine that can run this at all; a probe the compiler left out would pass the upper one.
    EXPECT_GT(fma, 1e8) << kernels->isa;
    EXPECT_LT(fma, 1e13) << kernels->isa;
    EXPECT_GT(read, 1e8) << kernels->isa;
    EXPECT_LT(read, 1e12) << kernels->isa;
    EXPECT_EQ(dot > 0, kernels->has_bf16_dot) << kernels->isa;
  }
}

}  // namespace
}  // namespace minimax::cpu
