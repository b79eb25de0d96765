#include "rl/rational.h"

#include "rl/answer.h"

namespace minimax::rl {
namespace {

constexpr __int128 kMost = __int128{1} << 62;

__int128 magnitude(__int128 x) {
  return x < 0 ? -x : x;
}

// expression = term {(+|-) term};  term = factor {(*|/) factor};  factor = number | ( expression )
class Evaluator {
 public:
  Evaluator(std::string_view text, int64_t max_depth) : text_(text), max_depth_(max_depth) {}

  std::optional<Evaluated> run() {
    const auto value = expression();
    if (!value || peek() != '\0' || at_ != text_.size()) return std::nullopt;
    return Evaluated{*value, std::move(numbers_)};
  }

 private:
  char peek() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  std::optional<Rational> expression() {
    auto left = term();
    for (char sign = peek(); left && (sign == '+' || sign == '-'); sign = peek()) {
      ++at_;
      const auto right = term();
      if (!right) return std::nullopt;
      left = sign == '+' ? add(*left, *right) : subtract(*left, *right);
    }
    return left;
  }

  std::optional<Rational> term() {
    auto left = factor();
    for (char sign = peek(); left && (sign == '*' || sign == '/'); sign = peek()) {
      ++at_;
      const auto right = factor();
      if (!right) return std::nullopt;
      left = sign == '*' ? multiply(*left, *right) : divide(*left, *right);
    }
    return left;
  }

  std::optional<Rational> factor() {
    if (peek() == '(') {
      if (++depth_ > max_depth_) return std::nullopt;
      ++at_;
      const auto inside = expression();
      if (!inside || peek() != ')') return std::nullopt;
      ++at_;
      --depth_;
      return inside;
    }
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    const auto number = parse_integer(text_.substr(begin, at_ - begin));
    if (!number) return std::nullopt;
    numbers_.push_back(*number);
    return Rational{*number, 1};
  }

  std::string_view text_;
  int64_t max_depth_;
  size_t at_ = 0;
  int64_t depth_ = 0;
  std::vector<int64_t> numbers_;
};

}  // namespace

std::optional<Rational> make_rational(__int128 numerator, __int128 denominator) {
  if (denominator == 0) return std::nullopt;
  __int128 a = magnitude(numerator), b = magnitude(denominator);
  while (b != 0) {
    const __int128 rest = a % b;
    a = b;
    b = rest;
  }
  if (denominator < 0) a = -a;
  numerator /= a;
  denominator /= a;
  if (magnitude(numerator) >= kMost || denominator >= kMost) return std::nullopt;
  return Rational{static_cast<int64_t>(numerator), static_cast<int64_t>(denominator)};
}

// Numbers below 2^62: products stay below 2^124 and their sums below 2^125.
std::optional<Rational> add(Rational a, Rational b) {
  return make_rational(__int128{a.numerator} * b.denominator + __int128{b.numerator} * a.denominator,
                       __int128{a.denominator} * b.denominator);
}
std::optional<Rational> subtract(Rational a, Rational b) {
  return add(a, {-b.numerator, b.denominator});
}
std::optional<Rational> multiply(Rational a, Rational b) {
  return make_rational(__int128{a.numerator} * b.numerator, __int128{a.denominator} * b.denominator);
}
std::optional<Rational> divide(Rational a, Rational b) {
  return make_rational(__int128{a.numerator} * b.denominator, __int128{a.denominator} * b.numerator);
}

std::optional<Evaluated> evaluate(std::string_view expression, int64_t max_depth) {
  return Evaluator(expression, max_depth).run();
}

}  // namespace minimax::rl
