#include "text/grammar/schema_facts.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "text/grammar/json_terminals.h"
#include "text/grammar/regex_syntax.h"
#include "text/grammar/string_formats.h"

namespace minimax::text::grammar {
namespace {

using io::JsonField;
namespace json = io::json;

constexpr int32_t kMaxCount = 1'000'000;

constexpr std::array<std::string_view, 21> kUnsupported{"not",
                                                        "if",
                                                        "then",
                                                        "else",
                                                        "dependentSchemas",
                                                        "dependentRequired",
                                                        "dependencies",
                                                        "unevaluatedItems",
                                                        "unevaluatedProperties",
                                                        "contains",
                                                        "minContains",
                                                        "maxContains",
                                                        "$dynamicRef",
                                                        "$recursiveRef",
                                                        "additionalItems",
                                                        "extends",
                                                        "disallow",
                                                        "divisibleBy",
                                                        "$dynamicAnchor",
                                                        "$recursiveAnchor",
                                                        "$data"};

uint8_t type_named(const JsonField& name) {
  const std::string_view text = name.string();
  if (text == "null") return kNull;
  if (text == "boolean") return kBoolean;
  if (text == "integer") return kInteger;
  if (text == "number") return kInteger | kFraction;
  if (text == "string") return kString;
  if (text == "array") return kArray;
  if (text == "object") return kObject;
  name.fail("null, boolean, integer, number, string, array or object");
}

class Collector {
 public:
  Collector(SchemaFacts& facts, Schema schema, RegexPool& pool, const PlaceOf& place)
      : facts_(facts), schema_(schema), pool_(pool), place_(place) {}

  void collect() {
    const json::object& object = schema_->get_object();
    for (const auto& [key, value] : object) {
      const std::string_view name = key;
      if (std::ranges::find(kUnsupported, name) != kUnsupported.end())
        throw Error(ErrorKind::kInvalidArgument, cat(place_(schema_), ": the keyword \"", name, "\" is not supported"));
      keyword(name, &value);
    }
    if (structure_.properties || !structure_.patterns.empty() || structure_.additional || structure_.prefix ||
        structure_.items)
      facts_.structures.push_back(std::move(structure_));
    if (unique_ && (facts_.max_items < 0 || facts_.max_items > 1))
      throw Error(ErrorKind::kInvalidArgument, cat(place_(schema_), ": the keyword \"uniqueItems\" is not supported"));
  }

 private:
  // The readers of JsonField, with the place of the schema in their errors.
  JsonField field(std::string_view name) const { return JsonField(*schema_, place_(schema_))[name]; }
  int32_t count(std::string_view name) const { return static_cast<int32_t>(field(name).integer(0, kMaxCount)); }

  void at_least(int32_t& bound, std::string_view name) { bound = std::max(bound, count(name)); }
  void at_most(int32_t& bound, std::string_view name) {
    const int32_t value = count(name);
    bound = bound < 0 ? value : std::min(bound, value);
  }

  void bound(std::optional<NumberLimits::Bound>& bound, double value, bool exclusive, int direction) {
    if (!bound || value * direction > bound->value * direction)
      bound = {value, exclusive};
    else if (value == bound->value)
      bound->exclusive |= exclusive;
  }

  void values(std::vector<Schema> given) {
    if (!facts_.values) {
      facts_.values = std::move(given);
      return;
    }
    std::erase_if(*facts_.values, [&](Schema old) {
      return std::ranges::none_of(given, [old](Schema value) { return *value == *old; });
    });
  }

  RegexId quoted(RegexId inside) {
    const RegexId quote = pool_.literal("\"");
    return pool_.concat(std::array{quote, inside, quote});
  }
  RegexId pattern(std::string_view text) {
    return quoted(parse_regex(pool_, text, Anchoring::kSearch, Spelling::kJson, place_(schema_)));
  }

