// Rewards: from scores and lengths to the numbers whose expectation is to rise.
#pragma once

#include <cstdint>
#include <span>

#include "rl/rollout.h"

namespace minimax::rl {

struct RewardOptions {
  double format = 0;  ///< weight of the form alone, besides the score, for warm-ups
  /// Tokens below the window in which a penalty grows from 0 to 1; beyond the window it is 1. 0: none. (DAPO: 4,096)
  int64_t overlong_tokens = 0;
  double overlong_weight = 1;
  double wrong = 0;  ///< what a wrong answer earns, also one that was cut off or stopped for repeating itself
};

/// DAPO's soft penalty: 0 up to window - soft tokens, then down in a line to -1 at the window, and -1 beyond.
double overlong_penalty(int64_t tokens, int64_t window, int64_t soft);

/// Sets Sample::reward of all: NaN where there is no score.
void set_rewards(std::span<Group> groups, const RewardOptions& options, int64_t window);

}  // namespace minimax::rl
