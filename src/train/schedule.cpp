#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace minimax::train {

double Schedule::at(int64_t step) const {
  if (step < warmup_steps) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  const int64_t last = std::max<int64_t>(total_steps - 1, 0);
  const double low = peak * final_share;
  const auto progress = [&](int64_t first) {  // 0 at `first`, 1 at the last step
    if (last <= first) return step >= last ? 1.0 : 0.0;
    return std::clamp(static_cast<double>(step - first) / static_cast<double>(last - first), 0.0, 1.0);
  };
  switch (decay) {
    case Decay::kConstant:
      return peak;
    case Decay::kCosine:
      return low + (peak - low) * (1 + std::cos(std::numbers::pi * progress(warmup_steps))) / 2;
    case Decay::kWsd:
      return peak + (low - peak) * progress(std::max(warmup_steps, last - decay_steps));
  }
  return peak;
}

}  // namespace minimax::train
