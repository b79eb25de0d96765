// ByteSet: a set of byte values.
#pragma once

#include <array>
#include <cstdint>

namespace minimax::text::grammar {

struct ByteSet {
  std::array<uint64_t, 4> words{};

  static ByteSet range(uint8_t first, uint8_t last) {
    ByteSet set;
    for (int byte = first; byte <= last; ++byte) set.add(static_cast<uint8_t>(byte));
    return set;
  }
  static ByteSet of(uint8_t byte) { return range(byte, byte); }

  void add(uint8_t byte) { words[byte >> 6] |= uint64_t{1} << (byte & 63); }
  bool has(uint8_t byte) const { return (words[byte >> 6] >> (byte & 63) & 1) != 0; }
  bool empty() const { return (words[0] | words[1] | words[2] | words[3]) == 0; }

  ByteSet operator|(const ByteSet& other) const {
    ByteSet out;
    for (size_t i = 0; i < 4; ++i) out.words[i] = words[i] | other.words[i];
    return out;
  }
  ByteSet operator&(const ByteSet& other) const {
    ByteSet out;
    for (size_t i = 0; i < 4; ++i) out.words[i] = words[i] & other.words[i];
    return out;
  }
  bool operator==(const ByteSet&) const = default;
};

}  // namespace minimax::text::grammar
