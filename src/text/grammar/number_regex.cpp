#include "text/grammar/number_regex.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "core/error.h"
#include "io/json.h"

namespace minimax::text::grammar {
namespace {

constexpr int kIntegerDigits = 18;
constexpr int kExactDigits = 15;   // decimals of so many digits differ as doubles too
constexpr int kUsualFraction = 6;  // digits after the point of a limited number, unless its limits have more

// A decimal that is not negative: digits before and after the point.
struct Decimal {
  std::string whole;     // "0", or without leading zeros
  std::string fraction;  // without trailing zeros
};

// From what Python's repr would write: 0.1, 1e-05, 12.0.
Decimal decimal_of(double value) {
  std::string text = io::write_json_number(std::fabs(value));
  int exponent = 0;
  if (const size_t e = text.find('e'); e != std::string::npos) {
    exponent = std::atoi(text.c_str() + e + 1);
    text.resize(e);
  }
  std::string fraction;
  if (const size_t point = text.find('.'); point != std::string::npos) {
    fraction = text.substr(point + 1);
    text.resize(point);
  }
  for (; exponent > 0; --exponent) {
    text += fraction.empty() ? '0' : fraction[0];
    if (!fraction.empty()) fraction.erase(0, 1);
  }
  for (; exponent < 0; ++exponent) {
    fraction.insert(0, 1, text.back());
    text.pop_back();
    if (text.empty()) text = "0";
  }
  const size_t first = std::min(text.find_first_not_of('0'), text.size() - 1);
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  return {text.substr(first), fraction};
}

bool is_less(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size();
  return a.whole != b.whole ? a.whole < b.whole : a.fraction < b.fraction;
}

class Builder {
 public:
  explicit Builder(RegexPool& pool) : pool_(pool) {}

  RegexId digit(int first, int last) {
    if (first > last) return RegexPool::kNothing;
    return pool_.bytes(ByteSet::range(static_cast<uint8_t>('0' + first), static_cast<uint8_t>('0' + last)));
  }
  RegexId digits(int min, int max) {
    return max < min || max < 0 ? RegexPool::kNothing : pool_.repeat(digit(0, 9), std::max(min, 0), max);
  }

  // Digit strings of the length of `least` that are not less.
  RegexId from(std::string_view least) {
    if (least.empty()) return RegexPool::kEmpty;
    const int first = least[0] - '0', rest = static_cast<int>(least.size()) - 1;
    return pool_.alt(pool_.concat(digit(first, first), from(least.substr(1))),
                     pool_.concat(digit(first + 1, 9), digits(rest, rest)));
  }
  RegexId up_to(std::string_view most) {
    if (most.empty()) return RegexPool::kEmpty;
    const int first = most[0] - '0', rest = static_cast<int>(most.size()) - 1;
    return pool_.alt(pool_.concat(digit(first, first), up_to(most.substr(1))),
                     pool_.concat(digit(0, first - 1), digits(rest, rest)));
  }
  // Both, for limits of one length, least <= most.
  RegexId between(std::string_view least, std::string_view most) {
    if (least.empty()) return RegexPool::kEmpty;
    const int first = least[0] - '0', last = most[0] - '0', rest = static_cast<int>(least.size()) - 1;
    if (first == last) return pool_.concat(digit(first, first), between(least.substr(1), most.substr(1)));
    return pool_.alt(std::array{pool_.concat(digit(first, first), from(least.substr(1))),
                                pool_.concat(digit(first + 1, last - 1), digits(rest, rest)),
                                pool_.concat(digit(last, last), up_to(most.substr(1)))});
  }
  // Whole numbers, not negative, without leading zeros; nothing when least > most.
  RegexId whole(const std::string& least, const std::string& most) {
    std::vector<RegexId> parts;
    for (size_t length = least.size(); length <= most.size(); ++length) {
      const std::string low = length == least.size() ? least : "1" + std::string(length - 1, '0');
      const std::string high = length == most.size() ? most : std::string(length, '9');
      if (low <= high) parts.push_back(between(low, high));
    }
    return pool_.alt(parts);
  }

