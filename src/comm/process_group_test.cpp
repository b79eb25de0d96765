// What one process can see; tests/cli/train_mpi_test.py starts several.
#include "comm/process_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "core/error.h"

namespace minimax::comm {
namespace {

TEST(ProcessGroup, OneProcessKeepsItsValues) {
  const auto group = one_process();
  EXPECT_EQ(group->rank(), 0);
  EXPECT_EQ(group->size(), 1);
  EXPECT_TRUE(group->is_first());
  std::vector<float> values = {1, 2};
  group->all_reduce_sum(std::span<float>(values));
  group->barrier();
  EXPECT_EQ(values, (std::vector<float>{1, 2}));
}

TEST(ProcessGroup, SaysWhyThereIsNoMpi) {
  try {
    open_mpi("/nonexistent/libminimax_mpi.so");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
    EXPECT_THAT(error.what(), testing::HasSubstr("built without MPI: there is no /nonexistent/libminimax_mpi.so"));
  }
  EXPECT_THROW(open_mpi("/proc/self/exe"), Error);
}

}  // namespace
}  // namespace minimax::comm
