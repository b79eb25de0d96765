#include "quant/rounding_error.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quant/format.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define MM_VECTOR_CLONES 1
#endif

namespace minimax::quant {
namespace {

constexpr int64_t kLanes = 16;
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(4)));
// Adding and taking away 1.5 * 2^23 rounds to the nearest even integer, in any instruction set.
constexpr float kRounder = 12582912.0f;

// 16 sums side by side, added in one order. This file is compiled without contraction, so that each instruction set
// rounds alike.
__attribute__((always_inline)) inline float error_of_lanes(const float* weights, const float* importance, Grid grid) {
  const float inverse = 1 / grid.scale;
  const Lanes lo = grid.lo - Lanes{};
  const Lanes hi = grid.hi - Lanes{};
  Lanes sums = {};
  for (int64_t first = 0; first < kGroup; first += kLanes) {
    Lanes w, h;
    std::memcpy(&w, weights + first, sizeof(w));
    std::memcpy(&h, importance + first, sizeof(h));
    Lanes code = (w * inverse + kRounder) - kRounder;
    code = code < lo ? lo : code;
    code = code > hi ? hi : code;
    const Lanes difference = w - code * grid.scale;
    sums += h * (difference * difference);
  }
  const auto eight = __builtin_shufflevector(sums, sums, 0, 1, 2, 3, 4, 5, 6, 7) +
                     __builtin_shufflevector(sums, sums, 8, 9, 10, 11, 12, 13, 14, 15);
  const auto four =
      __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

using ErrorFunction = float (*)(const float*, const float*, Grid);

float error_plain(const float* weights, const float* importance, Grid grid) {
  return error_of_lanes(weights, importance, grid);
}

#ifdef MM_VECTOR_CLONES
__attribute__((target("avx2"))) float error_avx2(const float* weights, const float* importance, Grid grid) {
  return error_of_lanes(weights, importance, grid);
}
__attribute__((target("avx512f"))) float error_avx512(const float* weights, const float* importance, Grid grid) {
  return error_of_lanes(weights, importance, grid);
}
ErrorFunction choose() {
  if (__builtin_cpu_supports("avx512f")) return error_avx512;
  return __builtin_cpu_supports("avx2") ? error_avx2 : error_plain;
}
#else
ErrorFunction choose() {
  return error_plain;
}
#endif

}  // namespace

float rounding_error(const float* weights, const float* importance, Grid grid) {
  static const ErrorFunction chosen = choose();
  return chosen(weights, importance, grid);
}

uint8_t to_e2m1(float x) {
  const float magnitude = std::fabs(x);
  // Half-way points between neighbours; a tie goes to the even code, which is the upper one at 0.75, 1.75 and 3.5.
  const int code = (magnitude > 0.25f) + (magnitude >= 0.75f) + (magnitude > 1.25f) + (magnitude >= 1.75f) +
                   (magnitude > 2.5f) + (magnitude >= 3.5f) + (magnitude > 5.0f);
  return static_cast<uint8_t>(code | (std::signbit(x) ? 8 : 0));
}

float e2m1_error(const float* weights, const float* importance, float scale) {
  constexpr float kMagnitudes[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  const float inverse = 1 / scale;
  float sum = 0;
  for (int64_t k = 0; k < kGroup; ++k) {
    const float difference = std::fabs(weights[k]) - kMagnitudes[to_e2m1(weights[k] * inverse) & 7] * scale;
    sum += importance[k] * (difference * difference);
  }
  return sum;
}

}  // namespace minimax::quant