  // Fractions: strings of up to `room` digits, with zeros in mind behind their end.
  RegexId fraction_from(std::string_view least, bool exclusive, int room) {
    const bool zero = least.find_first_not_of('0') == std::string_view::npos;
    if (least.empty()) {
      if (!exclusive) return digits(0, room);
      // Something that is not zero.
      return pool_.both(digits(1, room), pool_.complement(pool_.repeat(digit(0, 0), 0, RegexPool::kUnbounded)));
    }
    const int first = least[0] - '0';
    return pool_.alt(
        std::array{zero && !exclusive ? RegexPool::kEmpty : RegexPool::kNothing,
                   room < 1 ? RegexPool::kNothing : pool_.concat(digit(first + 1, 9), digits(0, room - 1)),
                   room < 1 ? RegexPool::kNothing
                            : pool_.concat(digit(first, first), fraction_from(least.substr(1), exclusive, room - 1))});
  }
  RegexId fraction_up_to(std::string_view most, bool exclusive, int room) {
    const bool zero = most.find_first_not_of('0') == std::string_view::npos;
    if (most.empty()) return exclusive ? RegexPool::kNothing : pool_.repeat(digit(0, 0), 0, room);
    const int first = most[0] - '0';
    return pool_.alt(
        std::array{zero && exclusive ? RegexPool::kNothing : RegexPool::kEmpty,
                   room < 1 ? RegexPool::kNothing : pool_.concat(digit(0, first - 1), digits(0, room - 1)),
                   room < 1 ? RegexPool::kNothing
                            : pool_.concat(digit(first, first), fraction_up_to(most.substr(1), exclusive, room - 1))});
  }
  RegexId with_fraction(RegexId whole_part, RegexId fraction, int room) {
    const RegexId some = pool_.both(fraction, digits(1, room));
    const RegexId written = pool_.concat(pool_.literal("."), some);
    return pool_.concat(whole_part, pool_.nullable(fraction) ? pool_.optional(written) : written);
  }

