// Element types of tensors, and the conversions between the 16-bit floats and float32.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string_view>

namespace minimax {

enum class DType : uint8_t { kFloat32, kBFloat16, kFloat16, kFloat64, kInt32, kInt64, kUInt8 };

int64_t size_of(DType dtype);
/// The safetensors spelling: F32, BF16, F16, F64, I32, I64, U8.
std::string_view to_string(DType dtype);
/// The inverse of to_string; nothing for a type we do not compute with.
std::optional<DType> parse_dtype(std::string_view name);
std::ostream& operator<<(std::ostream& out, DType dtype);

/// The upper half of a float32.
struct bfloat16 {
  uint16_t bits = 0;
};
/// IEEE binary16.
struct float16 {
  uint16_t bits = 0;
};

inline float to_float(float x) {
  return x;
}
inline float to_float(bfloat16 x) {
  return std::bit_cast<float>(uint32_t{x.bits} << 16);
}
float to_float(float16 x);
/// Nearest even; NaN stays NaN.
bfloat16 to_bfloat16(float x);
float16 to_float16(float x);

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat32;
};
template <>
struct DTypeOf<bfloat16> {
  static constexpr DType value = DType::kBFloat16;
};
template <>
struct DTypeOf<float16> {
  static constexpr DType value = DType::kFloat16;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kFloat64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kInt32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kInt64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kUInt8;
};

}  // namespace minimax
