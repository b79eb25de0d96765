// Regular expressions as tokenizer.json spells them, in the words of PCRE2.
#pragma once

#include <string>
#include <string_view>

namespace minimax::text {

/// The files' patterns are read by Oniguruma where they come from. PCRE2 reads most of them alike; what it would read
/// otherwise is said in its words: \s \w \b \h \v and their opposites, sets within sets and their intersections
/// ([a-z&&[^aeiou]]), (?m), {,n}, \uHHHH. Throws kInvalidArgument naming the construct and its place for what has no
/// counterpart or is not known; whatever else is wrong with the pattern is left to PCRE2.
/// `what` names the pattern in errors.
std::string oniguruma_to_pcre2(std::string_view pattern, std::string_view what);

}  // namespace minimax::text