 private:
  RegexPool& pool_;
};

std::string previous(std::string whole) {  // whole > 0
  size_t i = whole.size();
  while (whole[--i] == '0') whole[i] = '9';
  --whole[i];
  if (whole[0] == '0' && whole.size() > 1) whole.erase(0, 1);
  return whole;
}

std::string next(std::string whole) {
  size_t i = whole.size();
  while (i > 0 && whole[i - 1] == '9') whole[--i] = '0';
  if (i == 0) return "1" + whole;
  ++whole[i - 1];
  return whole;
}

// What of the limits concerns numbers >= 0 (sign 1), or the size of those < 0 (sign -1).
struct Side {
  Decimal least{"0", ""};
  bool least_exclusive = false;
  Decimal most;
  bool most_exclusive = false;
  bool empty = false;
};

Side side_of(const NumberLimits& limits, int sign, int digits) {
  Side side{.most = {std::string(static_cast<size_t>(digits), '9'), ""}};
  side.least_exclusive = sign < 0;  // no -0
  const auto& near = sign > 0 ? limits.least : limits.most;
  const auto& far = sign > 0 ? limits.most : limits.least;
  if (near && near->value * sign > 0) {
    side.least = decimal_of(near->value);
    side.least_exclusive = near->exclusive;
  } else if (near && near->value == 0 && near->exclusive) {
    side.least_exclusive = true;
  }
  if (far && far->value * sign < 0) side.empty = true;
  if (far && far->value * sign >= 0) {
    const Decimal most = decimal_of(far->value);
    if (is_less(most, side.most)) {
      side.most = most;
      side.most_exclusive = far->exclusive;
    }
  }
  if (is_less(side.most, side.least)) side.empty = true;
  return side;
}

RegexId whole_side(Builder& builder, const Side& side) {
  if (side.empty) return RegexPool::kNothing;
  std::string least = side.least.whole, most = side.most.whole;
  if (!side.least.fraction.empty() || side.least_exclusive) least = next(least);
  if (side.most.fraction.empty() && side.most_exclusive) {
    if (most == "0") return RegexPool::kNothing;
    most = previous(most);
  }
  return builder.whole(least, most);
}

RegexId fraction_side(RegexPool& pool, Builder& builder, const Side& side, int room) {
  if (side.empty) return RegexPool::kNothing;
  const RegexId above = builder.fraction_from(side.least.fraction, side.least_exclusive, room);
  const RegexId below = builder.fraction_up_to(side.most.fraction, side.most_exclusive, room);
  const std::string& least = side.least.whole;
  const std::string& most = side.most.whole;
  if (least == most) return builder.with_fraction(pool.literal(least), pool.both(above, below), room);
  std::vector<RegexId> parts{builder.with_fraction(pool.literal(least), above, room),
                             builder.with_fraction(pool.literal(most), below, room)};
  const std::string first = next(least), last = previous(most);
  if (!is_less({last, ""}, {first, ""}))
    parts.push_back(builder.with_fraction(builder.whole(first, last), builder.digits(0, room), room));
  return pool.alt(parts);
}

RegexId signed_sides(RegexPool& pool, RegexId positive, RegexId negative) {
  return pool.alt(positive, pool.concat(pool.literal("-"), negative));
}

// Numbers of up to `room` digits after the point that are multiples of `step`.
RegexId multiples(RegexPool& pool, double step, int room, std::string_view what) {
  const Decimal decimal = decimal_of(step);
  const int places = static_cast<int>(decimal.fraction.size());
  const std::string digits = decimal.whole + decimal.fraction;
  const int64_t scaled = digits.size() <= 10 ? std::atoll(digits.c_str()) : 0;
  MM_CHECK(step > 0 && scaled >= 1 && scaled <= 1'000'000'000 && places <= room, what, ": \"multipleOf\" is ",
           io::write_json_number(step), ", expected at most nine digits and at most ", room,
           " of them after the point");
  const RegexId digit = pool.bytes(ByteSet::range('0', '9'));
  std::vector<RegexId> parts;
  int64_t power = 1;  // of ten: digits that are not written count as zeros
  for (int left = 0; left <= places; ++left, power *= 10) {
    const int written = places - left;
    const auto divisor = static_cast<int32_t>(scaled / std::gcd(scaled, power));
    const RegexId whole =
        pool.repeat(pool.bytes(ByteSet::range('0', '9') | ByteSet::of('-')), 1, RegexPool::kUnbounded);
    const RegexId fraction =
        written == 0 ? RegexPool::kEmpty : pool.concat(pool.literal("."), pool.repeat(digit, written, written));
    parts.push_back(pool.both(pool.multiple_of(divisor), pool.concat(whole, fraction)));
  }
  return pool.alt(parts);
}

}  // namespace

RegexId integer_regex(RegexPool& pool, const NumberLimits& limits, std::string_view what) {
  Builder builder(pool);
  const RegexId any = signed_sides(pool, whole_side(builder, side_of(limits, 1, kIntegerDigits)),
                                   whole_side(builder, side_of(limits, -1, kIntegerDigits)));
  if (!limits.multiple_of) return any;
  return pool.both(any, multiples(pool, *limits.multiple_of, 0, what));
}

RegexId number_regex(RegexPool& pool, const NumberLimits& limits, std::string_view what) {
  Builder builder(pool);
  if (!limits.least && !limits.most && !limits.multiple_of) {
    const RegexId whole = builder.whole("0", std::string(kIntegerDigits, '9'));
    const RegexId fraction = pool.optional(pool.concat(pool.literal("."), builder.digits(1, kIntegerDigits)));
    ByteSet e = ByteSet::of('e'), sign = ByteSet::of('+');
    e.add('E');
    sign.add('-');
    const RegexId exponent =
        pool.optional(pool.concat(std::array{pool.bytes(e), pool.optional(pool.bytes(sign)), builder.digits(1, 2)}));
    return pool.concat(std::array{pool.optional(pool.literal("-")), whole, fraction, exponent});
  }
  size_t whole_digits = 1, fraction_digits = 0;
  for (const auto& bound : {limits.least, limits.most}) {
    if (!bound) continue;
    const Decimal decimal = decimal_of(bound->value);
    whole_digits = std::max(whole_digits, decimal.whole.size());
    fraction_digits = std::max(fraction_digits, decimal.fraction.size());
  }
  // A bound that is missing leaves digits for the fraction all the same.
  const bool open = !limits.least || !limits.most;
  const int whole = open ? std::max(static_cast<int>(std::min<size_t>(whole_digits, kIntegerDigits)), 9)
                         : static_cast<int>(std::min<size_t>(whole_digits, kIntegerDigits));
  const int room = std::max(static_cast<int>(std::min<size_t>(fraction_digits, 20)),
                            std::clamp(kExactDigits - whole, 0, kUsualFraction));
  const RegexId any = signed_sides(pool, fraction_side(pool, builder, side_of(limits, 1, whole), room),
                                   fraction_side(pool, builder, side_of(limits, -1, whole), room));
  if (!limits.multiple_of) return any;
  return pool.both(any, multiples(pool, *limits.multiple_of, std::max(room, 1), what));
}

}  // namespace minimax::text::grammar
