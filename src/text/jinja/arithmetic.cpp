#include <cmath>

#include "core/error.h"
#include "text/jinja/value.h"

namespace minimax::text::jinja {
namespace {

[[noreturn]] void fail(std::string_view problem) {
  throw Error(ErrorKind::kInvalidArgument, std::string(problem));
}

}  // namespace

Value arithmetic(std::string_view name, const Value& a, const Value& b) {
  const auto i = a.integer(), j = b.integer();
  const double x = *a.number(), y = *b.number();
  int64_t out = 0;
  bool overflow = false;
  if (name == "/") {
    if (y == 0) fail("division by zero");
    return Value(x / y);
  }
  if (name == "//" || name == "%") {
    if (y == 0) fail("division by zero");
    if (!i || !j) {
      const double floor = std::floor(x / y);
      return Value(name == "//" ? floor : x - y * floor);
    }
    if (*j == -1) return arithmetic(name == "%" ? "*" : "-", Value(int64_t{0}), name == "%" ? Value(int64_t{0}) : a);
    int64_t quotient = *i / *j, rest = *i % *j;
    if (rest != 0 && (rest < 0) != (*j < 0)) {
      --quotient;
      rest += *j;
    }
    return Value(name == "//" ? quotient : rest);
  }
  if (name == "**") {
    const double power = std::pow(x, y);
    if (!i || !j || *j < 0) return Value(power);
    if (std::fabs(power) > 9e15) fail("a power too large");
    return Value(static_cast<int64_t>(power));
  }
  if (!i || !j) return Value(name == "+" ? x + y : name == "-" ? x - y : x * y);
  if (name == "+") overflow = __builtin_add_overflow(*i, *j, &out);
  if (name == "-") overflow = __builtin_sub_overflow(*i, *j, &out);
  if (name == "*") overflow = __builtin_mul_overflow(*i, *j, &out);
  if (overflow) fail("an integer of more than 64 bits");
  return Value(out);
}

}  // namespace minimax::text::jinja
