// Walking a row in whole vectors with a zero-padded tail.
#pragma once

#include "cpu/kernel_text/simd.h"

namespace minimax::cpu::MM_ISA {

/// Calls function(first, count) for every vector of a row: count is kLanes, less for the tail.
template <typename Function>
void map(int64_t count, Function function) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) function(i, (int64_t)kLanes);
  if (i < count) function(i, count - i);
}

inline F32 load_some(const float* from, int64_t count) {
  return count == kLanes ? load(from) : load_partial(from, count);
}
inline void store_some(float* to, F32 x, int64_t count) {
  count == kLanes ? store(to, x) : store_partial(to, x, count);
}

}  // namespace minimax::cpu::MM_ISA
