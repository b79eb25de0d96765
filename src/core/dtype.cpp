#include "core/dtype.h"

#include <array>

namespace minimax {
namespace {

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  int64_t bytes;
};
constexpr std::array<DTypeInfo, 7> kInfos = {{{DType::kFloat32, "F32", 4},
                                              {DType::kBFloat16, "BF16", 2},
                                              {DType::kFloat16, "F16", 2},
                                              {DType::kFloat64, "F64", 8},
                                              {DType::kInt32, "I32", 4},
                                              {DType::kInt64, "I64", 8},
                                              {DType::kUInt8, "U8", 1}}};

const DTypeInfo& info(DType dtype) {
  return kInfos[static_cast<size_t>(dtype)];
}

}  // namespace

int64_t size_of(DType dtype) {
  return info(dtype).bytes;
}
std::string_view to_string(DType dtype) {
  return info(dtype).name;
}
std::ostream& operator<<(std::ostream& out, DType dtype) {
  return out << to_string(dtype);
}

std::optional<DType> parse_dtype(std::string_view name) {
  for (const DTypeInfo& candidate : kInfos)
    if (candidate.name == name) return candidate.dtype;
  return std::nullopt;
}

float to_float(float16 x) {
  const uint32_t sign = uint32_t{x.bits & 0x8000u} << 16;
  const uint32_t exponent = (x.bits >> 10) & 0x1f;
  const uint32_t mantissa = x.bits & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // subnormal or zero
  return sign ? -magnitude : magnitude;
}

bfloat16 to_bfloat16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

float16 to_float16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00)};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00)};  // rounds past 65504
  if (magnitude < 0x38800000u) {                                                // subnormal half: a multiple of 2^-24
    // Adding 0.5 puts the value at a float32 spacing of 2^-24 and lets the adder round to nearest even.
    const uint32_t shifted = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f);
    return {static_cast<uint16_t>(sign | (shifted - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1) - 0x38000000u;
  return {static_cast<uint16_t>(sign | (rounded >> 13))};
}

}  // namespace minimax
