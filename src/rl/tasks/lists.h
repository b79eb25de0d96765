// Sorting numbers, counting objects of a category, counting letters, and the Caesar cipher.
#pragma once

#include "rl/tasks/task.h"

namespace minimax::rl {

Instance make_sorting(int64_t level, Rng& rng, const TraceOptions& options);
Instance make_object_counting(int64_t level, Rng& rng, const TraceOptions& options);
Instance make_letter_counting(int64_t level, Rng& rng, const TraceOptions& options);
Instance make_caesar(int64_t level, Rng& rng, const TraceOptions& options);

}  // namespace minimax::rl
