// Format: how quantized matrices are stored, and what that costs. docs/formats.md has every byte.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace minimax::quant {

/// All store a matrix [outputs, inputs] as panels of 32 output rows. Within a panel the inputs come in blocks of 256,
/// each of 8 groups of 32.
enum class Format : uint8_t {
  kQ8,           ///< int8, a float16 scale for each group
  kExpertsInt8,  ///< int8, a float32 scale for each output row
  kQ6,           ///< 6 bits, an integer step (1..4) for each group, a float16 scale for each block
  kQ5,           ///< 5 bits, step 1..8
  kQ4,           ///< 4 bits, step 1..16 and zero point 6..9 for each group
  kMxfp4,        ///< OCP microscaling: E2M1, a power of two for each group
};

inline constexpr int64_t kPanelRows = 32;
inline constexpr int64_t kGroup = 32;
inline constexpr int64_t kBlock = 256;
inline constexpr int64_t kBlockGroups = kBlock / kGroup;
/// Every part of a panel is a multiple of this long, so an aligned tensor has aligned parts.
inline constexpr int64_t kAlignment = 64;

const std::vector<Format>& all_formats();
/// "q8", "experts-int8", "q6", "q5", "q4", "mxfp4".
std::string_view name(Format format);
std::optional<Format> format_by_name(std::string_view name);

/// Bits of a code: 8, 6, 5 or 4.
int64_t code_bits(Format format);
/// Stored bits for each weight of a matrix whose sides fill whole panels and blocks: 8.5 for q8. `inputs` matters to
/// experts-int8 alone, whose rows have one scale.
double bits_per_weight(Format format, int64_t inputs = 6144);

/// Rounded up to whole groups: what a panel stores.
int64_t padded_inputs(int64_t inputs);
int64_t group_count(int64_t inputs);
int64_t block_count(int64_t inputs);
int64_t panel_count(int64_t outputs);

/// Bytes before a block's codes: scales, steps, zero points. 0 for experts-int8, whose scales lead the panel.
int64_t block_header_bytes(Format format);
/// Bytes of the codes of one group of 32 inputs for 32 rows.
int64_t group_bytes(Format format);
int64_t panel_bytes(Format format, int64_t inputs);
/// Of a whole matrix. Throws kInvalidArgument when a size is below 1 or the product passes 2^63.
int64_t packed_bytes(Format format, int64_t outputs, int64_t inputs);

/// Where the codes of group `group` start in a panel.
int64_t group_offset(Format format, int64_t group);
/// Where the header of block `block` starts in a panel.
int64_t block_offset(Format format, int64_t block);

}  // namespace minimax::quant
