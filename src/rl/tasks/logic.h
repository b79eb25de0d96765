// Logic in words: knights and knaves, and who lives where (zebra puzzles).
#pragma once

#include "rl/tasks/task.h"

namespace minimax::rl {

Instance make_knights(int64_t level, Rng& rng, const TraceOptions& options);
Instance make_zebra(int64_t level, Rng& rng, const TraceOptions& options);
/// The table equals the solution, which is unique.
Verdict check_zebra(const io::json::object& gold, std::string_view answer);

}  // namespace minimax::rl
