#include "rl/maths/expression.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <numbers>

#include "core/rng.h"

namespace minimax::rl {
namespace {

using boost::multiprecision::cpp_int;

constexpr std::string_view kFunctions[] = {"arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "sin", "cos",
                                           "tan",    "cot",    "sec",    "csc",  "log",  "ln",   "exp"};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool too_long(const ExactNumber& x) {
  const cpp_int above = abs(numerator(x)), below = denominator(x);
  return (above != 0 && msb(above) > Expression::kMaxBits) || msb(below) > Expression::kMaxBits;
}

std::optional<ExactNumber> checked(const ExactNumber& x) {
  return too_long(x) ? std::nullopt : std::optional(x);
}

std::optional<int64_t> small_integer(const ExactNumber& x, int64_t most) {
  if (denominator(x) != 1 || abs(numerator(x)) > most) return std::nullopt;
  return static_cast<int64_t>(numerator(x));
}

std::optional<ExactNumber> power(const ExactNumber& base, int64_t exponent) {
  if (exponent < 0 && base == 0) return std::nullopt;
  if (base == 0 || base == 1) return exponent == 0 ? ExactNumber(1) : base;
  const auto count = static_cast<uint64_t>(std::abs(exponent));
  const cpp_int above = abs(numerator(base));
  const auto bits = std::max(msb(above), msb(denominator(base))) + 1;
  if (bits * count > Expression::kMaxBits) return std::nullopt;
  ExactNumber out = 1;
  for (uint64_t i = 0; i < count; ++i) out *= base;
  return exponent < 0 ? ExactNumber(1) / out : out;
}

long double as_long_double(const ExactNumber& x) {
  return x.convert_to<long double>();
}

// Falling product: n (n - 1) ... (n - k + 1) / k!
std::optional<ExactNumber> binomial(const ExactNumber& n, const ExactNumber& k) {
  const auto count = small_integer(k, 200);
  if (!count || *count < 0) return std::nullopt;
  ExactNumber out = 1;
  for (int64_t i = 0; i < *count; ++i) out = out * (n - i) / (i + 1);
  return checked(out);
}

}  // namespace

// expression = [sign] term {(+ | - | \pm) term};  term = factor {[* | /] factor};  factor = base [^ exponent] {!}
class ExpressionParser {
 public:
  ExpressionParser(std::string_view text, int plus_minus) : text_(text), plus_minus_(plus_minus) {}

  std::optional<Expression> run() {
    if (static_cast<int64_t>(text_.size()) > Expression::kMaxText) return std::nullopt;
    out_.root_ = expression();
    if (out_.root_ < 0 || peek() != '\0') return std::nullopt;
    std::sort(out_.variables_.begin(), out_.variables_.end());
    out_.variables_.erase(std::unique(out_.variables_.begin(), out_.variables_.end()), out_.variables_.end());
    return std::move(out_);
  }

 private:
  using Kind = Expression::Kind;

  // Every rule returns the index of its node, or -1 when the text is not one.
  int32_t add(Expression::Node node) {
    if (static_cast<int64_t>(out_.nodes_.size()) >= Expression::kMaxNodes) return -1;
    out_.nodes_.push_back(std::move(node));
    return static_cast<int32_t>(out_.nodes_.size()) - 1;
  }
  int32_t binary(Kind kind, int32_t a, int32_t b) { return a < 0 || b < 0 ? -1 : add({.kind = kind, .a = a, .b = b}); }
  int32_t unary(Kind kind, int32_t a) { return a < 0 ? -1 : add({.kind = kind, .a = a}); }

  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(std::string_view word) {
    peek();
    if (!text_.substr(at_).starts_with(word)) return false;
    // \pi is not the beginning of \pink, and \in none of \int.
    if (word.size() > 1 && word[0] == '\\' && at_ + word.size() < text_.size() && is_letter(text_[at_ + word.size()]))
      return false;
    at_ += word.size();
    return true;
  }

  int32_t expression() {
    if (++depth_ > Expression::kMaxDepth) return -1;
    int32_t left = -1;
    if (take("-"))
      left = unary(Kind::kNegate, term());
    else if (take("\\pm"))
      left = signed_term(plus_minus_, term());
    else
      left = (take("+"), term());
    for (;;) {
      if (left < 0) return -1;
      if (take("+-"))  // 3+-2
        left = binary(Kind::kAdd, left, unary(Kind::kNegate, term()));
      else if (take("+"))
        left = binary(Kind::kAdd, left, term());
      else if (take("-"))
        left = binary(Kind::kAdd, left, unary(Kind::kNegate, term()));
      else if (take("\\pm"))
        left = binary(Kind::kAdd, left, signed_term(plus_minus_, term()));
      else if (take("\\mp"))
        left = binary(Kind::kAdd, left, signed_term(-plus_minus_, term()));
      else
        break;
    }
    --depth_;
    return left;
  }

