// Dates some days on, and the next number of a sequence.
#pragma once

#include "rl/tasks/task.h"

namespace minimax::rl {

Instance make_date(int64_t level, Rng& rng, const TraceOptions& options);
Instance make_next_number(int64_t level, Rng& rng, const TraceOptions& options);

}  // namespace minimax::rl
