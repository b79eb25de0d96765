// What this machine can do at most, measured: the figures that benchmarks stand beside.
#pragma once

#include "core/threads.h"
#include "cpu/kernels.h"

namespace minimax::cpu {

// Each takes about 0.2 seconds and gives the best of several passes in which all threads of the pool work, so that a
// busy neighbour lowers the figure as little as can be. Speeds still differ from second to second on shared machines:
// measure the ceiling in the run it is compared with. `kernels` is an entry of usable_kernels().

/// Bytes a second read from memory: a 256 MiB buffer of huge pages where the system grants them, past the caches of
/// the machines we know. Throws kOutOfMemory when there is no room for the buffer.
double read_bandwidth(ThreadPool& threads, const Kernels& kernels);

/// Floating-point operations a second of float32 multiply-adds (2 each) that touch no memory.
double fma_peak(ThreadPool& threads, const Kernels& kernels);

/// The same for bf16 dot products (4 operations a float32 lane); 0 without `has_bf16_dot`.
double bf16_dot_peak(ThreadPool& threads, const Kernels& kernels);

/// The same for 8-bit dot products (8 operations a 32-bit lane), in the instructions that packed products use.
double int8_dot_peak(ThreadPool& threads, const Kernels& kernels);

}  // namespace minimax::cpu