  int32_t signed_term(int sign, int32_t node) {
    out_.has_plus_minus_ = true;
    return sign > 0 ? node : unary(Kind::kNegate, node);
  }

  int32_t term() {
    int32_t left = factor();
    for (;;) {
      if (left < 0) return -1;
      if (take("\\cdot") || take("\\times") || take("*")) {
        left = binary(Kind::kMultiply, left, signed_factor());
      } else if (take("\\div") || take("/")) {
        left = binary(Kind::kDivide, left, signed_factor());
      } else if (starts_factor() && !(after_number_ && is_digit(peek()))) {
        const bool mixed = after_integer_ && text_.substr(at_).starts_with("\\frac");
        const int32_t right = factor();
        // 3 \frac{1}{2} of plain numbers is a mixed number, not a product.
        if (mixed && right >= 0 && is_plain_fraction(right) &&
            out_.nodes_[static_cast<size_t>(left)].kind == Kind::kNumber)
          left = binary(Kind::kAdd, left, right);
        else
          left = binary(Kind::kMultiply, left, right);
      } else {
        return left;
      }
    }
  }

  int32_t signed_factor() { return take("-") ? unary(Kind::kNegate, factor()) : factor(); }

  bool is_plain_fraction(int32_t index) const {
    const auto& node = out_.nodes_[static_cast<size_t>(index)];
    return node.kind == Kind::kDivide && out_.nodes_[static_cast<size_t>(node.a)].kind == Kind::kNumber &&
           out_.nodes_[static_cast<size_t>(node.b)].kind == Kind::kNumber;
  }

  bool starts_factor() {
    const char c = peek();
    if (c == '\\') {
      for (const std::string_view word : {"\\frac", "\\sqrt", "\\pi", "\\theta", "\\alpha", "\\beta", "\\lambda",
                                          "\\binom", "\\phi", "\\mu", "\\sigma", "\\omega", "\\left"})
        if (text_.substr(at_).starts_with(word)) return true;
      for (const std::string_view name : kFunctions)
        if (text_.substr(at_ + 1).starts_with(name)) return true;
      return false;
    }
    return is_digit(c) || is_letter(c) || c == '(' || c == '{' || c == '.';
  }

  int32_t factor() {
    after_number_ = after_integer_ = false;
    int32_t left = base();
    if (left >= 0 && peek() == '^') {
      ++at_;
      after_number_ = after_integer_ = false;
      const int32_t exponent = take("-") ? unary(Kind::kNegate, exponent_base()) : exponent_base();
      left = binary(Kind::kPower, left, exponent);
      after_number_ = after_integer_ = false;
    }
    while (left >= 0 && peek() == '!') {
      ++at_;
      left = unary(Kind::kFactorial, left);
      after_number_ = after_integer_ = false;
    }
    return left;
  }
  int32_t exponent_base() {
    const char c = peek();
    return is_digit(c) || is_letter(c) || c == '{' || c == '(' || c == '\\' ? base() : -1;
  }

  int32_t enclosed(char close) {
    const int32_t inside = expression();
    if (inside < 0 || peek() != close) return -1;
    ++at_;
    return inside;
  }

  // \frac12 and \sqrt2: the argument of a command is a group or one character.
  int32_t argument() {
    const char c = peek();
    if (c == '{') return ++at_, enclosed('}');
    if (is_digit(c)) return ++at_, add({.kind = Kind::kNumber, .number = ExactNumber(c - '0')});
    if (is_letter(c)) return letter();
    if (c == '\\') return base();
    return -1;
  }

  int32_t base() {
    const char c = peek();
    if (is_digit(c) || c == '.') return number();
    if (c == '(') return ++at_, enclosed(')');
    if (c == '{') return ++at_, enclosed('}');
    if (c == '|' && !in_bars_) {
      ++at_;
      in_bars_ = true;
      const int32_t inside = expression();
      in_bars_ = false;
      if (inside < 0 || peek() != '|') return -1;
      ++at_;
      return unary(Kind::kAbs, inside);
    }
    if (c == '\\') return command();
    if (is_letter(c)) return word();
    return -1;
  }

