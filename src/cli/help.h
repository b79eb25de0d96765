// Help texts from the tree of verbs.
#pragma once

#include <string>

#include "cli/command.h"
#include "cli/terminal.h"

namespace minimax::cli {

/// --help of the program (`command` is the root) or of one verb, for the terminal's width and colours.
std::string help_text(const Command& command, const Terminal& terminal);

/// Lines of at most `columns` columns, broken at spaces; a word longer than that stays whole.
std::string wrapped(const std::string& text, int columns, int indent);

}  // namespace minimax::cli
