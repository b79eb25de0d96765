// A JSON schema as a grammar of the texts whose values it accepts.
#pragma once

#include <string_view>

#include "text/grammar/regex_pool.h"
#include "text/grammar/rules.h"

namespace minimax::text {
enum class JsonSpace : uint8_t;
}

namespace minimax::text::grammar {

/// Every text of the grammar parses and satisfies the schema (draft 2020-12, formats asserted). Not every satisfying
/// value has a text:
///   - properties come in the order of the schema, then others; an object with "properties" has others only where
///     "additionalProperties" or "patternProperties" speak of them, a tuple further items only where "items" does;
///   - numbers have limited digits (number_regex.h), texts limited nesting (Rules::kMaxNesting).
/// An object's further keys may repeat. Throws kInvalidArgument that names the place, for keywords that are not
/// supported too. `rules` are finished.
NodeId compile_json_schema(std::string_view schema, JsonSpace space, RegexPool& pool, Rules& rules);

}  // namespace minimax::text::grammar
