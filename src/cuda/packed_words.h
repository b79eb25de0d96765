// What a lane of a warp reads of a packed panel (docs/formats.md) and what numbers that is: the index arithmetic of the
// packed kernels, compiled for device and host alike, so that tests without a GPU run the same text.
//
// A warp takes a group: 32 rows by 32 inputs. Lane 4 g + t has rows 4 g .. 4 g + 3 and inputs 8 t .. 8 t + 7, that is
// quads 2 t and 2 t + 1: 16 bytes of a group of 4-bit codes (all lanes' are the group's 512), twice 16 of 8-bit ones.
// These are operands of warp and warpgroup products as they lie, if a product's row i of 16 stands for panel row
// 4 (i % 8) + i / 8 (+ 2 in a second product), and its terms for the inputs that the lane has.
#pragma once

#include <cstdint>
#include <cstring>

#include "quant/format.h"

#ifdef __CUDACC__
#include <cuda_fp16.h>
#define MM_BOTH __host__ __device__ __forceinline__
#else
#include "core/dtype.h"
#define MM_BOTH inline
#endif

namespace minimax::cuda::packed {

using quant::Format;

constexpr int kPanel = 32, kGroup = 32, kBlockGroups = 8;
/// A warp's portion of a panel: half a block, for which all of a lane's codes and scales fit into registers.
constexpr int kHalfGroups = 4;
static_assert(quant::kPanelRows == kPanel && quant::kGroup == kGroup && quant::kBlockGroups == kBlockGroups);

template <Format kFormat>
struct Layout {
  static constexpr bool kBytes = kFormat == Format::kQ8 || kFormat == Format::kExpertsInt8;
  static constexpr bool kSteps = kFormat == Format::kQ4 || kFormat == Format::kQ5 || kFormat == Format::kQ6;
  /// A scale for every group, else for a block or a row.
  static constexpr bool kGroupScales = kFormat == Format::kQ8 || kFormat == Format::kMxfp4;
  static constexpr int kPanelHeader = kFormat == Format::kExpertsInt8 ? kPanel * 4 : 0;
  static constexpr int kBlockHeader = kFormat == Format::kQ8      ? kBlockGroups * kPanel * 2
                                      : kFormat == Format::kQ6    ? kPanel * 2 + 2 * kPanel
                                      : kFormat == Format::kQ5    ? kPanel * 2 + 4 * kPanel
                                      : kFormat == Format::kQ4    ? kPanel * 2 + 4 * kPanel + 2 * kPanel
                                      : kFormat == Format::kMxfp4 ? kBlockGroups * kPanel
                                                                  : 0;
  static constexpr int kGroupBytes = kBytes ? 1024
                                            : 512 + (kFormat == Format::kQ5   ? 128
                                                     : kFormat == Format::kQ6 ? 256
                                                                              : 0);
  static constexpr int kBlockBytes = kBlockHeader + kBlockGroups * kGroupBytes;

