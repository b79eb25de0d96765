// The verbs: each takes its options and the terminal, returns the exit code, and lives in a file of its own.
#pragma once

#include "cli/command_tree.h"
#include "cli/options.h"
#include "cli/terminal.h"

namespace minimax::cli {

/// What every verb gets besides its own options.
struct Session {
  Terminal& terminal;
  const GlobalOptions& global;
  const CommandSpec& tree;
};

int run_verb(const HelpOptions& options, Session& session);
int run_verb(const VersionOptions& options, Session& session);
int run_verb(const CompletionOptions& options, Session& session);

/// "minimax 0.1.0 (1a2b3c4d5e)".
std::string version_line();

/// The whole program: parses, runs the verb, turns errors into exit codes (0 ok, 1 failed, 2 usage).
int run_program(int argc, const char* const* argv);

}  // namespace minimax::cli
