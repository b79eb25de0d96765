// Addition with carries, chains of + and -, and multiplication.
#pragma once

#include "rl/tasks/task.h"

namespace minimax::rl {

Instance make_addition(int64_t level, Rng& rng, const TraceOptions& options);
Instance make_chain_sum(int64_t level, Rng& rng, const TraceOptions& options);
Instance make_multiplication(int64_t level, Rng& rng, const TraceOptions& options);

}  // namespace minimax::rl
