// Flags that several verbs share.
#pragma once

#include <string>

#include "cli/command.h"
#include "cli/options.h"

namespace minimax::cli {

void add_global_flags(Command& command, GlobalOptions& options);
void add_model_flags(Command& command, ModelOptions& options);
void add_sampling_flags(Command& command, SamplingOptions& options);

/// --seed, else a number from the system's random device.
uint64_t seed_of(const SamplingOptions& options);

}  // namespace minimax::cli
