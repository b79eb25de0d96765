// Cuts the head off a ranking of token weights (top-k, top-p, min-p) without sorting it, and draws from the head.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace minimax::engine {

/// Some ids' number and the sum of their weights.
struct WeightCount {
  int64_t count = 0;
  double mass = 0;
};

/// The first ids of a ranking by (higher weight, then lower id): those with more than `weight`, and those with just
/// that weight up to `last_id`. An id of weight 0 is in no head.
struct Head {
  float weight = std::numeric_limits<float>::denorm_min();
  int32_t last_id = std::numeric_limits<int32_t>::max();
  double mass = 0;  ///< the sum of its weights

  bool has(float w, int32_t id) const { return w > weight || (w == weight && id <= last_id); }
};

/// weights: [vocab], in [0, 1], the largest is 1, multiples of weight_quantum(vocab): made by cpu::exp_weights(). So
/// every sum is exact, and a head is the same however it is found. The functions are linear in the vocabulary for any
/// weights. `buckets` is scratch.

/// The `count` first ids, or all of weight above 0 when they are fewer. total: the sum of all weights. count >= 1.
Head head_of_count(std::span<const float> weights, double total, int64_t count, std::vector<WeightCount>& buckets);

/// The fewest first ids of `head` that hold at least `share` (in [0, 1]) of its mass; one at least.
Head head_of_mass(std::span<const float> weights, const Head& head, double share, std::vector<WeightCount>& buckets);

/// The ids of `head` whose weight is at least `least`.
Head head_of_weight(std::span<const float> weights, const Head& head, float least);

/// The id at which the sum of the head's weights, in order of ids, passes `uniform` * mass. uniform is in [0, 1).
int32_t draw(std::span<const float> weights, const Head& head, double uniform);

}  // namespace minimax::engine
