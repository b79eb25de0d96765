// How the packed formats of quant/format.h lie in memory, and what a kernel needs of each.
//
// A panel holds 32 rows of a weight, in blocks of 256 of k: a header of scales and steps, then groups of 32 of k. A
// group is a row of quads: for four neighbouring k, the four codes of each of the 32 rows, so that the 32-bit lanes of
// a vector are rows. Codes are unsigned.
//
// In a stepped format a block of a row is scale * step[group] * (code - zero[group]), and step * (code - zero) fits a
// signed byte. All sums over a block are integers below 2^24 whatever the order: exact.
#pragma once

#include "cpu/kernel_text/integers.h"

namespace minimax::cpu::MM_ISA {
namespace {

constexpr int kPanelRows = 32, kGroup = 32, kBlock = 256;
constexpr int kGroupsOfBlock = kBlock / kGroup, kQuadsOfGroup = kGroup / 4;
constexpr int kPanelVectors = kPanelRows / kLanes;
constexpr int kVectorBytes = kLanes * 4;
constexpr int kQuadBytes = kPanelRows * 4;
/// What codes of 8 bits and widened codes add: they are unsigned bytes of a signed value.
constexpr int kWideOffset = 128;

/// Codes of a pair of quads: their low nibbles, then their high ones. [4 pairs][32 rows][4 bytes], 512 bytes a group.
MM_INLINE Bytes nibbles_of(const uint8_t* group, int quad, int vector) {
  const Bytes both = load_bytes(group + (quad / 2) * kQuadBytes + vector * kVectorBytes);
  return quad % 2 ? high_nibbles(both) : low_nibbles(both);
}

/// [4][32 rows] bytes: low nibble group 2j, high nibble group 2j + 1.
template <int kMask, bool kOdd>
MM_INLINE I32 nibble_step(const uint8_t* steps, int64_t group, int vector) {
  const I32 both = widen_bytes(steps + (group / 2) * kPanelRows + vector * kLanes);
  return ((kOdd ? both >> 4 : both) & kMask) + 1;
}

/// [2][32 rows] bytes: two bits for each of four groups.
MM_INLINE I32 two_bits(const uint8_t* from, int64_t group, int vector) {
  const I32 four = widen_bytes(from + (group / 4) * kPanelRows + vector * kLanes);
  return (four >> (int)(2 * (group % 4))) & 3;
}

// step_of<kOdd>: the step of a group whose number is odd or even.
struct Q4 {
  static constexpr bool kStepped = true, kInPlace = false;
  static constexpr int kGroupBytes = 512, kPanelHeader = 0, kBlockHeader = 64 + 128 + 64;
  MM_INLINE static I32 zero(const uint8_t* block, int64_t group, int vector) {
    return two_bits(block + 64 + 128, group, vector) + 6;
  }
  template <bool kOdd>
  MM_INLINE static I32 step_of(const uint8_t* block, int64_t group, int vector) {
    return nibble_step<15, kOdd>(block + 64, group, vector);
  }
  MM_INLINE static Bytes codes(const uint8_t* group, int quad, int vector) { return nibbles_of(group, quad, vector); }
};

struct Q5 {
  static constexpr bool kStepped = true, kInPlace = false;
  static constexpr int kGroupBytes = 512 + 128, kPanelHeader = 0, kBlockHeader = 64 + 128;
  MM_INLINE static I32 zero(const uint8_t*, int64_t, int) { return broadcast_int(16); }
  /// Steps end at 8: a code past that, which only a broken file has, is taken as one of these.
  template <bool kOdd>
  MM_INLINE static I32 step_of(const uint8_t* block, int64_t group, int vector) {
    return nibble_step<7, kOdd>(block + 64, group, vector);
  }
  /// After the nibbles [32 rows][4 bytes]: bit j is the high bit of quad j's code.
  MM_INLINE static Bytes codes(const uint8_t* group, int quad, int vector) {
    const U32 bits = (U32)load_bytes(group + 512 + vector * kVectorBytes);
    const U32 placed = quad < 4 ? bits << (quad < 4 ? 4 - quad : 0) : bits >> (quad < 4 ? 0 : quad - 4);
    return nibbles_of(group, quad, vector) | ((Bytes)placed & broadcast_byte(0x10));
  }
};

struct Q6 {
  static constexpr bool kStepped = true, kInPlace = false;
  static constexpr int kGroupBytes = 512 + 256, kPanelHeader = 0, kBlockHeader = 64 + 64;
  MM_INLINE static I32 zero(const uint8_t*, int64_t, int) { return broadcast_int(32); }
  template <bool kOdd>
  MM_INLINE static I32 step_of(const uint8_t* block, int64_t group, int vector) {
    return two_bits(block + 64, group, vector) + 1;
  }
  /// After the nibbles [2][32 rows][4 bytes]: two bits for each of four quads.
  MM_INLINE static Bytes codes(const uint8_t* group, int quad, int vector) {
    const U32 bits = (U32)load_bytes(group + 512 + (quad / 4) * kQuadBytes + vector * kVectorBytes);
    const int place = 2 * (quad % 4);
    const U32 placed = place <= 4 ? bits << (place <= 4 ? 4 - place : 0) : bits >> (place <= 4 ? 0 : place - 4);
    return nibbles_of(group, quad, vector) | ((Bytes)placed & broadcast_byte(0x30));
  }
};

struct ExpertsInt8 {
  static constexpr bool kStepped = false, kInPlace = true, kRowScale = true;
  static constexpr int kGroupBytes = 1024, kPanelHeader = 128, kBlockHeader = 0;
  MM_INLINE static Bytes codes(const uint8_t* group, int quad, int vector) {
    return load_bytes(group + quad * kQuadBytes + vector * kVectorBytes);
  }
};

struct Q8 {
  static constexpr bool kStepped = false, kInPlace = true, kRowScale = false;
  static constexpr int kGroupBytes = 1024, kPanelHeader = 0, kBlockHeader = 512;
  MM_INLINE static F32 scale(const uint8_t* block, int64_t group, int vector) {
    return load_f16((const uint16_t*)block + group * kPanelRows + vector * kLanes);
  }
  MM_INLINE static Bytes codes(const uint8_t* group, int quad, int vector) {
    return load_bytes(group + quad * kQuadBytes + vector * kVectorBytes);
  }
};

struct Mxfp4 {
  static constexpr bool kStepped = false, kInPlace = false, kRowScale = false;
  static constexpr int kGroupBytes = 512, kPanelHeader = 0, kBlockHeader = 256;
  /// Half of 2^(e - 127), for codes are twice the value. An exponent of 0 is the denormal 2^-127.
  MM_INLINE static F32 scale(const uint8_t* block, int64_t group, int vector) {
    const I32 exponent = widen_bytes(block + group * kPanelRows + vector * kLanes);
    I32 bits = exponent == 0 ? broadcast_int(0x00400000) : exponent << 23;
    bits = exponent == 255 ? broadcast_int(0x7fc00000) : bits;
    return as_float((U32)bits) * 0.5f;
  }
  MM_INLINE static Bytes codes(const uint8_t* group, int quad, int vector) {
    static constexpr uint8_t kTwiceE2M1[16] = {128, 129, 130, 131, 132, 134, 136, 140,
                                               128, 127, 126, 125, 124, 122, 120, 116};
    return look_up(kTwiceE2M1, nibbles_of(group, quad, vector));
  }
};

}  // namespace
}  // namespace minimax::cpu::MM_ISA
