// The terminals of JSON that every grammar over JSON uses.
#pragma once

#include "text/grammar/code_points.h"
#include "text/grammar/regex_pool.h"

namespace minimax::text::grammar {

/// Any JSON string of `min` to `max` characters, with its quotes.
inline RegexId json_string(RegexPool& pool, int32_t min = 0, int32_t max = RegexPool::kUnbounded) {
  const RegexId quote = pool.literal("\"");
  return pool.concat(std::array{quote, pool.repeat(json_character(pool), min, max), quote});
}

/// The same with each character spelled in one way (Spelling::kJson), so that languages of values can be intersected.
inline RegexId plain_json_string(RegexPool& pool, int32_t min = 0, int32_t max = RegexPool::kUnbounded) {
  const RegexId quote = pool.literal("\"");
  return pool.concat(
      std::array{quote, pool.repeat(spelled(pool, CodePoints::all(), Spelling::kJson), min, max), quote});
}

}  // namespace minimax::text::grammar
