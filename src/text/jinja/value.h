// Value: what expressions of a template come to: Python's values as far as templates see them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "io/json_fwd.h"
#include "text/jinja/traced_string.h"

namespace minimax::text::jinja {

class Value;
struct Macro;

/// What is called with: m(1, x=2).
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct List;
struct Dict;
struct Namespace;
struct Function;
struct BoundMethod;

/// Strings, lists and dicts are shared and never change; only a namespace does.
class Value {
 public:
  struct Undefined {
    std::string name;  ///< of what is not there, for errors
  };
  struct None {};
  using String = std::shared_ptr<const TracedString>;

  Value() : data_(Undefined{}) {}
  Value(None) : data_(None{}) {}  // NOLINT: a value is a value
  explicit Value(bool value) : data_(value) {}
  explicit Value(int64_t value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  explicit Value(TracedString value) : data_(std::make_shared<const TracedString>(std::move(value))) {}
  explicit Value(std::shared_ptr<const List> value) : data_(std::move(value)) {}
  explicit Value(std::shared_ptr<const Dict> value) : data_(std::move(value)) {}
  explicit Value(std::shared_ptr<Namespace> value) : data_(std::move(value)) {}
  explicit Value(std::shared_ptr<const Function> value) : data_(std::move(value)) {}
  explicit Value(std::shared_ptr<const Macro> value) : data_(std::move(value)) {}
  explicit Value(std::shared_ptr<const BoundMethod> value) : data_(std::move(value)) {}

  static Value undefined(std::string name) {
    Value value;
    value.data_ = Undefined{std::move(name)};
    return value;
  }
  static Value text(std::string_view bytes) {
    return Value(TracedString(std::string(bytes), TracedString::Origin::kTemplate));
  }
  static Value data_text(std::string_view bytes) {
    return Value(TracedString(std::string(bytes), TracedString::Origin::kData));
  }

  template <typename T>
  const T* get() const {
    return std::get_if<T>(&data_);
  }
  bool is_undefined() const { return get<Undefined>() != nullptr; }
  bool is_none() const { return get<None>() != nullptr; }
  /// Null when it is no string, and so on.
  const TracedString* string() const {
    const auto* value = get<String>();
    return value ? value->get() : nullptr;
  }
  const List* list() const;
  const Dict* dict() const;
  Namespace* name_space() const;
  /// Integers and booleans, as Python counts.
  std::optional<int64_t> integer() const;
  /// Integers, booleans and floats.
  std::optional<double> number() const;
  bool is_float() const { return get<double>() != nullptr; }

  bool truth() const;
  /// "str", "list", "dict", as Python names types.
  std::string_view type_name() const;
  /// Levels of lists and dicts inside each other.
  int32_t depth() const;

 private:
  std::variant<Undefined, None, bool, int64_t, double, String, std::shared_ptr<const List>, std::shared_ptr<const Dict>,
               std::shared_ptr<Namespace>, std::shared_ptr<const Function>, std::shared_ptr<const Macro>,
               std::shared_ptr<const BoundMethod>>
      data_;
};

struct List {
  enum class Kind : uint8_t {
    kList,
    kTuple,
    kView,       ///< of a dict: has a length
    kGenerator,  ///< of a filter: true even when empty, has no length
  };
  std::vector<Value> items;
  Kind kind = Kind::kList;
  int32_t depth = 1;
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in order of insertion
  int32_t depth = 1;

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> members;
};

struct Function {
  std::string name;
  std::function<Value(const Arguments&)> call;
};

/// x.name of a string, list or dict, not called yet.
struct BoundMethod {
  Value self;
  std::string name;
};

/// Throws kInvalidArgument for more than kMaxValueDepth levels.
inline constexpr int32_t kMaxValueDepth = 200;
Value make_list(std::vector<Value> items, List::Kind kind = List::Kind::kList);
Value make_dict(std::vector<std::pair<Value, Value>> items);

/// All strings in it are data.
Value from_json(const io::json::value& json);

/// Python's ==.
bool equal(const Value& a, const Value& b);
/// Negative, 0 or positive; throws kInvalidArgument for types that have no order between them.
int compare(const Value& a, const Value& b);
/// a + b and the like of numbers, as Python has it; throws kInvalidArgument for what 64 bits do not hold, and for zero
/// as a divisor.
Value arithmetic(std::string_view operation, const Value& a, const Value& b);
/// What {{ x }} writes: Python's str().
TracedString to_text(const Value& value);
/// Python's repr(), as str() of a list writes its items.
TracedString to_repr(const Value& value);

}  // namespace minimax::text::jinja