  void types() {
    const JsonField type = field("type");
    uint8_t allowed = 0;
    if (type.is_array())
      for (int64_t i = 0; i < type.size(); ++i) allowed |= type_named(type[i]);
    else
      allowed = type_named(type);
    const auto& object = schema_->get_object();
    if (const auto* nullable = object.if_contains("nullable"); nullable && nullable->is_bool() && nullable->get_bool())
      allowed |= kNull;  // OpenAPI 3.0
    facts_.types &= allowed;
  }

  void keyword(std::string_view name, Schema value) {
    if (name == "type") {
      types();
    } else if (name == "enum") {
      std::vector<Schema> given;
      for (const json::value& element : field(name).array()) given.push_back(&element);
      values(std::move(given));
    } else if (name == "const") {
      values({value});
    } else if (name == "minLength") {
      at_least(facts_.min_length, name);
    } else if (name == "maxLength") {
      at_most(facts_.max_length, name);
    } else if (name == "pattern") {
      facts_.strings.push_back(pattern(field(name).string()));
    } else if (name == "format") {
      if (const auto known = format_pattern(field(name).string()))
        facts_.strings.push_back(
            quoted(parse_regex(pool_, *known, Anchoring::kWhole, Spelling::kJson, place_(schema_))));
    } else if (name == "multipleOf") {
      multiple_of(field(name).number());
    } else if (!number_bound(name)) {
      structural(name, value);
    }
  }

  bool number_bound(std::string_view name) {
    if (name == "minimum")
      bound(facts_.numbers.least, field(name).number(), false, 1);
    else if (name == "exclusiveMinimum")
      bound(facts_.numbers.least, field(name).number(), true, 1);
    else if (name == "maximum")
      bound(facts_.numbers.most, field(name).number(), false, -1);
    else if (name == "exclusiveMaximum")
      bound(facts_.numbers.most, field(name).number(), true, -1);
    else
      return false;
    return true;
  }

  void multiple_of(double value) {
    if (!(value > 0)) field("multipleOf").fail("a number above 0");
    if (facts_.numbers.multiple_of && *facts_.numbers.multiple_of != value)
      throw Error(ErrorKind::kInvalidArgument,
                  cat(place_(schema_), ": two different values of \"multipleOf\" are not supported"));
    facts_.numbers.multiple_of = value;
  }

  void structural(std::string_view name, Schema value) {
    if (name == "minItems") {
      at_least(facts_.min_items, name);
    } else if (name == "maxItems") {
      at_most(facts_.max_items, name);
    } else if (name == "minProperties") {
      at_least(facts_.min_properties, name);
    } else if (name == "maxProperties") {
      at_most(facts_.max_properties, name);
    } else if (name == "uniqueItems") {
      unique_ = field(name).boolean();
    } else if (name == "required") {
      const JsonField list = field(name);
      for (int64_t i = 0; i < list.size(); ++i)
        if (!facts_.is_required(list[i].string())) facts_.required.push_back(list[i].string());
    } else if (name == "properties") {
      structure_.properties = &field(name).object();
    } else if (name == "additionalProperties") {
      structure_.additional = value;
    } else if (name == "patternProperties") {
      for (const auto& [key, schema] : field(name).object()) structure_.patterns.emplace_back(pattern(key), &schema);
    } else if (name == "propertyNames") {
      facts_.names.push_back(value);
    } else if (name == "prefixItems") {
      structure_.prefix = &field(name).array();
    } else if (name == "items") {
      if (value->is_array())
        throw Error(ErrorKind::kInvalidArgument,
                    cat(place_(schema_), ": a list as \"items\" is not supported, use \"prefixItems\""));
      structure_.items = value;
    }
  }

