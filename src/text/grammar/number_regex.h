// JSON numbers as regular expressions: ranges and multiples, exactly.
#pragma once

#include <optional>
#include <string>

#include "text/grammar/regex_pool.h"

namespace minimax::text::grammar {

struct NumberLimits {
  struct Bound {
    double value;
    bool exclusive;
  };
  std::optional<Bound> least = {}, most = {};
  std::optional<double> multiple_of = {};
};

/// Integers within the limits, as JSON spells them: no plus, no leading zeros, no exponent, at most 18 digits.
/// `multiple_of` must be a whole number up to 1e9; throws kInvalidArgument otherwise.
RegexId integer_regex(RegexPool& pool, const NumberLimits& limits, std::string_view what);

/// Numbers. Without limits: up to 18 digits before and 18 after the point, exponents of up to two digits. With limits:
/// no exponent and together no more digits than a double keeps apart (15), so that text and value compare alike.
RegexId number_regex(RegexPool& pool, const NumberLimits& limits, std::string_view what);

}  // namespace minimax::text::grammar
