// SchemaFacts: what several JSON Schema objects say together about one value, apart from their applicators.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "text/grammar/number_regex.h"
#include "text/grammar/regex_pool.h"

namespace minimax::text::grammar {

using Schema = const io::json::value*;

enum JsonType : uint8_t {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kFraction = 8,  ///< numbers that are not whole; "number" is this and kInteger
  kString = 16,
  kArray = 32,
  kObject = 64,
};

struct SchemaFacts {
  /// One object's words about the members and items of a value, which depend on each other.
  struct Structure {
    const io::json::object* properties = nullptr;
    std::vector<std::pair<RegexId, Schema>> patterns = {};  ///< of names with their quotes
    Schema additional = nullptr;
    const io::json::array* prefix = nullptr;
    Schema items = nullptr;
  };

  uint8_t types = 127;
  std::optional<std::vector<Schema>> values = {};  ///< of enum and const: those in all of them
  NumberLimits numbers = {};
  int32_t min_length = 0, max_length = RegexPool::kUnbounded;
  std::vector<RegexId> strings = {};  ///< patterns and formats of the whole string with its quotes
  int32_t min_items = 0, max_items = RegexPool::kUnbounded;
  int32_t min_properties = 0, max_properties = RegexPool::kUnbounded;
  std::vector<std::string_view> required = {};
  std::vector<Schema> names = {};  ///< of propertyNames
  std::vector<Structure> structures = {};
  bool impossible = false;  ///< two limits that contradict each other

  bool is_required(std::string_view name) const;
};

/// `place` tells where a schema is, for errors.
using PlaceOf = std::function<std::string(Schema)>;

/// Adds what a schema object says. Throws kInvalidArgument for keywords with wrong values and for those that are part
/// of JSON Schema and not supported here. Words that are not part of it are ignored, as it asks.
void add_facts(SchemaFacts& facts, Schema schema, RegexPool& pool, const PlaceOf& place);

/// Strings with their quotes that the facts allow.
RegexId string_regex(const SchemaFacts& facts, RegexPool& pool);
/// Numbers that the facts allow.
RegexId number_regex(const SchemaFacts& facts, RegexPool& pool, std::string_view what);
/// Null, booleans, numbers and strings that the facts allow, enum and const included.
RegexId scalar_regex(const SchemaFacts& facts, RegexPool& pool, std::string_view what);
/// The values of enum and const that the other facts allow. Throws kInvalidArgument for arrays and objects beside
/// keywords about their contents.
std::vector<Schema> allowed_values(const SchemaFacts& facts, RegexPool& pool, std::string_view what);

uint8_t type_of(const io::json::value& value);

}  // namespace minimax::text::grammar
