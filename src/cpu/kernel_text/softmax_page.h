// What one page of keys does to a row's running softmax: the part of attention that does not know how keys are kept.
#pragma once

#include "cpu/kernel_text/simd.h"
#include "cpu/kernels.h"

namespace minimax::cpu::MM_ISA {
namespace {

constexpr int kPageVectors = (int)(kChunk / kLanes);

inline int64_t position_of(const AttentionArgs& args, int64_t row) {
  return args.first_position + row / args.group;
}

/// How many keys of the page that starts at `page_key` the row may see.
inline int64_t visible_keys(const AttentionArgs& args, int64_t row, int64_t page_key) {
  const int64_t visible = position_of(args, row) - page_key + 1;
  return visible < 0 ? 0 : visible > kChunk ? kChunk : visible;
}

/// Sets x[key] = hidden for keys from `visible` on.
MM_INLINE void hide_keys(F32 (&x)[kPageVectors], int64_t visible, float hidden) {
  if (visible == kChunk) return;
  I32 key;
  for (int lane = 0; lane < kLanes; ++lane) key[lane] = lane;
  MM_UNROLL for (int v = 0; v < kPageVectors; ++v) x[v] =
      key + v * kLanes < (int32_t)visible ? x[v] : broadcast(hidden);
}

/// Turns one row's scores of a page, -inf where it may not see, into weights; returns what the row's sums so far must
/// be multiplied with.
MM_INLINE float weigh_page(F32 (&scores)[kPageVectors], float& max_score, float& weight_sum) {
  F32 largest = scores[0];
  MM_UNROLL for (int v = 1; v < kPageVectors; ++v) largest = max(scores[v], largest);
  const float page_max = max_of_lanes(largest);
  const float new_max = page_max > max_score ? page_max : max_score;
  // 0 on the first page: exp(-inf). On most later ones the maximum stays, and exp(0) is exactly 1.
  const float rescale = new_max == max_score ? 1.0f : exp(broadcast(max_score - new_max))[0];
  F32 sum{};
  MM_UNROLL for (int v = 0; v < kPageVectors; ++v) {
    scores[v] = exp(scores[v] - new_max);
    sum += scores[v];
  }
  weight_sum = weight_sum * rescale + sum_of_lanes(sum);
  max_score = new_max;
  return rescale;
}

}  // namespace
}  // namespace minimax::cpu::MM_ISA
