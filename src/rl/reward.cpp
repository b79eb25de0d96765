#include "rl/reward.h"

#include <algorithm>
#include <limits>

namespace minimax::rl {

double overlong_penalty(int64_t tokens, int64_t window, int64_t soft) {
  if (soft <= 0) return 0;
  const double beyond = static_cast<double>(tokens - (window - soft)) / static_cast<double>(soft);
  return -std::clamp(beyond, 0.0, 1.0);
}

void set_rewards(std::span<Group> groups, const RewardOptions& options, int64_t window) {
  for (Group& group : groups)
    for (Sample& sample : group.samples) {
      if (!sample.score.score) {
        sample.reward = std::numeric_limits<double>::quiet_NaN();
        continue;
      }
      sample.reward = *sample.score.score > 0 ? *sample.score.score : std::min(*sample.score.score, options.wrong);
      if (sample.score.format_ok) sample.reward += options.format;
      sample.reward +=
          options.overlong_weight * overlong_penalty(sample.sampled_tokens(), window, options.overlong_tokens);
    }
}

}  // namespace minimax::rl
