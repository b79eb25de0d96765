// Panels: the bytes of 32 output rows, row by row in and out. The plain text that kernels are checked against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "quant/format.h"

namespace minimax::quant {

/// One output row as integers and scales, before it is interleaved with its neighbours.
struct RowCodes {
  /// [padded_inputs] as stored, so never negative. The value is code - offset: 128 for 8 bits, 32 for q6, 16 for q5,
  /// the group's zero point for q4. For mxfp4 the four bits of E2M1: sign, two of exponent, one of mantissa.
  std::vector<uint8_t> codes;
  std::vector<uint8_t> steps;  ///< [groups] of q6, q5 and q4: 1 to 4, 8 and 16
  std::vector<uint8_t> zeros;  ///< [groups] of q4: 6 to 9
  /// q8, mxfp4: [groups]; q6, q5, q4: [blocks]; experts-int8: [1]. Already of the type that is stored: float16, a power
  /// of two, float32.
  std::vector<float> scales;
};

/// Codes that stand for zeros, sized for this format.
RowCodes zero_row(Format format, int64_t inputs);

/// Writes row `row` (0 to 31) of a panel; the bytes of other rows stay. `panel`: [panel_bytes].
void pack_row(Format format, int64_t inputs, const RowCodes& codes, int64_t row, std::byte* panel);
/// The inverse.
RowCodes unpack_row(Format format, int64_t inputs, const std::byte* panel, int64_t row);

/// The weights that codes stand for. weights: [inputs].
void decode_row(Format format, int64_t inputs, const RowCodes& codes, float* weights);

/// Rows [first, first + rows) of a packed matrix as float32: out [rows, inputs]. Codes and scales that only a damaged
/// file can hold give some value, NaN among them, and nothing worse.
void dequantize_rows(Format format, int64_t inputs, const std::byte* packed, int64_t first, int64_t rows, float* out);

/// 2^(byte - 127); 255 is NaN, as OCP has it.
float from_e8m0(uint8_t byte);
/// The value of a code of E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6, and the same below zero from code 8 on.
float from_e2m1(uint8_t code);

}  // namespace minimax::quant
