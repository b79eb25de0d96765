// Exact fractions of 64-bit numbers, and the value of an arithmetic expression that somebody else wrote.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace minimax::rl {

/// numerator / denominator in lowest terms, denominator > 0.
struct Rational {
  int64_t numerator = 0;
  int64_t denominator = 1;

  bool operator==(const Rational&) const = default;
};

/// Nothing when the result does not fit into 62 bits, and for a division by zero.
std::optional<Rational> make_rational(__int128 numerator, __int128 denominator);
std::optional<Rational> add(Rational a, Rational b);
std::optional<Rational> subtract(Rational a, Rational b);
std::optional<Rational> multiply(Rational a, Rational b);
std::optional<Rational> divide(Rational a, Rational b);

struct Evaluated {
  Rational value;
  std::vector<int64_t> numbers;  ///< as they were written, in order
};

/// The value of whole numbers, + - * /, and parentheses, spaces allowed: no signs in front, no decimals, no powers, no
/// leading zeros, at most `max_depth` parentheses inside each other. Nothing for anything else.
std::optional<Evaluated> evaluate(std::string_view expression, int64_t max_depth = 16);

}  // namespace minimax::rl
