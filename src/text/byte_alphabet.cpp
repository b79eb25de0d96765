#include "text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "text/utf8.h"

namespace minimax::text {

namespace {

struct Alphabet {
  std::array<uint16_t, 256> character;
  std::array<int16_t, 256 + 68> byte;  // -1: not in the alphabet
};

constexpr Alphabet kAlphabet = [] {
  Alphabet alphabet{};
  alphabet.byte.fill(-1);
  uint16_t next = 256;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    const auto c = printable ? static_cast<uint16_t>(b) : next++;
    alphabet.character[b] = c;
    alphabet.byte[c] = static_cast<int16_t>(b);
  }
  return alphabet;
}();

}  // namespace

bool from_byte_alphabet(std::string_view spelled, std::string& bytes) {
  bytes.clear();
  const char* const end = spelled.data() + spelled.size();
  for (const char* p = spelled.data(); p < end;) {
    const Utf8Char c = decode_utf8(p, end);
    if (c.code_point >= kAlphabet.byte.size() || kAlphabet.byte[c.code_point] < 0) return false;
    bytes += static_cast<char>(kAlphabet.byte[c.code_point]);
    p += c.length;
  }
  return true;
}

std::string to_byte_alphabet(std::string_view bytes) {
  std::string spelled;
  for (const char b : bytes) {
    const uint16_t c = kAlphabet.character[static_cast<unsigned char>(b)];
    if (c < 0x80)
      spelled += static_cast<char>(c);
    else
      spelled += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
  }
  return spelled;
}

}  // namespace minimax::text