  MM_BOTH static int64_t panel_bytes(int64_t inputs) {
    const int64_t groups = (inputs + kGroup - 1) / kGroup, blocks = (groups + kBlockGroups - 1) / kBlockGroups;
    return kPanelHeader + blocks * kBlockHeader + groups * kGroupBytes;
  }
  /// Where the header of a block starts in its panel; the codes of its groups follow.
  MM_BOTH static int64_t block_offset(int64_t block) { return kPanelHeader + block * kBlockBytes; }
};

MM_BOTH uint32_t word_at(const unsigned char* place) {
#ifdef __CUDA_ARCH__
  return *reinterpret_cast<const uint32_t*>(place);
#else
  uint32_t word;
  std::memcpy(&word, place, sizeof(word));
  return word;
#endif
}
MM_BOTH float float_of_bits(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
#endif
}
MM_BOTH float float16_value(uint32_t bits) {
#ifdef __CUDACC__
  return __half2float(__half(__half_raw{static_cast<unsigned short>(bits)}));
#else
  return to_float(float16{static_cast<uint16_t>(bits)});
#endif
}
/// 2^(byte - 127); 0 is 2^-127, which float32 holds as a denormal, 255 is NaN.
MM_BOTH float e8m0_value(uint32_t byte) {
  return float_of_bits(byte == 255 ? 0x7fffffffu : byte == 0 ? 0x00400000u : byte << 23);
}

/// As many columns as an operand of packed_product has for k terms.
MM_BOTH constexpr int64_t packed_columns(int64_t k) {
  return (k + 63) / 64 * 64;
}
/// Which input of its group stands in column `column` of an operand whose columns are ordered for warpgroup products
/// with a in registers: there lane t has terms 2 t, 2 t + 1, 2 t + 8 and 2 t + 9 of each 16.
MM_BOTH constexpr int input_of_column(int column) {
  const int step = column / 16, high = column / 8 % 2, t = column % 8 / 2, odd = column % 2;
  return 8 * t + 4 * step + 2 * odd + high;
}
/// Its inverse.
MM_BOTH constexpr int column_of_input(int input) {
  const int t = input / 8, step = input / 4 % 2, odd = input / 2 % 2, high = input % 2;
  return 16 * step + 8 * high + 2 * t + odd;
}

/// One codes of a group, as it lies in memory, of a lane.
template <Format kFormat>
struct Codes {
  using L = Layout<kFormat>;
  uint32_t low[L::kBytes ? 2 : 1][4];  // [quad][row] of bytes; [row], two quads, of 4-bit codes
  uint32_t high[4];                    // what is above four bits, of q5 and q6

  static constexpr int kPieces = L::kBytes ? 2 : kFormat == Format::kQ5 || kFormat == Format::kQ6 ? 2 : 1;
  /// Where the 16 bytes of piece `piece` start in the group: `low` first, then `high`.
  MM_BOTH static constexpr int place(int piece, int g, int t) {
    if (L::kBytes) return (2 * t + piece) * 128 + 16 * g;
    if (piece == 0) return t * 128 + 16 * g;
    return 512 + (kFormat == Format::kQ6 ? t / 2 * 128 : 0) + 16 * g;
  }
  MM_BOTH uint32_t* words(int piece) { return L::kBytes ? low[piece] : piece == 0 ? low[0] : high; }

  /// Quad 2 t + which of row 4 g + row: four codes without a sign, a byte each. E2M1 as 12 + 2 * value.
  MM_BOTH uint32_t quad(int row, int which, int t) const {
    if constexpr (L::kBytes) {
      return low[which][row];
    } else {
      uint32_t out = low[0][row] >> (which * 4) & 0x0f0f0f0fu;
      if constexpr (kFormat == Format::kQ5) out |= (high[row] >> (2 * t + which) & 0x01010101u) << 4;
      if constexpr (kFormat == Format::kQ6) out |= (high[row] >> (t % 2 * 4 + which * 2) & 0x03030303u) << 4;
      if constexpr (kFormat == Format::kMxfp4) out = twice_e2m1(out);
      return out;
    }
  }

  /// 12 + 2 * value of each byte's E2M1.
  MM_BOTH static uint32_t twice_e2m1(uint32_t codes) {
    // Magnitude m = 0..7 stands for 0, 1, 2, 3, 4, 6, 8, 12. In bytes: no sum leaves its byte.
    const uint32_t m = codes & 0x07070707u;
    const uint32_t four = m >> 2 & 0x01010101u, two = m >> 1 & 0x01010101u, one = m & 0x01010101u;
    // 4: 4, 5: 6, 6: 8, 7: 12 = m + four * (0, 1, 2, 5) by the lower two bits.
    const uint32_t more = (four & one) + 2 * (four & two) + 2 * (four & two & one);
    const uint32_t magnitude = m + more;
    const uint32_t negative = (codes >> 3 & 0x01010101u) * 0xffu;
    return 0x0c0c0c0cu + (magnitude & ~negative) - (magnitude & negative);
  }
};

/// Steps, zero points and scales of rows 4 g .. 4 g + 3 for half a block.
template <Format kFormat>
struct Scales {
  using L = Layout<kFormat>;
  // float16: two words of a block, or of each group; E8M0: a word of each group; float32: four of the panel.
  static constexpr int kScaleWords = kFormat == Format::kQ8            ? 8
                                     : kFormat == Format::kMxfp4       ? 4
                                     : kFormat == Format::kExpertsInt8 ? 4
                                                                       : 2;
  uint32_t scales[kScaleWords];
  uint32_t steps[2], zeros;

