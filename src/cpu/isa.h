// Which instruction sets this processor has, and which one's kernels are used.
#pragma once

#include <string_view>
#include <vector>

#include "cpu/kernels.h"

namespace minimax::cpu {

/// The table in use: the best this processor runs, chosen at the first call;
/// `MINIMAX_ISA=generic|avx2|avxvnni|avx512|avx512bf16` forces one. Throws kInvalidArgument when the forced one is
/// unknown, was not compiled in or is not supported here.
const Kernels& kernels();

/// The tables this processor can run, best first; the last one is always "generic".
std::vector<const Kernels*> usable_kernels();

/// For tests and comparisons: the table of that name, or an Error as for MINIMAX_ISA.
const Kernels& kernels_named(std::string_view name);

/// For tests: kernels() is this table, in all threads, until the object goes away. Nests; to be made and destroyed
/// while nothing computes. `table` is one of usable_kernels().
class ScopedKernels {
 public:
  explicit ScopedKernels(const Kernels& table);
  ~ScopedKernels();
  ScopedKernels(const ScopedKernels&) = delete;
  ScopedKernels& operator=(const ScopedKernels&) = delete;

 private:
  const Kernels* outer_;
};

}  // namespace minimax::cpu
