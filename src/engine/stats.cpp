#include "engine/stats.h"

#include <algorithm>

namespace minimax::engine {

void Histogram::add(double seconds) {
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  ++counts_[static_cast<size_t>(bound - kBounds.begin())];
  ++total_;
  sum_ += seconds;
}

}  // namespace minimax::engine
