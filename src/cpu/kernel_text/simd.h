// One vector type for all instruction sets: float32 lanes in the widest register the translation unit is compiled for.
// Included by kernel texts only. Everything lives in a namespace named after the instruction set, and no standard
// container is used here: an inline function compiled for AVX-512 could otherwise be the copy the linker keeps.
#pragma once

#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Before a loop over registers: unrolled whole, else GCC keeps arrays of more than 16 vectors in memory.
#if defined(__clang__)
#define MM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define MM_UNROLL _Pragma("GCC unroll 64")
#endif

/// For functions that take registers by reference.
#define MM_INLINE inline __attribute__((always_inline))

namespace minimax::cpu::MM_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float F32 __attribute__((vector_size(kLanes * 4)));
typedef float F32x4 __attribute__((vector_size(16)));
typedef int32_t I32 __attribute__((vector_size(kLanes * 4)));
typedef uint32_t U32 __attribute__((vector_size(kLanes * 4)));
typedef uint16_t U16 __attribute__((vector_size(kLanes * 2)));

inline F32 load(const float* from) {
  F32 x;
  __builtin_memcpy(&x, from, sizeof(x));
  return x;
}
inline void store(float* to, F32 x) {
  __builtin_memcpy(to, &x, sizeof(x));
}

/// The first `count` < kLanes values; the other lanes are 0.
inline F32 load_partial(const float* from, int64_t count) {
#if defined(__AVX512F__)
  return (F32)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
#else
  F32 x{};
  __builtin_memcpy(&x, from, (uint64_t)count * sizeof(float));
  return x;
#endif
}
inline void store_partial(float* to, F32 x, int64_t count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), (__m512)x);
#else
  __builtin_memcpy(to, &x, (uint64_t)count * sizeof(float));
#endif
}

inline F32 broadcast(float x) {
#if defined(__AVX512F__)
  return (F32)_mm512_set1_ps(x);
#elif defined(__AVX2__)
  return (F32)_mm256_set1_ps(x);
#else
  return F32{x, x, x, x};
#endif
}

/// a * b + c; one rounding where the instruction set has it. Spelled out, with contraction off in these files, so that
/// the same product is never fused in one kernel and not in another.
inline F32 fma(F32 a, F32 b, F32 c) {
#if defined(__AVX512F__)
  return (F32)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (F32)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

inline F32 as_float(U32 bits) {
  F32 x;
  __builtin_memcpy(&x, &bits, sizeof(x));
  return x;
}
inline U32 as_bits(F32 x) {
  U32 bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  return bits;
}

/// Spelled out: GCC 12 makes two vpmovzxwd, a shuffle and an insert of __builtin_convertvector.
inline F32 widen_bf16(U16 half) {
#if defined(__AVX512F__)
  return (F32)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)half), 16);
#elif defined(__AVX2__)
  return (F32)_mm256_slli_epi32(_mm256_cvtepu16_epi32((__m128i)half), 16);
#else
  return as_float(__builtin_convertvector(half, U32) << 16);
#endif
}
inline F32 load_bf16(const uint16_t* from) {
  U16 half;
  __builtin_memcpy(&half, from, sizeof(half));
  return widen_bf16(half);
}
inline F32 load_bf16_partial(const uint16_t* from, int64_t count) {
  U16 half{};
  __builtin_memcpy(&half, from, (uint64_t)count * sizeof(uint16_t));
  return widen_bf16(half);
}

inline float widen_f16(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 0x1f, mantissa = half & 0x3ff;
  uint32_t bits;
  if (exponent == 0) {
    const float magnitude = (float)mantissa * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  bits = sign | (exponent == 0x1f ? 0x7f800000u : (exponent + 112) << 23) | (mantissa << 13);
  float x;
  __builtin_memcpy(&x, &bits, sizeof(x));
  return x;
}
inline F32 load_f16(const uint16_t* from) {
#if defined(__AVX512F__)
  return (F32)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from));
#elif defined(__AVX2__)
  return (F32)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from));
#else
  return F32{widen_f16(from[0]), widen_f16(from[1]), widen_f16(from[2]), widen_f16(from[3])};
#endif
}
inline F32 load_f16_partial(const uint16_t* from, int64_t count) {
  uint16_t half[kLanes] = {};
  __builtin_memcpy(half, from, (uint64_t)count * sizeof(uint16_t));
  return load_f16(half);
}

#if defined(__AVX512BF16__)
/// 32 bf16 values; lane l of the float32 sum takes values 2 l and 2 l + 1.
typedef __m512bh BF16Pairs;

inline BF16Pairs load_pairs(const uint16_t* from) {
  return (BF16Pairs)_mm512_loadu_epi16(from);
}
inline BF16Pairs load_pairs_partial(const uint16_t* from, int64_t count) {
  return (BF16Pairs)_mm512_maskz_loadu_epi16((1u << count) - 1, from);
}

/// sum + a . b for each lane's pair, with the roundings of VDPBF16PS (denormals are zero).
inline F32 dot_bf16(BF16Pairs a, BF16Pairs b, F32 sum) {
  return (F32)_mm512_dpbf16_ps((__m512)sum, a, b);
}
#endif

/// Upper lanes onto lower lanes, halving until one is left: always this tree.
inline float sum_of_lanes(F32 x) {
#if defined(__AVX512F__)
  const __m256 x8 = _mm256_add_ps(_mm512_castps512_ps256((__m512)x), _mm512_extractf32x8_ps((__m512)x, 1));
#elif defined(__AVX2__)
  const __m256 x8 = (__m256)x;
#endif
#if defined(__AVX2__)
  const __m128 x4 = _mm_add_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps(x8, 1));
  const __m128 x2 = _mm_add_ps(x4, _mm_movehl_ps(x4, x4));
  return _mm_cvtss_f32(_mm_add_ss(x2, _mm_movehdup_ps(x2)));
