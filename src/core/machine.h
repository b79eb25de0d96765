// Machine: what the processor, the memory and the limits around this process are, as Linux tells.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace minimax {

/// Nothing where the system does not say, or sets no limit.
struct Machine {
  std::string system;                     ///< "Linux 6.1.0-18-amd64 x86_64"
  std::string processor;                  ///< "AMD EPYC 9654 96-Core Processor"
  std::vector<std::string> instructions;  ///< of those that matter to the kernels: avx2, avx512_bf16, amx_int8, ...
  int processors = 0;                     ///< logical ones, of the machine
  int cores = 0;                          ///< physical ones; 0: unknown
  int numa_nodes = 1;
  int processors_allowed = 0;             ///< the affinity mask of this process
  std::optional<double> processor_quota;  ///< of its control group: processors' worth of time
  std::string governor;                   ///< of processor 0: "performance", "powersave"; empty: unknown

  int64_t memory_total = 0;      ///< bytes
  int64_t memory_available = 0;  ///< what can be had without swapping, page cache included
  int64_t swap_used = 0;
  std::optional<int64_t> memory_limit;       ///< of the control group; less than memory_total
  std::optional<int64_t> memory_limit_used;  ///< in that group, page cache included
  std::optional<int64_t> memlock_limit;      ///< RLIMIT_MEMLOCK
  bool may_lock_memory = false;              ///< CAP_IPC_LOCK: the limit does not bind
  std::string transparent_huge_pages;        ///< always, madvise, never; empty: unknown

  std::filesystem::path folder;      ///< where the disk was looked at
  std::optional<int64_t> disk_free;  ///< for us, in that folder
};

/// Never throws for what cannot be read. `root` stands before /proc and /sys: tests plant files there. Affinity,
/// memlock limit and disk are asked of the system itself.
Machine inspect_machine(const std::filesystem::path& folder = ".", const std::filesystem::path& root = "/");

}  // namespace minimax
