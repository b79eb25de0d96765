// What on a machine stands in the way of `minimax`, and what to do about it.
#pragma once

#include <string>
#include <vector>

#include "core/machine.h"
#include "cuda/devices.h"

namespace minimax::cli {

/// A machine and how this program would use it.
struct Host {
  Machine machine;
  std::vector<std::string> usable_isas;  ///< kernel tables this processor can run, best first
  std::string isa;                       ///< the one in use; empty when MINIMAX_ISA names none that can be
  std::string isa_error;                 ///< why
  int threads = 1;
  cuda::GpuReport gpus;
};

enum class Severity {
  kNote,     ///< good to know
  kAdvice,   ///< works, and could work better
  kProblem,  ///< does not work
};

struct Finding {
  Severity severity;
  std::string what;
  std::string advice;  ///< what to do; may be empty
};

/// Worst first.
std::vector<Finding> diagnose(const Host& host);

}  // namespace minimax::cli