#else
  return (x[0] + x[2]) + (x[1] + x[3]);
#endif
}

/// Four vectors' sums, each by the tree of sum_of_lanes, so with its bits: [a, b, c, d].
inline F32x4 sums_of_lanes(F32 a, F32 b, F32 c, F32 d) {
#if defined(__AVX512F__)
  // 16 lanes to 8: two vectors' halves side by side. 8 to 4: four vectors' quarters.
  const __m512 ab = _mm512_add_ps((__m512)_mm512_insertf64x4((__m512d)a, _mm512_castpd512_pd256((__m512d)b), 1),
                                  (__m512)_mm512_shuffle_f64x2((__m512d)a, (__m512d)b, 0xee));
  const __m512 cd = _mm512_add_ps((__m512)_mm512_insertf64x4((__m512d)c, _mm512_castpd512_pd256((__m512d)d), 1),
                                  (__m512)_mm512_shuffle_f64x2((__m512d)c, (__m512d)d, 0xee));
  const __m512 x4 = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
  const __m512 x2 = _mm512_add_ps(x4, _mm512_permute_ps(x4, 0x4e));
  const __m512 x1 = _mm512_add_ps(x2, _mm512_movehdup_ps(x2));
  const __m512i first_of_each = _mm512_castsi128_si512(_mm_setr_epi32(0, 4, 8, 12));
  return (F32x4)_mm512_castps512_ps128(_mm512_permutexvar_ps(first_of_each, x1));
#elif defined(__AVX2__)
  const __m256 ab = _mm256_add_ps(_mm256_permute2f128_ps((__m256)a, (__m256)b, 0x20),
                                  _mm256_permute2f128_ps((__m256)a, (__m256)b, 0x31));
  const __m256 cd = _mm256_add_ps(_mm256_permute2f128_ps((__m256)c, (__m256)d, 0x20),
                                  _mm256_permute2f128_ps((__m256)c, (__m256)d, 0x31));
  const __m256 x2 = _mm256_add_ps((__m256)_mm256_unpacklo_pd((__m256d)ab, (__m256d)cd),
                                  (__m256)_mm256_unpackhi_pd((__m256d)ab, (__m256d)cd));  // [a c, b d] in pairs
  const __m256 x1 = _mm256_add_ps(x2, _mm256_movehdup_ps(x2));                            // [a . c ., b . d .]
  const __m128 ac = _mm256_castps256_ps128(x1), bd = _mm256_extractf128_ps(x1, 1);
  return (F32x4)_mm_blend_ps(ac, _mm_moveldup_ps(bd), 0xa);
#else
  return F32x4{sum_of_lanes(a), sum_of_lanes(b), sum_of_lanes(c), sum_of_lanes(d)};
#endif
}

inline F32 max(F32 a, F32 b) {
  return a > b ? a : b;
}
inline float max_of_lanes(F32 x) {
#if defined(__AVX512F__)
  const __m256 x8 = _mm256_max_ps(_mm512_castps512_ps256((__m512)x), _mm512_extractf32x8_ps((__m512)x, 1));
#elif defined(__AVX2__)
  const __m256 x8 = (__m256)x;
#endif
#if defined(__AVX2__)
  const __m128 x4 = _mm_max_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps(x8, 1));
  const __m128 x2 = _mm_max_ps(x4, _mm_movehl_ps(x4, x4));
  return _mm_cvtss_f32(_mm_max_ss(x2, _mm_movehdup_ps(x2)));
#else
  float largest = x[0];
  for (int lane = 1; lane < kLanes; ++lane) largest = x[lane] > largest ? x[lane] : largest;
  return largest;
#endif
}

/// e^x to about 1 unit in the last place; exactly 0 below -87.3 and infinity above 88 (normal float32 numbers end at
/// -87.3 and 88.7). NaN stays NaN.
/// x = n ln2 + r with |r| <= ln2/2, e^r by a degree-6 minimax-like polynomial (Taylor terms suffice at this width).
inline F32 exp(F32 x) {
  const F32 low = broadcast(-87.3f), high = broadcast(88.0f);
  F32 clamped = x < low ? low : x;
  clamped = clamped > high ? high : clamped;
  const F32 magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const F32 shifted = fma(clamped, broadcast(1.44269504088896341f), magic);
  const F32 n = shifted - magic;
  F32 r = fma(n, broadcast(-0.693359375f), clamped);  // ln2 in two parts: the first has 9 bits, n * it is exact
  r = fma(n, broadcast(2.12194440e-4f), r);
  F32 p = broadcast(1.9875691500e-4f);
  p = fma(p, r, broadcast(1.3981999507e-3f));
  p = fma(p, r, broadcast(8.3334519073e-3f));
  p = fma(p, r, broadcast(4.1665795894e-2f));
  p = fma(p, r, broadcast(1.6666665459e-1f));
  p = fma(p, r, broadcast(5.0000001201e-1f));
  p = fma(p, r * r, r + 1.0f);
  const I32 exponent = (__builtin_convertvector(n, I32) + 127) << 23;
  F32 scale;
  __builtin_memcpy(&scale, &exponent, sizeof(scale));
  const F32 result = p * scale;
  return x < low ? F32{} : x > high ? broadcast(__builtin_inff()) : result;
}

inline F32 sigmoid(F32 x) {
  return 1.0f / (1.0f + exp(-x));
}

}  // namespace minimax::cpu::MM_ISA