  /// `half` 0 or 1 of the block at `header`.
  MM_BOTH void load(const unsigned char* panel, const unsigned char* header, int half, int g) {
    if constexpr (kFormat == Format::kExpertsInt8) {
      for (int i = 0; i < 4; ++i) scales[i] = word_at(panel + 16 * g + 4 * i);
    } else if constexpr (kFormat == Format::kMxfp4) {
      for (int i = 0; i < 4; ++i) scales[i] = word_at(header + (half * 4 + i) * kPanel + 4 * g);
    } else if constexpr (kFormat == Format::kQ8) {
      for (int i = 0; i < 8; ++i) scales[i] = word_at(header + (half * 4 + i / 2) * 64 + 8 * g + i % 2 * 4);
    } else {
      for (int i = 0; i < 2; ++i) scales[i] = word_at(header + 8 * g + 4 * i);
    }
    if constexpr (kFormat == Format::kQ6) steps[0] = word_at(header + 64 + half * kPanel + 4 * g);
    if constexpr (kFormat == Format::kQ5 || kFormat == Format::kQ4)
      for (int i = 0; i < 2; ++i) steps[i] = word_at(header + 64 + (half * 2 + i) * kPanel + 4 * g);
    if constexpr (kFormat == Format::kQ4) zeros = word_at(header + 192 + half * kPanel + 4 * g);
  }