  int32_t number() {
    const size_t begin = at_;
    cpp_int digits = 0, scale = 1;
    bool point = false, any = false;
    for (; at_ < text_.size() && (is_digit(text_[at_]) || (text_[at_] == '.' && !point)); ++at_) {
      if (text_[at_] == '.') {
        point = true;
        continue;
      }
      any = true;
      digits = digits * 10 + (text_[at_] - '0');
      if (point) scale *= 10;
    }
    if (!any || text_[at_ - 1] == '.') return -1;
    out_.has_decimal_point_ |= point;
    after_number_ = true;
    after_integer_ = !point && begin < at_;
    return add({.kind = Kind::kNumber, .number = ExactNumber(digits, scale)});
  }

  int32_t command() {
    if (take("\\left")) return delimited();
    if (take("\\frac")) return binary_of(Kind::kDivide);
    if (take("\\binom")) return binary_of(Kind::kBinomial);
    if (take("\\pi")) return add({.kind = Kind::kPi});
    if (text_.substr(at_).starts_with("\\sqrt")) {  // \sqrt2 and \sqrtx too
      at_ += 5;
      int32_t degree = -1;
      if (peek() == '[') {
        ++at_;
        degree = expression();
        if (degree < 0 || peek() != ']') return -1;
        ++at_;
      } else {
        degree = add({.kind = Kind::kNumber, .number = ExactNumber(2)});
      }
      const int32_t inside = peek() == '(' ? base() : argument();
      return binary(Kind::kRoot, inside, degree);
    }
    for (const std::string_view name :
         {"\\theta", "\\alpha", "\\beta", "\\lambda", "\\phi", "\\mu", "\\sigma", "\\omega"})
      if (take(name)) return variable(std::string(name));
    ++at_;
    for (const std::string_view name : kFunctions)
      if (take(name)) return function(name);
    return -1;
  }

  int32_t delimited() {
    const char open = peek();
    if (open != '(' && open != '|') return -1;
    ++at_;
    const int32_t inside = expression();
    if (inside < 0 || !take("\\right") || peek() != (open == '(' ? ')' : '|')) return -1;
    ++at_;
    return open == '|' ? unary(Kind::kAbs, inside) : inside;
  }

  int32_t binary_of(Kind kind) {
    const int32_t a = argument();
    return binary(kind, a, a < 0 ? -1 : argument());
  }

  // Letters outside commands: a function's or constant's name, or a product of variables. Longer runs are words.
  int32_t word() {
    size_t end = at_;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    const std::string_view letters = text_.substr(at_, end - at_);
    for (const std::string_view name : kFunctions)
      if (letters == name) return at_ = end, function(name);
    if (letters == "pi") return at_ = end, add({.kind = Kind::kPi});
    if (letters == "sqrt") {
      at_ = end;
      if (peek() != '(' && peek() != '{') return -1;
      const int32_t inside = base();
      return binary(Kind::kRoot, inside, add({.kind = Kind::kNumber, .number = ExactNumber(2)}));
    }
    if (letters.size() > 2) return -1;
    if (letters.size() > 1 && letters.find_first_of("oOlL") != std::string_view::npos) return -1;  // no, on, or, lo
    return letter();
  }

  int32_t letter() {
    const char c = text_[at_++];
    if (c == 'i') return add({.kind = Kind::kI});
    if (c == 'e') return add({.kind = Kind::kE});
    std::string name(1, c);
    if (at_ < text_.size() && text_[at_] == '_') {  // x_1, x_{12}
      size_t end = at_ + 1;
      if (end < text_.size() && text_[end] == '{') {
        end = text_.find('}', end);
        if (end == std::string_view::npos || end - at_ > 8) return -1;
        name += text_.substr(at_ + 2, end - at_ - 2);
        at_ = end + 1;
      } else if (end < text_.size() && (is_digit(text_[end]) || is_letter(text_[end]))) {
        name += text_[end];
        at_ = end + 1;
      } else {
        return -1;
      }
    }
    return variable(std::move(name));
  }

  int32_t variable(std::string name) {
    out_.variables_.push_back(name);
    return add({.kind = Kind::kVariable, .name = std::move(name)});
  }

  int32_t function(std::string_view name) {
    int32_t exponent = -1;
    if (peek() == '^') {  // \sin^2 x
      ++at_;
      exponent = exponent_base();
      if (exponent < 0) return -1;
    }
    int32_t log_base = -1;
    if (name == "log" && peek() == '_') {
      ++at_;
      log_base = argument();
      if (log_base < 0) return -1;
    }
    // Without parentheses the argument is a product: \sin 2x.
    const int32_t inside = peek() == '(' || peek() == '{' || text_.substr(at_).starts_with("\\left") ? base() : term();
    if (inside < 0) return -1;
    int32_t out = add({.kind = Kind::kFunction, .a = inside, .b = log_base, .name = std::string(name)});
    if (exponent >= 0) out = binary(Kind::kPower, out, exponent);
    return out;
  }

