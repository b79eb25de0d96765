// The command line, the environment and the configuration file, turned into one verb's options.
#pragma once

#include "cli/command.h"
#include "cli/options.h"

namespace minimax::cli {

/// The program: all verbs with their flags. `global` must outlive it.
Command define_program(GlobalOptions& global);

/// Matches argv against `program`, takes what is missing from the environment and the settings file, hands every flag
/// its words, and returns the verb to run. Throws UsageError for what cannot be understood, with a suggestion where one
/// is near.
Command& parse_command_line(Command& program, GlobalOptions& global, int argc, const char* const* argv);

}  // namespace minimax::cli
