// Countdown: make a target from given numbers, each used once.
#pragma once

#include "rl/tasks/task.h"

namespace minimax::rl {

Instance make_countdown(int64_t level, Rng& rng, const TraceOptions& options);
Verdict check_countdown(const io::json::object& gold, std::string_view answer);

}  // namespace minimax::rl
