// The grid all caches lie on.
#pragma once

#include <cstdint>

namespace minimax {

/// Positions of a lightning chunk, keys of one softmax-attention block and rows of a KV page, all at absolute
/// multiples. One constant for the three: a prefix snapshot then lies on the grid of each (docs/design.md, P3). Stored
/// in snapshots.
constexpr int64_t kChunk = 64;

}  // namespace minimax
