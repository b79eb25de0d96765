// Cuts text into the pieces that byte-pair encoding works on, as a published regular expression would.
#pragma once

#include <optional>
#include <string_view>

namespace minimax::text {

/// The published patterns that the scanner knows.
enum class SplitPattern {
  kO200k,         ///< MiniMax-M1's: its fourth alternative ends in [\r\n/]*
  kO200kNoSlash,  ///< the same with [\r\n]*
  kCl100k,
  kQwen2,  ///< cl100k with digits one by one
  kGpt2,
};

std::string_view to_string(SplitPattern pattern);
/// The regular expression, in the syntax of Oniguruma, PCRE2 and Rust's regex. \s means White_Space (PCRE2's own \s has
/// U+180E besides).
std::string_view regex_of(SplitPattern pattern);
/// The pattern with this very spelling; nothing for any other, equivalent ones included.
std::optional<SplitPattern> recognise_pattern(std::string_view regex);

/// The end of the piece that starts at `p`; p < end, and `end` is the end of the text. The same pieces a backtracking
/// engine finds with leftmost matches in turn, each byte looked at a bounded number of times. A byte that is no part of
/// valid UTF-8 is one character of class kSymbol.
const char* piece_end(SplitPattern pattern, const char* p, const char* end);

}  // namespace minimax::text