  std::string_view text_;
  int plus_minus_;
  size_t at_ = 0;
  int64_t depth_ = 0;
  bool in_bars_ = false;
  bool after_number_ = false, after_integer_ = false;  // what the factor just read was
  Expression out_;
};

std::optional<Expression> Expression::parse(std::string_view text, int plus_minus) {
  return ExpressionParser(text, plus_minus).run();
}

std::optional<ExactNumber> Expression::exact(const std::map<std::string, ExactNumber>& at) const {
  return exact(node(root_), at);
}

std::optional<ExactNumber> Expression::exact(const Node& here, const std::map<std::string, ExactNumber>& at) const {
  if (here.kind == Kind::kNumber) return checked(here.number);
  if (here.kind == Kind::kVariable) return at.at(here.name);
  if (here.a < 0 || here.kind == Kind::kFunction) return std::nullopt;  // pi, e, i
  const auto a = exact(node(here.a), at);
  if (!a) return std::nullopt;
  const auto b = here.b < 0 ? std::optional(ExactNumber(0)) : exact(node(here.b), at);
  if (!b) return std::nullopt;
  switch (here.kind) {
    case Kind::kAdd:
      return checked(*a + *b);
    case Kind::kMultiply:
      return checked(*a * *b);
    case Kind::kDivide:
      return *b == 0 ? std::nullopt : checked(*a / *b);
    case Kind::kNegate:
      return -*a;
    case Kind::kAbs:
      return ExactNumber(abs(*a));
    case Kind::kBinomial:
      return binomial(*a, *b);
    case Kind::kPower: {
      const auto exponent = small_integer(*b, kMaxBits);
      return exponent ? power(*a, *exponent) : std::nullopt;
    }
    case Kind::kRoot: {
      if (*b != 2 || *a < 0) return std::nullopt;  // squares only; others numerically
      const cpp_int above = sqrt(cpp_int(numerator(*a))), below = sqrt(cpp_int(denominator(*a)));
      if (above * above != numerator(*a) || below * below != denominator(*a)) return std::nullopt;
      return ExactNumber(above, below);
    }
    case Kind::kFactorial: {
      const auto n = small_integer(*a, 200);
      if (!n || *n < 0) return std::nullopt;
      cpp_int product = 1;
      for (int64_t factor = 2; factor <= *n; ++factor) product *= factor;
      return checked(ExactNumber(product));
    }
    default:
      return std::nullopt;
  }
}

std::optional<Approximate> Expression::approximate(const std::map<std::string, ExactNumber>& at) const {
  const Approximate value = approximate(node(root_), at);
  if (!std::isfinite(value.real()) || !std::isfinite(value.imag())) return std::nullopt;
  return value;
}

Approximate Expression::approximate(const Node& here, const std::map<std::string, ExactNumber>& at) const {
  const auto a = [&] { return approximate(node(here.a), at); };
  const auto b = [&] { return approximate(node(here.b), at); };
  switch (here.kind) {
    case Kind::kNumber:
      return as_long_double(here.number);
    case Kind::kVariable:
      return as_long_double(at.at(here.name));
    case Kind::kPi:
      return std::numbers::pi_v<long double>;
    case Kind::kE:
      return std::numbers::e_v<long double>;
    case Kind::kI:
      return {0, 1};
    case Kind::kAdd:
      return a() + b();
    case Kind::kMultiply:
      return a() * b();
    case Kind::kDivide:
      return a() / b();
    case Kind::kNegate:
      return -a();
    case Kind::kAbs:
      return std::abs(a());
    case Kind::kPower: {
      const Approximate base = a(), exponent = b();
      if (base == Approximate(0)) return exponent.real() > 0 ? 0.0L : std::nanl("");
      if (exponent.imag() == 0 && exponent.real() == std::floor(exponent.real()) && std::abs(exponent.real()) <= 64)
        return std::pow(base, static_cast<int>(exponent.real()));
      return std::pow(base, exponent);
    }
    case Kind::kRoot: {
      const Approximate inside = a(), degree = b();
      if (degree == Approximate(2)) return std::sqrt(inside);
      // The real root of a negative number where there is one.
      if (inside.imag() == 0 && inside.real() < 0 && degree.imag() == 0 && std::fmod(degree.real(), 2.0L) == 1)
        return -std::pow(-inside.real(), 1 / degree.real());
      return inside == Approximate(0) ? inside : std::pow(inside, Approximate(1) / degree);
    }
    case Kind::kFactorial: {
      const Approximate n = a();
      if (n.imag() != 0 || n.real() < 0 || n.real() > 1000 || n.real() != std::floor(n.real())) return std::nanl("");
      return std::tgamma(n.real() + 1);
    }
    case Kind::kBinomial: {
      const Approximate n = a(), k = b();
      if (n.imag() != 0 || k.imag() != 0) return std::nanl("");
      return std::exp(std::lgamma(n.real() + 1) - std::lgamma(k.real() + 1) - std::lgamma(n.real() - k.real() + 1));
    }
    case Kind::kFunction:
      break;
  }
  const Approximate x = a();
  if (here.name == "log" && here.b >= 0) return std::log(x) / std::log(b());
  if (here.name == "log" || here.name == "ln") return here.name == "ln" ? std::log(x) : std::log10(x);
  if (here.name == "exp") return std::exp(x);
  if (here.name == "sin") return std::sin(x);
  if (here.name == "cos") return std::cos(x);
  if (here.name == "tan") return std::tan(x);
  if (here.name == "cot") return Approximate(1) / std::tan(x);
  if (here.name == "sec") return Approximate(1) / std::cos(x);
  if (here.name == "csc") return Approximate(1) / std::sin(x);
  if (here.name == "sinh") return std::sinh(x);
  if (here.name == "cosh") return std::cosh(x);
  if (here.name == "tanh") return std::tanh(x);
  if (here.name == "arcsin") return std::asin(x);
  if (here.name == "arccos") return std::acos(x);
  return std::atan(x);
}

namespace {

constexpr int kPoints = 12;

std::vector<std::string> all_variables(std::initializer_list<const Expression*> expressions) {
  std::vector<std::string> names;
  for (const Expression* expression : expressions)
    names.insert(names.end(), expression->variables().begin(), expression->variables().end());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// Values between 0.3 and 3, where roots and logarithms are at home; others for every point.
std::map<std::string, ExactNumber> point(const std::vector<std::string>& names, int index) {
  Rng rng(0x6d617468, static_cast<uint64_t>(index));
  std::map<std::string, ExactNumber> at;
  for (const std::string& name : names)
    at[name] = ExactNumber(static_cast<int64_t>(300000 + rng.below(2700000)), 1000003);
  return at;
}

bool close(Approximate a, Approximate b, long double tolerance) {
  return std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b)) || a == b;
}

}  // namespace

