// The words of the command line, matched to flags and arguments by CLI11. Its .cpp is the one file that includes CLI11,
// which costs 8 s of compile time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/command.h"

namespace minimax::cli {

struct CommandWords {
  std::string verb;  ///< empty: none was named; of verbs of two words perhaps the first alone
  std::map<std::string, std::vector<std::string>> flags;  ///< by key: the words of each; "true" for a bare switch
  std::vector<std::string> arguments;
  std::vector<std::string> unknown;  ///< what fits nowhere
  std::string problem;               ///< what else is wrong, in words ("--threads: 1 required N missing")

  bool has(const std::string& key) const { return flags.contains(key); }
};

/// Never throws for what a person typed: problems are in the result, beside what could be understood.
CommandWords match_words(const Command& program, int argc, const char* const* argv);

}  // namespace minimax::cli