  SchemaFacts& facts_;
  Schema schema_;
  RegexPool& pool_;
  const PlaceOf& place_;
  SchemaFacts::Structure structure_;
  bool unique_ = false;
};

double number_of(const json::value& value) {
  return value.is_int64()    ? static_cast<double>(value.get_int64())
         : value.is_uint64() ? static_cast<double>(value.get_uint64())
                             : value.get_double();
}

bool divides(double step, double value) {
  const double ratio = value / step;
  return std::fabs(ratio - std::round(ratio)) <= 1e-9 * std::max(1.0, std::fabs(ratio));
}

bool number_allowed(const NumberLimits& limits, double value) {
  if (limits.least && (value < limits.least->value || (limits.least->exclusive && value == limits.least->value)))
    return false;
  if (limits.most && (value > limits.most->value || (limits.most->exclusive && value == limits.most->value)))
    return false;
  return !limits.multiple_of || divides(*limits.multiple_of, value);
}

}  // namespace

bool SchemaFacts::is_required(std::string_view name) const {
  return std::ranges::find(required, name) != required.end();
}

void add_facts(SchemaFacts& facts, Schema schema, RegexPool& pool, const PlaceOf& place) {
  Collector(facts, schema, pool, place).collect();
}

RegexId string_regex(const SchemaFacts& facts, RegexPool& pool) {
  if (facts.max_length >= 0 && facts.max_length < facts.min_length) return RegexPool::kNothing;
  if (facts.strings.empty()) return json_string(pool, facts.min_length, facts.max_length);
  RegexId out = pool.both(facts.strings);
  if (facts.min_length > 0 || facts.max_length >= 0)
    out = pool.both(out, plain_json_string(pool, facts.min_length, facts.max_length));
  return out;
}

RegexId number_regex(const SchemaFacts& facts, RegexPool& pool, std::string_view what) {
  if ((facts.types & kInteger) == 0) return RegexPool::kNothing;  // "number" without integers cannot be said
  return (facts.types & kFraction) != 0 ? number_regex(pool, facts.numbers, what)
                                        : integer_regex(pool, facts.numbers, what);
}

uint8_t type_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return kNull;
    case json::kind::bool_:
      return kBoolean;
    case json::kind::int64:
    case json::kind::uint64:
      return kInteger;
    case json::kind::double_:
      return value.get_double() == std::floor(value.get_double()) ? kInteger : kFraction;
    case json::kind::string:
      return kString;
    case json::kind::array:
      return kArray;
    case json::kind::object:
      return kObject;
  }
  return 0;
}

std::vector<Schema> allowed_values(const SchemaFacts& facts, RegexPool& pool, std::string_view what) {
  std::vector<Schema> out;
  const RegexId strings = string_regex(facts, pool);
  for (const Schema value : *facts.values) {
    const uint8_t type = type_of(*value);
    if ((type & facts.types) == 0) continue;
    if ((type & (kInteger | kFraction)) != 0 && !number_allowed(facts.numbers, number_of(*value))) continue;
    if (type == kString && !pool.matches(strings, io::write_json(*value))) continue;
    if ((type & (kArray | kObject)) != 0)
      MM_CHECK(facts.structures.empty() && facts.required.empty() && facts.names.empty() && facts.min_items == 0 &&
                   facts.max_items < 0 && facts.min_properties == 0 && facts.max_properties < 0,
               what, ": arrays and objects in \"enum\" or \"const\" beside keywords about their contents");
    out.push_back(value);
  }
  return out;
}

RegexId scalar_regex(const SchemaFacts& facts, RegexPool& pool, std::string_view what) {
  std::vector<RegexId> parts;
  if (facts.values) {
    std::vector<std::string> texts;
    for (const Schema value : allowed_values(facts, pool, what))
      if ((type_of(*value) & (kArray | kObject)) == 0) texts.push_back(io::write_json(*value));
    return pool.any_of(std::vector<std::string_view>(texts.begin(), texts.end()));
  }
  if ((facts.types & kNull) != 0) parts.push_back(pool.literal("null"));
  if ((facts.types & kBoolean) != 0) parts.push_back(pool.alt(pool.literal("true"), pool.literal("false")));
  if ((facts.types & (kInteger | kFraction)) != 0) parts.push_back(number_regex(facts, pool, what));
  if ((facts.types & kString) != 0) parts.push_back(string_regex(facts, pool));
  return pool.alt(parts);
}

}  // namespace minimax::text::grammar
