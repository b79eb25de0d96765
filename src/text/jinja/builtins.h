// What templates can use: filters, tests, and the methods of strings, lists and dicts, as Jinja and Python have them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace minimax::text::jinja {

/// What a rendering may still cost. Throws kInvalidArgument when that is used up.
class Budget {
 public:
  Budget(int64_t steps, int64_t bytes) : steps_(steps), bytes_(bytes) {}
  void step(int64_t count = 1);
  void bytes(int64_t count);

 private:
  int64_t steps_;
  int64_t bytes_;
};

// All throw kInvalidArgument: for names that are not known, for what Jinja or Python would refuse, for the budget.

Value apply_filter(std::string_view name, const Value& value, const Arguments& arguments, Budget& budget);
/// True for the name of a filter (not for one of its short names).
bool is_filter(std::string_view name);
/// True for names that apply_filter and apply_test know, short ones too.
bool knows_filter(std::string_view name);
bool knows_test(std::string_view name);
bool apply_test(std::string_view name, const Value& value, const Arguments& arguments, Budget& budget);
/// True when Python's type of `self` has such a method (also those that a template may not call).
bool has_method(const Value& self, std::string_view name);
Value call_method(const Value& self, std::string_view name, const Arguments& arguments, Budget& budget);

/// What a loop over the value yields.
std::vector<Value> elements(const Value& value, Budget& budget);
bool contains(const Value& container, const Value& value);
/// value.name and value["name"], or undefined.
Value attribute(const Value& value, std::string_view name);
/// value[key], or undefined.
Value item(const Value& value, const Value& key);
int64_t length(const Value& value);

/// json.dumps(value, ensure_ascii=False) and its options, as transformers' tojson has them.
Value to_json(const Value& value, const Arguments& arguments, Budget& budget);

/// Reads arguments by place or by name.
class Given {
 public:
  explicit Given(const Arguments& arguments) : arguments_(arguments) {}
  /// Null when it was not given.
  const Value* at(size_t place, std::string_view name) const;
  const TracedString* string(size_t place, std::string_view name) const;
  int64_t integer(size_t place, std::string_view name, int64_t fallback) const;
  bool truth(size_t place, std::string_view name, bool fallback) const;

 private:
  const Arguments& arguments_;
};

}  // namespace minimax::text::jinja
