// A plain JSON Schema validator for tests, written without a look at the compiler: slow, and obviously right.
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"
#include "io/json.h"

namespace minimax::test {

namespace json = io::json;

inline bool found_in(const std::string& pattern, std::string_view text) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  std::unique_ptr<pcre2_code, void (*)(pcre2_code*)> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF, &error, &offset, nullptr),
      pcre2_code_free);
  MM_CHECK(code != nullptr, "PCRE2 refuses ", pattern, " at ", offset);
  std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match(
      pcre2_match_data_create_from_pattern(code.get(), nullptr), pcre2_match_data_free);
  return pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, match.get(), nullptr) >=
         0;
}

inline int64_t characters(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

inline double number(const json::value& value) {
  return value.is_int64()    ? static_cast<double>(value.get_int64())
         : value.is_uint64() ? static_cast<double>(value.get_uint64())
                             : value.get_double();
}

class SchemaValidator {
 public:
  explicit SchemaValidator(const json::value& root) : root_(root) {}

  bool valid(const json::value& value) const { return valid(root_, value); }

 private:
  static bool equal(const json::value& a, const json::value& b) {
    return a == b || (a.is_number() && b.is_number() && number(a) == number(b));
  }

  static bool has_type(const json::value& value, std::string_view type) {
    if (type == "null") return value.is_null();
    if (type == "boolean") return value.is_bool();
    if (type == "string") return value.is_string();
    if (type == "array") return value.is_array();
    if (type == "object") return value.is_object();
    if (type == "number") return value.is_number();
    return value.is_number() && number(value) == std::floor(number(value));
  }

  bool all(const json::value& list, const json::value& value) const {
    return std::ranges::all_of(list.get_array(), [&](const auto& schema) { return valid(schema, value); });
  }
  int64_t count(const json::value& list, const json::value& value) const {
    return std::ranges::count_if(list.get_array(), [&](const auto& schema) { return valid(schema, value); });
  }

  const json::value& resolve(std::string_view reference) const {
    const json::value* at = &root_;
    MM_CHECK(reference.starts_with("#"), "reference ", reference);
    reference.remove_prefix(1);
    while (!reference.empty()) {
      const size_t end = std::min(reference.find('/', 1), reference.size());
      std::string key(reference.substr(1, end - 1));
      if (const size_t slash = key.find("~1"); slash != std::string::npos) key.replace(slash, 2, "/");
      at = at->is_object() ? &at->get_object().at(key) : &at->get_array().at(std::stoul(key));
      reference.remove_prefix(end);
    }
    return *at;
  }

  bool valid(const json::value& schema, const json::value& value) const {
    if (schema.is_bool()) return schema.get_bool();
    const json::object& s = schema.get_object();
    const auto has = [&](std::string_view key) { return s.contains(key); };
    const auto limit = [&](std::string_view key) { return number(s.at(key)); };
    if (has("$ref") && !valid(resolve(s.at("$ref").get_string()), value)) return false;
    if (has("allOf") && !all(s.at("allOf"), value)) return false;
    if (has("anyOf") && count(s.at("anyOf"), value) == 0) return false;
    if (has("oneOf") && count(s.at("oneOf"), value) != 1) return false;
    if (has("type") && !(has("nullable") && value.is_null())) {  // nullable: OpenAPI 3.0
      const json::value& type = s.at("type");
      const bool fits = type.is_string() ? has_type(value, type.get_string())
                                         : std::ranges::any_of(type.get_array(), [&](const auto& one) {
                                             return has_type(value, one.get_string());
                                           });
      if (!fits) return false;
    }
    if (has("enum") &&
        std::ranges::none_of(s.at("enum").get_array(), [&](const auto& one) { return equal(one, value); }))
      return false;
    if (has("const") && !equal(s.at("const"), value)) return false;
    if (value.is_number()) {
      const double x = number(value);
      if (has("minimum") && x < limit("minimum")) return false;
      if (has("maximum") && x > limit("maximum")) return false;
      if (has("exclusiveMinimum") && x <= limit("exclusiveMinimum")) return false;
      if (has("exclusiveMaximum") && x >= limit("exclusiveMaximum")) return false;
      if (has("multipleOf")) {
        const double ratio = x / limit("multipleOf");
        if (std::fabs(ratio - std::round(ratio)) > 1e-9 * std::max(1.0, std::fabs(ratio))) return false;
      }
    }
    if (value.is_string()) {
      const std::string_view text = value.get_string();
      if (has("minLength") && static_cast<double>(characters(text)) < limit("minLength")) return false;
      if (has("maxLength") && static_cast<double>(characters(text)) > limit("maxLength")) return false;
      if (has("pattern") && !found_in(std::string(s.at("pattern").get_string()), text)) return false;
    }
    if (value.is_array() && !valid_array(s, value.get_array())) return false;
    return !value.is_object() || valid_object(s, value.get_object());
  }

  bool valid_array(const json::object& s, const json::array& value) const {
    if (s.contains("minItems") && static_cast<double>(value.size()) < number(s.at("minItems"))) return false;
    if (s.contains("maxItems") && static_cast<double>(value.size()) > number(s.at("maxItems"))) return false;
    const json::array none;
    const json::array& prefix = s.contains("prefixItems") ? s.at("prefixItems").get_array() : none;
    for (size_t i = 0; i < value.size(); ++i) {
      if (i < prefix.size() && !valid(prefix[i], value[i])) return false;
      if (i >= prefix.size() && s.contains("items") && !valid(s.at("items"), value[i])) return false;
    }
    return true;
  }

  bool valid_object(const json::object& s, const json::object& value) const {
    if (s.contains("minProperties") && static_cast<double>(value.size()) < number(s.at("minProperties"))) return false;
    if (s.contains("maxProperties") && static_cast<double>(value.size()) > number(s.at("maxProperties"))) return false;
    if (s.contains("required"))
      for (const auto& name : s.at("required").get_array())
        if (!value.contains(name.get_string())) return false;
    for (const auto& [name, member] : value) {
      bool spoken_of = false;
      if (s.contains("properties"))
        if (const auto* schema = s.at("properties").get_object().if_contains(name)) {
          spoken_of = true;
          if (!valid(*schema, member)) return false;
        }
      if (s.contains("patternProperties"))
        for (const auto& [pattern, schema] : s.at("patternProperties").get_object())
          if (found_in(std::string(pattern), name)) {
            spoken_of = true;
            if (!valid(schema, member)) return false;
          }
      if (!spoken_of && s.contains("additionalProperties") && !valid(s.at("additionalProperties"), member))
        return false;
      if (s.contains("propertyNames") && !valid(s.at("propertyNames"), json::value(json::string(name)))) return false;
    }
    return true;
  }

  const json::value& root_;
};

}  // namespace minimax::test
