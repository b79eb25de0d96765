// Which of the eight classes that pre-tokenizer patterns distinguish a code point is in.
#pragma once

#include <cstdint>

namespace minimax::text {

/// Every code point is in exactly one.
enum class CharClass : uint8_t {
  kSymbol,   ///< punctuation, symbols, controls, unassigned: what none of the others is
  kUpper,    ///< Lu, Lt
  kLower,    ///< Ll
  kLetter,   ///< Lm, Lo: letters without case
  kMark,     ///< M
  kNumber,   ///< N
  kSpace,    ///< White_Space, but not the two newlines
  kNewline,  ///< \r and \n
};

namespace unicode {

extern const char* const kVersion;  // "14.0.0"
extern const uint8_t kBlockOf[0x110000 / 128];
extern const uint64_t kClasses[];  // eight words a block, four bits a code point

}  // namespace unicode

/// code_point < 0x110000.
inline CharClass char_class(uint32_t code_point) {
  const uint64_t word = unicode::kClasses[unicode::kBlockOf[code_point >> 7] * 8 + ((code_point >> 4) & 7)];
  return static_cast<CharClass>(word >> (4 * (code_point & 15)) & 15);
}

}  // namespace minimax::text
