#include "cli/diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace minimax::cli {
namespace {

using testing::HasSubstr;

Host healthy() {
  Host host;
  host.usable_isas = {"avx512bf16", "avx512", "avx2", "generic"};
  host.isa = "avx512bf16";
  host.threads = 8;
  host.machine.processors = host.machine.processors_allowed = 8;
  host.machine.memory_total = 64'000'000'000;
  host.machine.transparent_huge_pages = "madvise";
  host.machine.disk_free = 500'000'000'000;
  return host;
}

// The one finding that the change brings.
Finding only_finding(const Host& host) {
  const std::vector<Finding> findings = diagnose(host);
  EXPECT_EQ(findings.size(), 1u);
  return findings.empty() ? Finding{} : findings.front();
}

TEST(Diagnosis, AHealthyMachineHasNone) {
  EXPECT_TRUE(diagnose(healthy()).empty());
}

TEST(Diagnosis, ForcedInstructionSets) {
  Host host = healthy();
  host.isa = "generic";
  const Finding slower = only_finding(host);
  EXPECT_EQ(slower.severity, Severity::kAdvice);
  EXPECT_THAT(slower.what, HasSubstr("generic kernels, where this processor can run avx512bf16"));
  EXPECT_EQ(slower.advice, "unset MINIMAX_ISA");
  host.isa.clear();
  host.isa_error = "MINIMAX_ISA=avx: expected one of ...";
  EXPECT_EQ(only_finding(host).severity, Severity::kProblem);
  host = healthy();
  host.isa = "generic";
  host.usable_isas = {"generic"};
  EXPECT_EQ(only_finding(host).severity, Severity::kNote);
}

TEST(Diagnosis, Threads) {
  Host host = healthy();
  host.threads = 16;
  EXPECT_EQ(only_finding(host).advice, "--threads 8");
  host = healthy();
  host.machine.processor_quota = 2.5;
  EXPECT_THAT(only_finding(host).advice, HasSubstr("--threads 3"));
  host.threads = 3;
  EXPECT_TRUE(diagnose(host).empty());
  host.machine.processors_allowed = 4;
  EXPECT_THAT(only_finding(host).what, HasSubstr("4 of the machine's 8"));
  host = healthy();
  host.machine.governor = "powersave";
  EXPECT_THAT(only_finding(host).what, HasSubstr("powersave"));
  host = healthy();
  host.machine.numa_nodes = 2;
  EXPECT_THAT(only_finding(host).advice, HasSubstr("numactl"));
}

TEST(Diagnosis, Memory) {
  Host host = healthy();
  host.machine.memory_limit = 8'000'000'000;
  host.machine.memory_limit_used = 3'000'000'000;
  EXPECT_THAT(only_finding(host).what, HasSubstr("8.00 GB of the machine's 64.0 GB (3.00 GB in use)"));
  host = healthy();
  host.machine.memlock_limit = 8'388'608;
  EXPECT_THAT(only_finding(host).what, HasSubstr("--mlock can lock 8.39 MB"));
  host.machine.may_lock_memory = true;
  EXPECT_TRUE(diagnose(host).empty());
  host.machine.transparent_huge_pages = "never";
  EXPECT_THAT(only_finding(host).advice, HasSubstr("echo madvise"));
  host = healthy();
  host.machine.swap_used = 10'000'000'000;
  EXPECT_THAT(only_finding(host).what, HasSubstr("swapped out"));
  host = healthy();
  host.machine.disk_free = 5'000'000;
  EXPECT_THAT(only_finding(host).what, HasSubstr("5.00 MB free"));
}

TEST(Diagnosis, GpusThatAreNotWhatTheKernelsAreFor) {
  Host host = healthy();
  host.gpus.gpus.push_back({.name = "H200", .compute_major = 9});
  EXPECT_TRUE(diagnose(host).empty());
  host.gpus.gpus.push_back({.name = "H200", .compute_major = 9});
  EXPECT_THAT(only_finding(host).what, HasSubstr("of 2 GPUs the first one is used"));
  host.gpus.gpus = {{.name = "A100", .compute_major = 8, .compute_minor = 0}};
  EXPECT_THAT(only_finding(host).what, HasSubstr("compute 8.0 runs them on float32 units"));
}

TEST(Diagnosis, WorstFirst) {
  Host host = healthy();
  host.gpus.gpus.resize(2, {.compute_major = 9});
  host.threads = 16;
  host.isa_error = "bad";
  std::vector<Severity> order;
  for (const Finding& finding : diagnose(host)) order.push_back(finding.severity);
  EXPECT_THAT(order, testing::ElementsAre(Severity::kProblem, Severity::kAdvice, Severity::kNote));
}

}  // namespace
}  // namespace minimax::cli
