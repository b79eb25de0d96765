// Puzzles on grids: sudoku of 4 x 4, and the shortest way through a maze.
#pragma once

#include "rl/tasks/task.h"

namespace minimax::rl {

Instance make_sudoku(int64_t level, Rng& rng, const TraceOptions& options);
Verdict check_sudoku(const io::json::object& gold, std::string_view answer);

Instance make_maze(int64_t level, Rng& rng, const TraceOptions& options);
Verdict check_maze(const io::json::object& gold, std::string_view answer);

}  // namespace minimax::rl
