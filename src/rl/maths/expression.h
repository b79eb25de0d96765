// Mathematical expressions as people and models write them, in LaTeX or plain, and whether two are the same function.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/multiprecision/cpp_int.hpp>
#include <complex>
#include <map>
#include <vector>

namespace minimax::rl {

using ExactNumber = boost::multiprecision::cpp_rational;
using Approximate = std::complex<long double>;

/// A parsed expression. Everything about it is bounded: parsing is linear in the text, at most kMaxNodes nodes, and
/// exact numbers grow to kMaxBits at most.
class Expression {
 public:
  static constexpr int64_t kMaxText = 1024, kMaxNodes = 512, kMaxDepth = 48;
  static constexpr unsigned kMaxBits = 8192;

  /// Numbers, letters as variables (i, e and \pi are what they are to everybody), + - * / ^ !, \frac \sqrt \cdot \times
  /// \div, implicit products, mixed numbers, |x|, elementary functions, \binom. `plus_minus`: what \pm stands for, 1 or
  /// -1. Nothing for any other text. No part of it is ever run as code.
  static std::optional<Expression> parse(std::string_view text, int plus_minus = 1);

  const std::vector<std::string>& variables() const { return variables_; }
  bool has_decimal_point() const { return has_decimal_point_; }
  bool has_plus_minus() const { return has_plus_minus_; }

  /// The exact value; nothing when it needs a root or a function, divides by zero, or grows too long.
  std::optional<ExactNumber> exact(const std::map<std::string, ExactNumber>& at) const;
  /// A value to about 18 digits; nothing when it is not finite.
  std::optional<Approximate> approximate(const std::map<std::string, ExactNumber>& at) const;

 private:
  friend class ExpressionParser;
  enum class Kind : uint8_t {
    kNumber,
    kVariable,
    kPi,
    kE,
    kI,
    kAdd,
    kMultiply,
    kDivide,
    kPower,
    kRoot,
    kNegate,
    kAbs,
    kFactorial,
    kBinomial,
    kFunction
  };
  struct Node {
    Kind kind;
    int32_t a = -1, b = -1;
    ExactNumber number = {};
    std::string name = {};  // of a variable or function
  };

  std::optional<ExactNumber> exact(const Node& node, const std::map<std::string, ExactNumber>& at) const;
  Approximate approximate(const Node& node, const std::map<std::string, ExactNumber>& at) const;
  const Node& node(int32_t index) const { return nodes_[static_cast<size_t>(index)]; }

  std::vector<Node> nodes_;
  int32_t root_ = -1;
  std::vector<std::string> variables_;  // sorted, each once
  bool has_decimal_point_ = false, has_plus_minus_ = false;
};

/// Equal for all values of the variables: exactly, where both sides are made of + - * / and whole powers, else at 12
/// points to 12 digits. A decimal number equals an irrational one to 6 digits.
bool same_function(const Expression& a, const Expression& b);
/// a is b times a number that is not zero.
bool same_up_to_factor(const Expression& a_left, const Expression& a_right, const Expression& b_left,
                       const Expression& b_right);

}  // namespace minimax::rl
