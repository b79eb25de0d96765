// Decoding one character of UTF-8 that may be malformed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace minimax::text {

inline constexpr uint32_t kInvalidCodePoint = 0xFFFFFFFF;

/// A code point and the bytes it takes. An ill-formed byte gives kInvalidCodePoint and length 1.
struct Utf8Char {
  uint32_t code_point;
  uint32_t length;
};

/// The character that starts at `p`; p < end. Overlong forms, surrogates and values past U+10FFFF are ill-formed.
inline Utf8Char decode_utf8(const char* p, const char* end) {
  const auto byte = [p](int i) { return static_cast<uint32_t>(static_cast<unsigned char>(p[i])); };
  const auto tail = [&byte](int i) { return (byte(i) & 0xC0) == 0x80; };
  const uint32_t lead = byte(0);
  const auto left = end - p;
  if (lead < 0x80) return {lead, 1};
  if (lead >= 0xE0 && lead < 0xF0 && left >= 3 && tail(1) && tail(2)) {
    const uint32_t code = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    if (code >= 0x800 && (code < 0xD800 || code > 0xDFFF)) return {code, 3};
  } else if (lead >= 0xC2 && lead < 0xE0 && left >= 2 && tail(1)) {
    return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  } else if (lead >= 0xF0 && lead < 0xF5 && left >= 4 && tail(1) && tail(2) && tail(3)) {
    const uint32_t code = (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    if (code >= 0x10000 && code < 0x110000) return {code, 4};
  }
  return {kInvalidCodePoint, 1};
}

/// Appends `bytes` to `out` with U+FFFD for each maximal ill-formed part (Unicode 3.9, as WHATWG decoders do). When
/// `rest` is given, bytes at the end that more bytes could still complete go there instead.
void append_valid_utf8(std::string_view bytes, std::string& out, std::string* rest = nullptr);

}  // namespace minimax::text
