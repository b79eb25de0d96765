// Three boolean expressions at once, and closing brackets.
#pragma once

#include "rl/tasks/task.h"

namespace minimax::rl {

Instance make_boolean(int64_t level, Rng& rng, const TraceOptions& options);
Instance make_brackets(int64_t level, Rng& rng, const TraceOptions& options);

}  // namespace minimax::rl
