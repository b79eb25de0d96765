// Regular expressions as JSON Schema and its users write them (ECMA-262 without what is not regular), made into
// RegexIds.
#pragma once

#include <string_view>

#include "text/grammar/code_points.h"
#include "text/grammar/regex_pool.h"

namespace minimax::text::grammar {

enum class Anchoring : uint8_t {
  kWhole,   ///< the pattern matches the whole text
  kSearch,  ///< the pattern matches somewhere in the text, as JSON Schema has it; ^ and $ tie it to the ends
};

/// The texts that `pattern` matches, over Unicode characters. Groups of every kind count as (?:...), lazy quantifiers
/// as greedy ones; ^ and $ at the ends of alternatives, lookaheads before the rest of a top-level alternative. Classes
/// as with ECMA's flag u: \d \w are ASCII, . is all but line ends, \p{L} and other general categories by their first
/// letter, \p{Lu} and \p{Ll}.
/// Throws kInvalidArgument with `what` and the byte for a pattern that is malformed or longer than 4096 bytes, and for
/// back-references, lookbehinds, word boundaries, anchors inside and inline flags.
RegexId parse_regex(RegexPool& pool, std::string_view pattern, Anchoring anchoring, Spelling spelling,
                    std::string_view what);

}  // namespace minimax::text::grammar
