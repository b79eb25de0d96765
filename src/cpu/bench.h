// What the benchmark programs of this folder share: their header, their options, and one line per case.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/context.h"

namespace minimax::cpu::bench {

/// Options every benchmark takes: [--threads 1,2] [--seconds 1] [--only text of a case's name].
struct Options {
  std::vector<int> threads;  ///< one run of all cases for each; 1 and all processors unless given
  double seconds = 1;        ///< measured for each case
  std::string only;
};

/// Exits with 2 and a usage line when it does not understand.
Options parse(int argc, char** argv);

/// Commit, compiler, processor and instruction set in use.
void print_header(const char* program);

/// The ceiling a case is compared with.
enum class Ceiling { kRead, kFma, kBf16Dot };

/// One case: what it moves or computes, and how to run it once.
struct Case {
  std::string name;
  Ceiling ceiling;
  double work;  ///< bytes read (kRead) or floating-point operations of one run
  std::function<void()> run;
};

/// Runs the case once unmeasured, then for options.seconds in turns with measurements of its ceiling. Prints the median
/// with the slowest and the fastest run, GB/s or GFLOP/s of the median, the ceiling (best of those around the runs),
/// and the share of it that the median and the fastest run reach.
void measure(const Options& options, ThreadPool& threads, const Case& c);

/// Bytes in 4 KiB pages, as those of a mapped file, or in huge pages; filled with numbers in (-1, 1).
Tensor random(ThreadPool& threads, Shape shape, DType dtype, bool huge_pages = false);

}  // namespace minimax::cpu::bench
