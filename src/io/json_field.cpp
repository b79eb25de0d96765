#include <cmath>

#include "core/error.h"
#include "io/json.h"

namespace minimax::io {
namespace {

// A value as an error message shows it: short, on one line, with its type.
std::string describe(const json::value* value) {
  if (!value) return "absent";
  if (const json::array* array = value->if_array()) return cat("an array of ", array->size());
  if (const json::object* object = value->if_object()) return cat("an object of ", object->size());
  if (value->is_null()) return "null";
  std::string text = write_json(*value);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  if (value->is_string()) return text + " (string)";
  return text + (value->is_bool() ? " (boolean)" : " (number)");
}

std::string integer_range(int64_t min, int64_t max) {
  const bool open_above = max == std::numeric_limits<int64_t>::max();
  if (min == std::numeric_limits<int64_t>::min()) return open_above ? "an integer" : cat("an integer up to ", max);
  if (!open_above) return cat("an integer from ", min, " to ", max);
  if (min == 0) return "an integer of 0 or more";
  return min == 1 ? "a positive integer" : cat("an integer of ", min, " or more");
}

std::string number_range(double min, double max) {
  const bool open_below = min == std::numeric_limits<double>::lowest();
  const bool open_above = max == std::numeric_limits<double>::max();
  if (open_below && open_above) return "a number";
  if (open_below) return cat("a number up to ", write_json_number(max));
  if (open_above) return cat("a number of ", write_json_number(min), " or more");
  return cat("a number from ", write_json_number(min), " to ", write_json_number(max));
}

}  // namespace

JsonField::JsonField(const json::value& root, std::string_view document)
    : JsonField(&root, std::string(document), "") {}

JsonField::JsonField(const json::value* value, std::string document, std::string path)
    : value_(value), document_(std::move(document)), path_(std::move(path)) {}

JsonField JsonField::operator[](std::string_view key) const {
  if (!is_object()) fail("an object");
  std::string path = path_.empty() ? std::string(key) : cat(path_, ".", key);
  return JsonField(value_->get_object().if_contains(key), document_, std::move(path));
}

JsonField JsonField::operator[](int64_t index) const {
  if (!is_array()) fail("an array");
  const json::array& elements = value_->get_array();
  if (index < 0 || index >= static_cast<int64_t>(elements.size())) fail(cat("an array of more than ", index));
  return JsonField(&elements[static_cast<size_t>(index)], document_, cat(path_, "[", index, "]"));
}

bool JsonField::has_value() const {
  return value_ && !value_->is_null();
}
bool JsonField::is_string() const {
  return value_ && value_->is_string();
}
bool JsonField::is_number() const {
  return value_ && value_->is_number();
}
bool JsonField::is_bool() const {
  return value_ && value_->is_bool();
}
bool JsonField::is_array() const {
  return value_ && value_->is_array();
}
bool JsonField::is_object() const {
  return value_ && value_->is_object();
}

int64_t JsonField::integer(int64_t min, int64_t max) const {
  int64_t found = 0;
  bool whole = false;
  if (value_ && value_->is_int64()) {
    found = value_->get_int64();
    whole = true;
  } else if (value_ && value_->is_double()) {
    const double number = value_->get_double();
    // Beyond 2^53 a double no longer tells which integer was meant.
    whole = std::trunc(number) == number && std::abs(number) <= 0x1p53;
    if (whole) found = static_cast<int64_t>(number);
  }
  if (!whole || found < min || found > max) fail(integer_range(min, max));
  return found;
}

double JsonField::number(double min, double max) const {
  double found = std::numeric_limits<double>::quiet_NaN();
  if (value_ && value_->is_number()) found = value_->to_number<double>();
  if (!(found >= min && found <= max)) fail(number_range(min, max));
  return found;
}

bool JsonField::boolean() const {
  if (!is_bool()) fail("true or false");
  return value_->get_bool();
}

std::string_view JsonField::string() const {
  if (!is_string()) fail("a string");
  return std::string_view(value_->get_string());
}

const json::array& JsonField::array() const {
  if (!is_array()) fail("an array");
  return value_->get_array();
}

const json::object& JsonField::object() const {
  if (!is_object()) fail("an object");
  return value_->get_object();
}

int64_t JsonField::size() const {
  return static_cast<int64_t>(array().size());
}

std::vector<int64_t> JsonField::integers(int64_t min, int64_t max) const {
  std::vector<int64_t> found(static_cast<size_t>(size()));
  for (size_t i = 0; i < found.size(); ++i) found[i] = (*this)[static_cast<int64_t>(i)].integer(min, max);
  return found;
}

std::vector<std::string> JsonField::strings() const {
  std::vector<std::string> found(static_cast<size_t>(size()));
  for (size_t i = 0; i < found.size(); ++i) found[i] = (*this)[static_cast<int64_t>(i)].string();
  return found;
}

int64_t JsonField::integer_or(int64_t fallback, int64_t min, int64_t max) const {
  return has_value() ? integer(min, max) : fallback;
}
double JsonField::number_or(double fallback, double min, double max) const {
  return has_value() ? number(min, max) : fallback;
}
bool JsonField::boolean_or(bool fallback) const {
  return has_value() ? boolean() : fallback;
}
std::string_view JsonField::string_or(std::string_view fallback) const {
  return has_value() ? string() : fallback;
}

const json::value& JsonField::value() const {
  if (!value_) fail("a value");
  return *value_;
}

void JsonField::fail(std::string_view expected) const {
  const std::string name = path_.empty() ? "the document" : cat('"', path_, '"');
  throw FieldError(cat(document_, ": ", name, " is ", describe(value_), ", expected ", expected), path_);
}

}  // namespace minimax::io
