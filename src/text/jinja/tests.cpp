// Jinja's tests: what may stand after "is".
#include <algorithm>

#include "core/error.h"
#include "text/jinja/builtins.h"

namespace minimax::text::jinja {

bool knows_test(std::string_view name) {
  constexpr std::string_view kTests[] = {
      "defined",  "undefined", "none",        "string",   "number",  "integer",     "float", "boolean", "true", "false",
      "mapping",  "iterable",  "sequence",    "callable", "equalto", "eq",          "==",    "ne",      "!=",   "lt",
      "lessthan", "<",         "le",          "<=",       "gt",      "greaterthan", ">",     "ge",      ">=",   "in",
      "odd",      "even",      "divisibleby", "upper",    "lower",   "sameas",      "filter"};
  return std::ranges::find(kTests, name) != std::ranges::end(kTests);
}

bool apply_test(std::string_view name, const Value& value, const Arguments& arguments, Budget& budget) {
  const auto argument = [&]() -> const Value& {
    MM_CHECK(!arguments.positional.empty(), "the test ", name, " without an argument");
    return arguments.positional[0];
  };
  const auto integer = [&](const Value& of) {
    const auto number = of.integer();
    MM_CHECK(number, "the test ", name, " of a ", of.type_name());
    return *number;
  };
  if (name == "defined") return !value.is_undefined();
  if (name == "undefined") return value.is_undefined();
  if (name == "none") return value.is_none();
  if (name == "string") return value.string() != nullptr;
  if (name == "number") return value.number().has_value();
  if (name == "integer") return value.get<int64_t>() != nullptr;
  if (name == "float") return value.is_float();
  if (name == "boolean") return value.get<bool>() != nullptr;
  if (name == "true") return value.get<bool>() && *value.get<bool>();
  if (name == "false") return value.get<bool>() && !*value.get<bool>();
  if (name == "mapping") return value.dict() != nullptr;
  if (name == "iterable") return value.string() || value.list() || value.dict() || value.is_undefined();
  if (name == "sequence") {
    const List* list = value.list();
    return value.string() || value.dict() ||
           (list && (list->kind == List::Kind::kList || list->kind == List::Kind::kTuple));
  }
  if (name == "callable")
    return value.get<std::shared_ptr<const Function>>() || value.get<std::shared_ptr<const Macro>>() ||
           value.get<std::shared_ptr<const BoundMethod>>();
  if (name == "equalto" || name == "eq" || name == "==") return equal(value, argument());
  if (name == "ne" || name == "!=") return !equal(value, argument());
  if (name == "lt" || name == "lessthan" || name == "<") return compare(value, argument()) < 0;
  if (name == "le" || name == "<=") return compare(value, argument()) <= 0;
  if (name == "gt" || name == "greaterthan" || name == ">") return compare(value, argument()) > 0;
  if (name == "ge" || name == ">=") return compare(value, argument()) >= 0;
  if (name == "in") return contains(argument(), value);
  if (name == "odd") return integer(value) % 2 != 0;
  if (name == "even") return integer(value) % 2 == 0;
  if (name == "divisibleby") {
    MM_CHECK(integer(argument()) != 0, "division by zero");
    return integer(argument()) == -1 || integer(value) % integer(argument()) == 0;
  }
  if (name == "upper" || name == "lower") {
    budget.bytes(static_cast<int64_t>(to_text(value).size()));
    return call_method(Value(to_text(value)), name == "upper" ? "isupper" : "islower", {}, budget).truth();
  }
  if (name == "sameas") {
    const Value& other = argument();
    return value.type_name() == other.type_name() && equal(value, other);
  }
  if (name == "filter") return value.string() && is_filter(value.string()->bytes());
  throw Error(ErrorKind::kInvalidArgument, cat("the test ", name, " is not known"));
}

}  // namespace minimax::text::jinja