  /// Of the `group`th group of the half, row 4 g + row. 1 where there are none.
  MM_BOTH int step(int group, int row) const {
    if constexpr (kFormat == Format::kQ6) return static_cast<int>(steps[0] >> (8 * row + 2 * group) & 3) + 1;
    if constexpr (kFormat == Format::kQ5)
      return static_cast<int>(steps[group / 2] >> (8 * row + group % 2 * 4) & 7) + 1;
    if constexpr (kFormat == Format::kQ4)
      return static_cast<int>(steps[group / 2] >> (8 * row + group % 2 * 4) & 15) + 1;
    return 1;
  }
  /// The code that stands for zero.
  MM_BOTH int zero(int group, int row) const {
    if constexpr (kFormat == Format::kQ4) return static_cast<int>(zeros >> (8 * row + 2 * group) & 3) + 6;
    return L::kBytes ? 128 : kFormat == Format::kQ6 ? 32 : kFormat == Format::kQ5 ? 16 : 12;
  }
  /// What step * (code - zero) is multiplied by.
  MM_BOTH float scale(int group, int row) const {
    if constexpr (kFormat == Format::kExpertsInt8) return float_of_bits(scales[row]);
    if constexpr (kFormat == Format::kMxfp4) return 0.5f * e8m0_value(scales[group] >> (8 * row) & 0xff);
    if constexpr (kFormat == Format::kQ8) return float16_value(scales[group * 2 + row / 2] >> (row % 2 * 16) & 0xffff);
    return float16_value(scales[row / 2] >> (row % 2 * 16) & 0xffff);
  }
};

/// step * (code - zero) of byte `place` of a quad's codes, exactly.
MM_BOTH float weight_of(uint32_t codes, int place, int step, int zero) {
#ifdef __CUDA_ARCH__
  // 2^23 + code has the code in its lowest byte.
  const float code = __uint_as_float(__byte_perm(codes, 0x4b000000u, 0x7440u + static_cast<uint32_t>(place)));
  return (code - (8388608.0f + static_cast<float>(zero))) * static_cast<float>(step);
#else
  return static_cast<float>(step * (static_cast<int>(codes >> (8 * place) & 0xff) - zero));
#endif
}

/// One number of a matrix: for kernels that need not be fast. `panel` is that of the row.
template <Format kFormat>
MM_BOTH float weight_at(const unsigned char* panel, int row, int64_t input) {
  using L = Layout<kFormat>;
  const int64_t group = input / kGroup, block = group / kBlockGroups;
  const int within = static_cast<int>(group % kBlockGroups), half = within / kHalfGroups, g = row / 4;
  const int k = static_cast<int>(input % kGroup), t = k / 8;
  const unsigned char* header = panel + L::block_offset(block);
  const unsigned char* codes = header + L::kBlockHeader + within * L::kGroupBytes;
  Codes<kFormat> lane;
  for (int piece = 0; piece < Codes<kFormat>::kPieces; ++piece)
    for (int i = 0; i < 4; ++i) lane.words(piece)[i] = word_at(codes + Codes<kFormat>::place(piece, g, t) + 4 * i);
  Scales<kFormat> scales;
  scales.load(panel, header, half, g);
  const int group_of_half = within % kHalfGroups, own = row % 4;
  const float value =
      weight_of(lane.quad(own, k / 4 % 2, t), k % 4, scales.step(group_of_half, own), scales.zero(group_of_half, own));
  return value * scales.scale(group_of_half, own);
}

/// What stands in register `reg` of 4 of a warpgroup product's left operand, step `step` (16 terms) of a group, rows
/// 4 g + 2 pair and 4 g + 2 pair + 1: two weights, the first in the lower half.
struct OperandPlace {
  int row;        ///< of the lane's four
  int which;      ///< quad 2 t + which
  int places[2];  ///< in the quad
};
MM_BOTH constexpr OperandPlace operand_place(int pair, int step, int reg) {
  return {2 * pair + reg % 2, step, {reg / 2, reg / 2 + 2}};
}

// Few rows: activations as integers of 15 bits, in two bytes, so that sums over a block are exact in any order.

/// x = scale * code, code within +-kLargestCode; code = 128 * high + low, each a signed byte.
constexpr int kLargestCode = 127 * 128;
MM_BOTH constexpr int high_part(int code) {
  return (code + 64 + (1 << 20)) / 128 - (1 << 20) / 128;
}
MM_BOTH constexpr int low_part(int code) {
  return code - 128 * high_part(code);
}

/// What a lane has of the sums of half a block: its four rows of the panel with row t of up to 4 of the activations.
/// Sums of each group come as the warp's products give them; asked for in the order of groups.
template <Format kFormat>
struct HalfSums {
  using L = Layout<kFormat>;
  int whole[4] = {};     // without the scales of groups
  float scaled[4] = {};  // with them

  /// high, low: codes times the activations' high and low parts; x_sum: the sum of the activations' codes.
  MM_BOTH void add(const Scales<kFormat>& scales, int group, int row, int high, int low, int x_sum) {
    // Unsigned: a file with impossible steps may wrap, and does no harm.
    const uint32_t dot = 128u * static_cast<uint32_t>(high) + static_cast<uint32_t>(low) -
                         static_cast<uint32_t>(scales.zero(group, row)) * static_cast<uint32_t>(x_sum);
    if constexpr (L::kGroupScales)
      scaled[row] += static_cast<float>(static_cast<int>(dot)) * scales.scale(group, row);
    else
      whole[row] =
          static_cast<int>(static_cast<uint32_t>(whole[row]) + static_cast<uint32_t>(scales.step(group, row)) * dot);
  }
  /// Of the half block, but for the activations' scale.
  MM_BOTH float sum(const Scales<kFormat>& scales, int row) const {
    if constexpr (L::kGroupScales) return scaled[row];
    return static_cast<float>(whole[row]) * scales.scale(0, row);
  }
};

}  // namespace minimax::cuda::packed
