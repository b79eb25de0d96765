// Shell completion scripts from the tree of verbs.
#pragma once

#include <string>

#include "cli/command.h"

namespace minimax::cli {

/// A script to be sourced. `shell`: bash, zsh or fish; throws kInvalidArgument for another.
std::string completion_script(const Command& tree, const std::string& shell);

}  // namespace minimax::cli
