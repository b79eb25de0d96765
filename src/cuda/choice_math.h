// How a logit becomes a weight to draw by, with the bits of the sampler on the CPU (engine/sampling/sampler.cpp,
// cpu/kernel_text/logits.cpp): no product is fused with a sum. Compiled for device and host alike.
#pragma once

#include <cstdint>
#include <cstring>

#include "cuda/op_kernels.h"

#ifndef MM_BOTH
#ifdef __CUDACC__
#define MM_BOTH __host__ __device__ __forceinline__
#else
#define MM_BOTH inline
#endif
#endif

namespace minimax::cuda::choice {

MM_BOTH float times(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}
MM_BOTH float plus(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}
MM_BOTH uint32_t bits_of(float x) {
#ifdef __CUDA_ARCH__
  return __float_as_uint(x);
#else
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
#endif
}
MM_BOTH float of_bits(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
#endif
}

constexpr float kLargestFloat = 3.402823466e38f;

/// A logit after its penalties and its bias.
MM_BOTH float edited(float logit, const LogitEdit& edit, const SampleRow& row) {
  if (edit.seen >= 0) {
    logit = logit > 0 ? logit / row.repetition_penalty : times(logit, row.repetition_penalty);
    if (edit.seen > 0)
      logit = plus(logit, -plus(row.presence_penalty, times(row.frequency_penalty, static_cast<float>(edit.seen))));
    logit = logit < kLargestFloat ? logit : kLargestFloat;
  }
  if (edit.bias != 0) {
    logit = plus(logit, edit.bias);
    logit = logit < kLargestFloat ? logit : kLargestFloat;
  }
  return logit;
}

/// exp(x) for x <= 0; 0 below -87.
MM_BOTH float exp_unfused(float x) {
  const float clamped = x < -87.0f ? -87.0f : x;
  const float shifted = plus(times(clamped, 1.44269504088896341f), 12582912.0f);
  const float n = plus(shifted, -12582912.0f);
  const float r = plus(plus(clamped, -times(n, 0.693359375f)), times(n, 2.12194440e-4f));
  float p = 1.9875691500e-4f;
  p = plus(times(p, r), 1.3981999507e-3f);
  p = plus(times(p, r), 8.3334519073e-3f);
  p = plus(times(p, r), 4.1665795894e-2f);
  p = plus(times(p, r), 1.6666665459e-1f);
  p = plus(times(p, r), 5.0000001201e-1f);
  const float e = plus(plus(times(times(p, r), r), r), 1.0f);
  return x < -87.0f ? 0.0f : of_bits(bits_of(e) + (bits_of(shifted) << 23));
}

/// A multiple of `quantum`, a power of two; so sums are exact in any order.
MM_BOTH float weight_of(float logit, float max, float inverse_temperature, float quantum) {
  const float e = exp_unfused(times(plus(logit, -max), inverse_temperature));
  const float grid = quantum * 8388608.0f;
  return e < grid ? plus(plus(e, grid), -grid) : e;
}
/// 1 / temperature, finite.
MM_BOTH float inverse_of(float temperature) {
  const float inverse = 1.0f / temperature;
  return inverse < kLargestFloat ? inverse : kLargestFloat;
}

// A ranking by (higher weight, then lower id), cut by digits of a weight's place: its distance from 1 in bits.
constexpr uint32_t kOneBits = 0x3f800000u;
constexpr int kLevels = 3;
MM_BOTH constexpr int level_shift(int level) {
  return 18 - 9 * level;
}
/// No weight but 0 is below 2^-52.
constexpr int kFirstDigits = static_cast<int>((53u << 23 >> 18) + 1), kLaterDigits = 512;

MM_BOTH uint32_t place_of(float weight) {
  return kOneBits - bits_of(weight);
}
MM_BOTH float weight_at(uint32_t place) {
  return of_bits(kOneBits - place);
}

/// The first ids of the ranking: those of more than `weight`, and of just that weight those up to last_id.
struct Head {
  float weight = 1.401298464e-45f;  // any above 0
  int32_t last_id = 2147483647;
  double mass = 0;

  MM_BOTH bool has(float w, int32_t id) const { return w > weight || (w == weight && id <= last_id); }
};

/// When a head is long enough: by its count, or by the mass it holds.
struct Enough {
  int64_t count;  ///< 0: the mass decides
  double mass;
  MM_BOTH bool reached(int64_t have, double held) const { return count > 0 ? have >= count : have > 0 && held >= mass; }
};

/// How many of `there` equal weights the head takes, at least one, when `before` of mass rank before them.
MM_BOTH int64_t taken_of(const Enough& enough, int64_t before, double mass, double weight, int64_t there) {
  int64_t low = 1, high = there;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (enough.reached(before + middle, mass + static_cast<double>(middle) * weight))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

}  // namespace minimax::cuda::choice
