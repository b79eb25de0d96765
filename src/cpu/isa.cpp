#include "cpu/isa.h"

#include <atomic>
#include <cstdlib>
#include <string>

#include "core/error.h"

namespace minimax::cpu {

namespace generic {
extern const Kernels kTable;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels kTable;
}
namespace avxvnni {
const Kernels& table();
}
namespace avx512 {
extern const Kernels kTable;
}
namespace avx512bf16 {
extern const Kernels kTable;
}
#endif

namespace {

struct Candidate {
  const Kernels* table;
  bool supported;
};

std::vector<Candidate> candidates() {
  std::vector<Candidate> all;
#if defined(__x86_64__)
  __builtin_cpu_init();
  // What -march=x86-64-v3 and -v4 let the compiler use.
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                  __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  const bool bf16 = v4 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi") &&
                    __builtin_cpu_supports("avx512bf16");
  all.push_back({&avx512bf16::kTable, bf16});
  all.push_back({&avx512::kTable, v4});
  all.push_back({&avxvnni::table(), v3 && __builtin_cpu_supports("avxvnni")});
  all.push_back({&avx2::kTable, v3});
#endif
  all.push_back({&generic::kTable, true});
  return all;
}

std::string names(bool only_supported) {
  std::string list;
  for (const Candidate& candidate : candidates())
    if (candidate.supported || !only_supported) list += cat(list.empty() ? "" : ", ", candidate.table->isa);
  return list;
}

const Kernels& choose() {
  if (const char* forced = std::getenv("MINIMAX_ISA"); forced && *forced) return kernels_named(forced);
  return *usable_kernels().front();
}

std::atomic<const Kernels*> scoped{nullptr};  // a test's table, before the chosen one

}  // namespace

std::vector<const Kernels*> usable_kernels() {
  std::vector<const Kernels*> usable;
  for (const Candidate& candidate : candidates())
    if (candidate.supported) usable.push_back(candidate.table);
  return usable;
}

const Kernels& kernels_named(std::string_view name) {
  for (const Candidate& candidate : candidates()) {
    if (name != candidate.table->isa) continue;
    MM_CHECK(candidate.supported, "MINIMAX_ISA=", name, ": this processor does not have it; it has ", names(true));
    return *candidate.table;
  }
  throw Error(ErrorKind::kInvalidArgument, cat("MINIMAX_ISA=", name, ": expected one of ", names(false)));
}

ScopedKernels::ScopedKernels(const Kernels& table) : outer_(scoped.exchange(&table)) {}
ScopedKernels::~ScopedKernels() {
  scoped.store(outer_);
}

const Kernels& kernels() {
  if (const Kernels* table = scoped.load(std::memory_order_relaxed)) [[unlikely]]
    return *table;
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace minimax::cpu