bool same_function(const Expression& a, const Expression& b) {
  const std::vector<std::string> names = all_variables({&a, &b});
  if (names.size() > 10) return false;
  const int points = names.empty() ? 1 : kPoints;
  int compared = 0;
  for (int index = 0; index < points; ++index) {
    const auto at = point(names, index);
    const auto exact_a = a.exact(at), exact_b = b.exact(at);
    if (exact_a && exact_b) {
      if (*exact_a != *exact_b) return false;
      ++compared;
      continue;
    }
    const auto near_a = a.approximate(at), near_b = b.approximate(at);
    if (!near_a && !near_b) continue;
    if (!near_a || !near_b) return false;
    // A decimal stands for an irrational number as well as six digits can; a fraction stands for itself.
    const bool decimal = (a.has_decimal_point() && exact_a) || (b.has_decimal_point() && exact_b);
    const bool tiny = std::abs(*near_a) < 1e-15L && std::abs(*near_b) < 1e-15L;  // sin(pi), and another zero
    if (!tiny && !close(*near_a, *near_b, decimal ? 1e-6L : 1e-12L)) return false;
    ++compared;
  }
  return compared > 0 && compared * 2 >= points;
}

bool same_up_to_factor(const Expression& a_left, const Expression& a_right, const Expression& b_left,
                       const Expression& b_right) {
  const std::vector<std::string> names = all_variables({&a_left, &a_right, &b_left, &b_right});
  if (names.empty() || names.size() > 10) return false;
  std::optional<Approximate> factor;
  int compared = 0;
  for (int index = 0; index < kPoints; ++index) {
    const auto at = point(names, index);
    const auto al = a_left.approximate(at), ar = a_right.approximate(at);
    const auto bl = b_left.approximate(at), br = b_right.approximate(at);
    if (!al || !ar || !bl || !br) continue;
    const Approximate a = *al - *ar, b = *bl - *br;
    if (std::abs(a) < 1e-12L || std::abs(b) < 1e-12L) return false;  // zero everywhere, or nowhere to tell
    if (!factor) factor = a / b;
    if (!close(a / b, *factor, 1e-9L)) return false;
    ++compared;
  }
  return compared * 2 >= kPoints;
}

}  // namespace minimax::rl
