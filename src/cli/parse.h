// The command line, the environment and the configuration file, turned into one verb's options.
#pragma once

#include "cli/command_tree.h"
#include "cli/options.h"

namespace minimax::cli {

struct CommandLine {
  GlobalOptions global;
  Verb verb;
  CommandSpec tree;
};

/// Throws UsageError for what cannot be understood, with a suggestion where one is near.
CommandLine parse_command_line(int argc, const char* const* argv);

}  // namespace minimax::cli
