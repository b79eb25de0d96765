// Where the answer stands in what a model wrote, and strict readers for its commonest shapes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minimax::rl {

struct Answer {
  std::string text;        ///< what is to be checked; empty: there is none
  bool format_ok = false;  ///< begins with one thinking block, closed once; not more than one marked answer
  std::string why;         ///< what is wrong with the form: no_think, open_think, two_thinks, two_answers
};

/// The answer is what follows the last </think>, trimmed; when it has <answer>...</answer> or \boxed{...}, the last of
/// these. A text that opened a block without closing it, or with none where one is required, has no answer.
Answer extract_answer(std::string_view text, bool think_required = true);

/// The inside of the last \boxed{...} with balanced braces ("\boxed x" counts as \boxed{x}); nothing when there is
/// none.
std::optional<std::string> last_boxed(std::string_view text);

/// ASCII digits with an optional minus sign and no leading zeros, at most 18 digits; anything else is nothing.
std::optional<int64_t> parse_integer(std::string_view text);

std::string_view trim(std::string_view text);
/// Words between spaces, tabs and newlines.
std::vector<std::string_view> split_words(std::string_view text);
std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace minimax::rl
