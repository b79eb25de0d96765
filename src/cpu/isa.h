// Which instruction sets this processor has, and which one's kernels are used.
#pragma once

#include <string_view>
#include <vector>

#include "cpu/kernels.h"

namespace minimax::cpu {

/// The table in use: the best this processor runs, chosen at the first call;
/// `MINIMAX_ISA=generic|avx2|avx512|avx512bf16` forces one. Throws kInvalidArgument when the forced one is unknown, was
/// not compiled in or is not supported here.
const Kernels& kernels();

/// The tables this processor can run, best first; the last one is always "generic".
std::vector<const Kernels*> usable_kernels();

/// For tests and comparisons: the table of that name, or an Error as for MINIMAX_ISA.
const Kernels& kernels_named(std::string_view name);

}  // namespace minimax::cpu
