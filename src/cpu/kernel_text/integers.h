// Vectors of small integers for the packed products: four 8-bit products added into each 32-bit lane, exactly.
#pragma once

#include "cpu/kernel_text/simd.h"

namespace minimax::cpu::MM_ISA {
namespace {

/// Bytes of a full vector. Lane l of 32 bits holds four of them.
typedef uint8_t Bytes __attribute__((vector_size(kLanes * 4)));
/// The same as 16-bit words.
typedef uint16_t Words __attribute__((vector_size(kLanes * 4)));

MM_INLINE Bytes load_bytes(const void* from) {
  Bytes x;
  __builtin_memcpy(&x, from, sizeof(x));
  return x;
}
MM_INLINE void store_bytes(void* to, Bytes x) {
  __builtin_memcpy(to, &x, sizeof(x));
}
MM_INLINE I32 broadcast_int(int32_t x) {
#if defined(__AVX512F__)
  return (I32)_mm512_set1_epi32(x);
#elif defined(__AVX2__)
  return (I32)_mm256_set1_epi32(x);
#else
  return I32{x, x, x, x};
#endif
}
MM_INLINE Bytes broadcast_byte(uint8_t x) {
  return (Bytes)broadcast_int((int32_t)(x * 0x01010101u));
}
MM_INLINE F32 to_floats(I32 x) {
#if defined(__AVX512F__)
  return (F32)_mm512_cvtepi32_ps((__m512i)x);
#elif defined(__AVX2__)
  return (F32)_mm256_cvtepi32_ps((__m256i)x);
#else
  return __builtin_convertvector(x, F32);
#endif
}

/// kLanes bytes, each widened to 32 bits.
MM_INLINE I32 widen_bytes(const uint8_t* from) {
#if defined(__AVX512F__)
  return (I32)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)from));
#elif defined(__AVX2__)
  return (I32)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)from));
#else
  return I32{from[0], from[1], from[2], from[3]};
#endif
}

/// The low byte of each lane.
MM_INLINE void narrow(I32 x, int8_t* to) {
#if defined(__AVX512F__)
  _mm_storeu_si128((__m128i*)to, _mm512_cvtepi32_epi8((__m512i)x));
#else
  for (int lane = 0; lane < kLanes; ++lane) to[lane] = (int8_t)x[lane];
#endif
}

MM_INLINE int32_t total_of_lanes(I32 x) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_epi32((__m512i)x);
#endif
  int32_t sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += x[lane];
  return sum;
}

/// Of numbers that are not negative.
MM_INLINE int32_t largest_of_lanes(I32 x) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_epi32((__m512i)x);
#endif
  int32_t largest = 0;
  for (int lane = 0; lane < kLanes; ++lane) largest = x[lane] > largest ? x[lane] : largest;
  return largest;
}

/// The low half of every byte, and the high half.
MM_INLINE Bytes low_nibbles(Bytes x) {
  return x & broadcast_byte(0x0f);
}
MM_INLINE Bytes high_nibbles(Bytes x) {
  return (Bytes)((U32)x >> 4) & broadcast_byte(0x0f);
}

/// table[nibble] for every byte of `nibbles`, all below 16.
MM_INLINE Bytes look_up(const uint8_t (&table)[16], Bytes nibbles) {
#if defined(__AVX512F__)
  const __m512i entries = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)table));
  return (Bytes)_mm512_shuffle_epi8(entries, (__m512i)nibbles);
#elif defined(__AVX2__)
  const __m256i entries = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)table));
  return (Bytes)_mm256_shuffle_epi8(entries, (__m256i)nibbles);
#else
  Bytes out;
  for (int i = 0; i < kLanes * 4; ++i) out[i] = table[nibbles[i]];
  return out;
#endif
}

/// Four activations, the same ones in every lane, as dot() wants them.
struct Quad {
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
  I32 all;
#elif defined(__SSE2__)
  I32 even, odd;  // 16-bit words: activations 0 and 2, 1 and 3
#else
  int32_t value[4];
#endif
};

MM_INLINE Quad load_quad(const int8_t* from) {
  [[maybe_unused]] int32_t four;
  __builtin_memcpy(&four, from, sizeof(four));
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
  return {broadcast_int(four)};
#elif defined(__AVX512F__)
  const __m512i all = _mm512_set1_epi32(four);
  return {(I32)_mm512_srai_epi16(_mm512_slli_epi16(all, 8), 8), (I32)_mm512_srai_epi16(all, 8)};
#elif defined(__AVX2__)
  const __m256i all = _mm256_set1_epi32(four);
  return {(I32)_mm256_srai_epi16(_mm256_slli_epi16(all, 8), 8), (I32)_mm256_srai_epi16(all, 8)};
#elif defined(__SSE2__)
  const __m128i all = _mm_set1_epi32(four);
  return {(I32)_mm_srai_epi16(_mm_slli_epi16(all, 8), 8), (I32)_mm_srai_epi16(all, 8)};
#else
  return {{from[0], from[1], from[2], from[3]}};
#endif
}

/// sum + the four products of each lane: unsigned weights, signed activations. Exact: no step saturates (the
/// two-product instruction of 8-bit operands would, hence 16-bit ones where there is no four-product one).
MM_INLINE I32 dot(I32 sum, Bytes weights, const Quad& x) {
#if defined(__AVX512VNNI__)
  return (I32)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)weights, (__m512i)x.all);
#elif defined(__AVXVNNI__)
  return (I32)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)weights, (__m256i)x.all);
#elif defined(__AVX512F__)
  const __m512i even = _mm512_and_si512((__m512i)weights, _mm512_set1_epi16(0xff));
  const __m512i odd = _mm512_srli_epi16((__m512i)weights, 8);
  return sum + (I32)_mm512_madd_epi16(even, (__m512i)x.even) + (I32)_mm512_madd_epi16(odd, (__m512i)x.odd);
#elif defined(__AVX2__)
  const __m256i even = _mm256_and_si256((__m256i)weights, _mm256_set1_epi16(0xff));
  const __m256i odd = _mm256_srli_epi16((__m256i)weights, 8);
  return sum + (I32)_mm256_madd_epi16(even, (__m256i)x.even) + (I32)_mm256_madd_epi16(odd, (__m256i)x.odd);
#elif defined(__SSE2__)
  const __m128i even = _mm_and_si128((__m128i)weights, _mm_set1_epi16(0xff));
  const __m128i odd = _mm_srli_epi16((__m128i)weights, 8);
  return sum + (I32)_mm_madd_epi16(even, (__m128i)x.even) + (I32)_mm_madd_epi16(odd, (__m128i)x.odd);
#else
  for (int lane = 0; lane < kLanes; ++lane)
    for (int i = 0; i < 4; ++i) sum[lane] += weights[lane * 4 + i] * x.value[i];
  return sum;
#endif
}

}  // namespace
}  // namespace minimax::cpu::MM_ISA
