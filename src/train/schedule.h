// Learning rates over the steps of a run.
#pragma once

#include <cstdint>

namespace minimax::train {

enum class Decay : uint8_t {
  kConstant,
  kCosine,  ///< from the peak after the warm-up to `final_share` of it at the last step
  kWsd,     ///< warm-up, stable, then linearly down over the last `decay_steps`
};

struct Schedule {
  double peak = 1e-3;
  int64_t warmup_steps = 0;  ///< linearly up: step 0 has peak / warmup_steps
  int64_t total_steps = 0;   ///< for kCosine and kWsd
  Decay decay = Decay::kConstant;
  int64_t decay_steps = 0;  ///< for kWsd
  double final_share = 0;   ///< of the peak

  /// The rate of `step`, counted from 0; after the last step that of the last.
  double at(int64_t step) const;
};

}  // namespace minimax::train
