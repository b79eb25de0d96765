// Products of numbers of 16 bits with bytes, four to a 32-bit lane, in integers: exact, so the order does not matter.
//
// A fine number stands in two planes of a byte a number (or of as many bytes in another arrangement, where there is no
// dot product of bytes). As many bytes of a plane belong to four neighbouring numbers: together they are broadcast.
#pragma once

#include "cpu/kernel_text/integers.h"

namespace minimax::cpu::MM_ISA {
namespace {

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#define MM_BYTE_DOT 1
#else
#define MM_BYTE_DOT 0
#endif

/// The largest magnitude of a signed fine number: its high byte is one too when the low byte is signed.
constexpr int32_t kLargestSigned = 127 * 256;
/// Of one that is not negative.
constexpr int32_t kLargestUnsigned = 127 * 256 + 255;

#if MM_BYTE_DOT
MM_INLINE I32 dot_bytes(I32 sum, I32 unsigned_bytes, I32 signed_bytes) {
#if defined(__AVX512VNNI__)
  return (I32)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)unsigned_bytes, (__m512i)signed_bytes);
#else
  return (I32)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)unsigned_bytes, (__m256i)signed_bytes);
#endif
}
#else
/// sum + the products of the two 16-bit halves of each lane.
MM_INLINE U32 dot_words(U32 sum, I32 a, I32 b) {
#if defined(__AVX512F__)
  return sum + (U32)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return sum + (U32)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return sum + (U32)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
  for (int lane = 0; lane < kLanes; ++lane)
    sum[lane] += (uint32_t)((int32_t)(int16_t)a[lane] * (int16_t)b[lane] + (a[lane] >> 16) * (b[lane] >> 16));
  return sum;
#endif
}
/// Each 16-bit half, shifted; the bits of a half stay in it.
MM_INLINE I32 words_right(I32 x, bool sign) {
#if defined(__AVX512F__)
  return sign ? (I32)_mm512_srai_epi16((__m512i)x, 8) : (I32)_mm512_srli_epi16((__m512i)x, 8);
#elif defined(__AVX2__)
  return sign ? (I32)_mm256_srai_epi16((__m256i)x, 8) : (I32)_mm256_srli_epi16((__m256i)x, 8);
#elif defined(__SSE2__)
  return sign ? (I32)_mm_srai_epi16((__m128i)x, 8) : (I32)_mm_srli_epi16((__m128i)x, 8);
#else
  for (int lane = 0; lane < kLanes; ++lane) {
    const int32_t low = sign ? (int16_t)x[lane] >> 8 : (x[lane] & 0xffff) >> 8;
    const int32_t high = sign ? x[lane] >> 24 : (int32_t)((uint32_t)x[lane] >> 24);
    x[lane] = (int32_t)((uint32_t)high << 16 | ((uint32_t)low & 0xffff));
  }
  return x;
#endif
}
#endif

/// kLanes groups of four bytes.
template <bool kSigned>
struct ByteGroups {
#if MM_BYTE_DOT
  I32 bytes;
#else
  I32 even, odd;  // as words: bytes 0 and 2, 1 and 3
#endif

  static MM_INLINE ByteGroups load(const void* from) {
    I32 x;
    __builtin_memcpy(&x, from, sizeof(x));
#if MM_BYTE_DOT
    return {x};
#else
    const I32 odd = words_right(x, kSigned);
    return {kSigned ? words_right((I32)(((U32)x & 0x00ff00ffu) << 8), true) : (I32)((U32)x & 0x00ff00ffu), odd};
#endif
  }
};

/// Four fine numbers, the same in every lane.
struct FineGroup {
  I32 first, second;

  static MM_INLINE FineGroup load(const int8_t* first_plane, const int8_t* second_plane) {
    int32_t first, second;
    __builtin_memcpy(&first, first_plane, sizeof(first));
    __builtin_memcpy(&second, second_plane, sizeof(second));
    return {broadcast_int(first), broadcast_int(second)};
  }
};

struct FineSum {
#if MM_BYTE_DOT
  I32 high, low;
#else
  U32 sum;
#endif

  /// Fine numbers that are not negative times signed bytes, or signed ones times unsigned bytes.
  template <bool kSignedBytes>
  MM_INLINE void add(const ByteGroups<kSignedBytes>& bytes, const FineGroup& fine) {
#if MM_BYTE_DOT
    high = kSignedBytes ? dot_bytes(high, fine.first, bytes.bytes) : dot_bytes(high, bytes.bytes, fine.first);
    low = kSignedBytes ? dot_bytes(low, fine.second, bytes.bytes) : dot_bytes(low, bytes.bytes, fine.second);
#else
    sum = dot_words(dot_words(sum, fine.first, bytes.even), fine.second, bytes.odd);
#endif
  }

  /// Modulo 2^32.
  MM_INLINE U32 total() const {
#if MM_BYTE_DOT
    return ((U32)high << 8) + (U32)low;
#else
    return sum;
#endif
  }
};

/// kLanes fine numbers into their places of the planes. `is_signed`: they are to meet unsigned bytes.
MM_INLINE void split_fine(I32 x, bool is_signed, int8_t* first_plane, int8_t* second_plane) {
#if MM_BYTE_DOT
  narrow((is_signed ? x + 128 : x) >> 8, first_plane);
  narrow(x, second_plane);
#else
  (void)is_signed;
  for (int lane = 0; lane < kLanes; lane += 4) {
    const uint32_t first = ((uint32_t)x[lane] & 0xffff) | (uint32_t)x[lane + 2] << 16;
    const uint32_t second = ((uint32_t)x[lane + 1] & 0xffff) | (uint32_t)x[lane + 3] << 16;
    __builtin_memcpy(first_plane + lane, &first, sizeof(first));
    __builtin_memcpy(second_plane + lane, &second, sizeof(second));
  }
#endif
}

/// Nearest integers, to even in the middle; magnitudes below 2^22.
MM_INLINE I32 nearest(F32 x) {
  return (I32)as_bits(x + 12582912.0f) - 0x4b400000;  // 1.5 * 2^23
}

}  // namespace
}  // namespace minimax::cpu::MM_ISA
