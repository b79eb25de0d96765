#include "text/utf8.h"

namespace minimax::text {

namespace {

/// How many bytes at the start of `bytes` (which are not a whole character) are a proper prefix of some character; 0
/// when not even the first is.
size_t prefix_length(std::string_view bytes) {
  const auto byte = [&bytes](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned lead = byte(0);
  const size_t full = lead < 0xC2 || lead > 0xF4 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (full == 0) return 0;
  size_t length = 1;
  if (bytes.size() > 1) {
    // The second byte alone decides about overlong forms, surrogates and values past U+10FFFF.
    const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (byte(1) < low || byte(1) > high) return 1;
    length = 2;
    while (length < full - 1 && length < bytes.size() && (byte(length) & 0xC0) == 0x80) ++length;
  }
  return length;
}

}  // namespace

void append_valid_utf8(std::string_view bytes, std::string& out, std::string* rest) {
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  while (p < end) {
    const char* valid = p;
    Utf8Char c{};
    while (valid < end && (c = decode_utf8(valid, end)).code_point != kInvalidCodePoint) valid += c.length;
    out.append(p, valid);
    p = valid;
    if (p == end) break;
    const size_t length = prefix_length({p, static_cast<size_t>(end - p)});
    if (rest && length == static_cast<size_t>(end - p)) {
      rest->assign(p, end);
      return;
    }
    out += "\xEF\xBF\xBD";
    p += length ? length : 1;
  }
}

}  // namespace minimax::text
