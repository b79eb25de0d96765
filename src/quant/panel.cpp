#include "quant/panel.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/dtype.h"
#include "core/error.h"

namespace minimax::quant {
namespace {

// The small integers of a block's header, one for each row and group, several to a byte: byte [slot][row] holds groups
// slot * n to slot * n + n - 1, n = 8 / bits, the first in the lowest bits.
struct SmallCodes {
  int64_t offset;  // in the block's header
  int64_t bits;

  int64_t byte(int64_t row, int64_t group) const { return offset + group / (8 / bits) * kPanelRows + row; }
  int64_t shift(int64_t group) const { return group % (8 / bits) * bits; }
};

constexpr int64_t kScaleBytes = kPanelRows * 2;
constexpr SmallCodes kNibbleSteps{kScaleBytes, 4};
constexpr SmallCodes kPairSteps{kScaleBytes, 2};
constexpr SmallCodes kZeros{kScaleBytes + kPanelRows * kBlockGroups / 2, 2};
constexpr uint8_t kFirstZero = 6;

bool has_steps(Format format) {
  return format == Format::kQ4 || format == Format::kQ5 || format == Format::kQ6;
}
const SmallCodes& step_place(Format format) {
  return format == Format::kQ6 ? kPairSteps : kNibbleSteps;
}
// Steps are stored less one. Four bits are more than q5 can use: the highest is ignored, so that no product leaves
// int8.
int64_t most_steps(Format format) {
  return int64_t{1} << (8 - code_bits(format));
}

void put_bits(std::byte& byte, int64_t shift, int64_t bits, unsigned value) {
  const unsigned mask = ((1u << bits) - 1) << shift;
  byte = static_cast<std::byte>((static_cast<unsigned>(byte) & ~mask) | ((value << shift) & mask));
}
unsigned get_bits(std::byte byte, int64_t shift, int64_t bits) {
  return (static_cast<unsigned>(byte) >> shift) & ((1u << bits) - 1);
}

void put_float16(std::byte* place, float value) {
  const float16 half = to_float16(value);
  std::memcpy(place, &half.bits, 2);
}
float get_float16(const std::byte* place) {
  float16 half;
  std::memcpy(&half.bits, place, 2);
  return to_float(half);
}

// Calls visit(byte of the group, shift in it, bits, the lowest bit of the code that lies there) for input `k` of a
// group: a whole byte for 8 bits, else a nibble and, for q5 and q6, what is above it.
template <typename Visit>
void visit_code(Format format, int64_t row, int64_t k, const Visit& visit) {
  const int64_t quad = k / 4;  // the four inputs that a dot product of bytes takes at once
  const int64_t lane = row * 4 + k % 4;
  constexpr int64_t kQuadBytes = kPanelRows * 4;
  if (code_bits(format) == 8) {
    visit(quad * kQuadBytes + lane, 0, 8, 0);
    return;
  }
  visit(quad / 2 * kQuadBytes + lane, quad % 2 * 4, 4, 0);
  constexpr int64_t kNibbleBytes = kPanelRows * kGroup / 2;
  if (format == Format::kQ5) visit(kNibbleBytes + lane, quad, 1, 4);
  if (format == Format::kQ6) visit(kNibbleBytes + quad / 4 * kQuadBytes + lane, quad % 4 * 2, 2, 4);
}

uint8_t to_e8m0(float scale) {
  if (std::isnan(scale)) return 255;
  return static_cast<uint8_t>(std::ilogb(scale) + 127);
}

int64_t scale_count(Format format, int64_t inputs) {
  if (format == Format::kExpertsInt8) return 1;
  return has_steps(format) ? block_count(inputs) : group_count(inputs);
}

// Where a row's scale number `index` lies in its panel.
int64_t scale_offset(Format format, int64_t index, int64_t row) {
  switch (format) {
    case Format::kExpertsInt8:
      return row * 4;
    case Format::kQ8:
      return block_offset(format, index / kBlockGroups) + index % kBlockGroups * kScaleBytes + row * 2;
    case Format::kMxfp4:
      return block_offset(format, index / kBlockGroups) + index % kBlockGroups * kPanelRows + row;
    default:
      return block_offset(format, index) + row * 2;
  }
}

void put_scale(Format format, std::byte* place, float scale) {
  if (format == Format::kExpertsInt8)
    std::memcpy(place, &scale, 4);
  else if (format == Format::kMxfp4)
    *place = static_cast<std::byte>(to_e8m0(scale));
  else
    put_float16(place, scale);
}
float get_scale(Format format, const std::byte* place) {
  if (format == Format::kMxfp4) return from_e8m0(static_cast<uint8_t>(*place));
  if (format != Format::kExpertsInt8) return get_float16(place);
  float scale;
  std::memcpy(&scale, place, 4);
  return scale;
}

uint8_t zero_code(Format format) {
  return format == Format::kMxfp4 ? 0 : static_cast<uint8_t>(1 << (code_bits(format) - 1));
}

}  // namespace

RowCodes zero_row(Format format, int64_t inputs) {
  RowCodes row;
  const auto groups = static_cast<size_t>(group_count(inputs));
  row.codes.assign(static_cast<size_t>(padded_inputs(inputs)), zero_code(format));
  if (has_steps(format)) row.steps.assign(groups, 1);
  if (format == Format::kQ4) row.zeros.assign(groups, 8);
  row.scales.assign(static_cast<size_t>(scale_count(format, inputs)), format == Format::kMxfp4 ? 1.0f : 0.0f);
  return row;
}

void pack_row(Format format, int64_t inputs, const RowCodes& codes, int64_t row, std::byte* panel) {
  for (size_t i = 0; i < codes.scales.size(); ++i)
    put_scale(format, panel + scale_offset(format, static_cast<int64_t>(i), row), codes.scales[i]);
  for (int64_t group = 0; group < group_count(inputs); ++group) {
    const auto g = static_cast<size_t>(group);
    std::byte* header = panel + block_offset(format, group / kBlockGroups);
    const int64_t within = group % kBlockGroups;
    if (has_steps(format)) {
      const SmallCodes& place = step_place(format);
      put_bits(header[place.byte(row, within)], place.shift(within), place.bits, codes.steps[g] - 1u);
    }
    if (format == Format::kQ4)
      put_bits(header[kZeros.byte(row, within)], kZeros.shift(within), kZeros.bits,
               static_cast<unsigned>(codes.zeros[g]) - kFirstZero);
    std::byte* bytes = panel + group_offset(format, group);
    for (int64_t k = 0; k < kGroup; ++k) {
      const unsigned code = codes.codes[static_cast<size_t>(group * kGroup + k)];
      visit_code(format, row, k, [&](int64_t byte, int64_t shift, int64_t bits, int64_t from) {
        put_bits(bytes[byte], shift, bits, code >> from);
      });
    }
  }
}

RowCodes unpack_row(Format format, int64_t inputs, const std::byte* panel, int64_t row) {
  RowCodes codes = zero_row(format, inputs);
  for (size_t i = 0; i < codes.scales.size(); ++i)
    codes.scales[i] = get_scale(format, panel + scale_offset(format, static_cast<int64_t>(i), row));
  for (int64_t group = 0; group < group_count(inputs); ++group) {
    const auto g = static_cast<size_t>(group);
    const std::byte* header = panel + block_offset(format, group / kBlockGroups);
    const int64_t within = group % kBlockGroups;
    if (has_steps(format)) {
      const SmallCodes& place = step_place(format);
      const unsigned code = get_bits(header[place.byte(row, within)], place.shift(within), place.bits);
      codes.steps[g] = static_cast<uint8_t>(code % static_cast<unsigned>(most_steps(format)) + 1);
    }
    if (format == Format::kQ4)
      codes.zeros[g] = static_cast<uint8_t>(
          get_bits(header[kZeros.byte(row, within)], kZeros.shift(within), kZeros.bits) + kFirstZero);
    const std::byte* bytes = panel + group_offset(format, group);
    for (int64_t k = 0; k < kGroup; ++k) {
      unsigned code = 0;
      visit_code(format, row, k, [&](int64_t byte, int64_t shift, int64_t bits, int64_t from) {
        code |= get_bits(bytes[byte], shift, bits) << from;
      });
      codes.codes[static_cast<size_t>(group * kGroup + k)] = static_cast<uint8_t>(code);
    }
  }
  return codes;
}

void decode_row(Format format, int64_t inputs, const RowCodes& codes, float* weights) {
  const int offset = format == Format::kMxfp4 ? 0 : zero_code(format);
  for (int64_t k = 0; k < inputs; ++k) {
    const auto group = static_cast<size_t>(k / kGroup);
    const uint8_t code = codes.codes[static_cast<size_t>(k)];
    switch (format) {
      case Format::kMxfp4:
        weights[k] = from_e2m1(code) * codes.scales[group];
        break;
      case Format::kQ8:
        weights[k] = static_cast<float>(code - offset) * codes.scales[group];
        break;
      case Format::kExpertsInt8:
        weights[k] = static_cast<float>(code - offset) * codes.scales[0];
        break;
      default: {
        const int zero = format == Format::kQ4 ? codes.zeros[group] : offset;
        // Exact in int8; the product with the scale is the only rounding.
        weights[k] = static_cast<float>(codes.steps[group] * (code - zero)) * codes.scales[group / kBlockGroups];
      }
    }
  }
}

void dequantize_rows(Format format, int64_t inputs, const std::byte* packed, int64_t first, int64_t rows, float* out) {
  const int64_t stride = panel_bytes(format, inputs);
  for (int64_t row = first; row < first + rows; ++row, out += inputs)
    decode_row(format, inputs, unpack_row(format, inputs, packed + row / kPanelRows * stride, row % kPanelRows), out);
}

float from_e8m0(uint8_t byte) {
  if (byte == 255) return std::numeric_limits<float>::quiet_NaN();
  return std::ldexp(1.0f, byte - 127);
}

float from_e2m1(uint8_t code) {
  constexpr float kMagnitudes[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  const float magnitude = kMagnitudes[code & 7];
  return code & 8 ? -magnitude : magnitude;
}

}  // namespace minimax::quant
