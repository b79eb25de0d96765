#include "text/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "io/json.h"
#include "text/jinja/python_text.h"

namespace minimax::text::jinja {
namespace {

using Origin = TracedString::Origin;

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return io::write_json_number(value);
}

void append_items(TracedString& out, std::string_view open, const std::vector<Value>& items, std::string_view close) {
  out.append(open, Origin::kTemplate);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(", ", Origin::kTemplate);
    out.append(to_repr(items[i]));
  }
  out.append(close, Origin::kTemplate);
}

TracedString list_repr(const List& list) {
  TracedString out;
  switch (list.kind) {
    case List::Kind::kList:
      append_items(out, "[", list.items, "]");
      break;
    case List::Kind::kTuple:
      append_items(out, "(", list.items, list.items.size() == 1 ? ",)" : ")");
      break;
    case List::Kind::kView:
      append_items(out, "dict_view([", list.items, "])");
      break;
    case List::Kind::kGenerator:
      out.append("<generator object>", Origin::kTemplate);
      break;
  }
  return out;
}

TracedString dict_repr(const Dict& dict) {
  TracedString out("{", Origin::kTemplate);
  for (size_t i = 0; i < dict.items.size(); ++i) {
    if (i > 0) out.append(", ", Origin::kTemplate);
    out.append(to_repr(dict.items[i].first));
    out.append(": ", Origin::kTemplate);
    out.append(to_repr(dict.items[i].second));
  }
  out.append("}", Origin::kTemplate);
  return out;
}

}  // namespace

const List* Value::list() const {
  const auto* value = get<std::shared_ptr<const List>>();
  return value ? value->get() : nullptr;
}

const Dict* Value::dict() const {
  const auto* value = get<std::shared_ptr<const Dict>>();
  return value ? value->get() : nullptr;
}

Namespace* Value::name_space() const {
  const auto* value = get<std::shared_ptr<Namespace>>();
  return value ? value->get() : nullptr;
}

std::optional<int64_t> Value::integer() const {
  if (const bool* value = get<bool>()) return *value ? 1 : 0;
  if (const int64_t* value = get<int64_t>()) return *value;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const double* value = get<double>()) return *value;
  if (const auto value = integer()) return static_cast<double>(*value);
  return std::nullopt;
}

bool Value::truth() const {
  if (is_undefined() || is_none()) return false;
  if (const auto value = number()) return *value != 0;
  if (const auto* value = string()) return !value->empty();
  if (const List* value = list()) return !value->items.empty() || value->kind == List::Kind::kGenerator;
  if (const Dict* value = dict()) return !value->items.empty();
  return true;
}

std::string_view Value::type_name() const {
  constexpr std::string_view kNames[] = {"undefined", "NoneType", "bool",      "int",      "float", "str",
                                         "list",      "dict",     "Namespace", "function", "macro", "method"};
  if (const List* value = list()) {
    constexpr std::string_view kLists[] = {"list", "tuple", "dict view", "generator"};
    return kLists[static_cast<size_t>(value->kind)];
  }
  return kNames[data_.index()];
}

int32_t Value::depth() const {
  if (const List* value = list()) return value->depth;
  if (const Dict* value = dict()) return value->depth;
  return 0;
}

const Value* Dict::find(const Value& key) const {
  for (const auto& [name, value] : items)
    if (equal(name, key)) return &value;
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : items)
    if (const TracedString* text = name.string(); text && text->bytes() == key) return &value;
  return nullptr;
}

Value make_list(std::vector<Value> items, List::Kind kind) {
  int32_t depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  MM_CHECK(depth < kMaxValueDepth, "lists nested deeper than ", kMaxValueDepth);
  return Value(std::make_shared<const List>(List{std::move(items), kind, depth + 1}));
}

Value make_dict(std::vector<std::pair<Value, Value>> items) {
  int32_t depth = 0;
  for (const auto& [key, value] : items) depth = std::max(depth, value.depth());
  MM_CHECK(depth < kMaxValueDepth, "dicts nested deeper than ", kMaxValueDepth);
  return Value(std::make_shared<const Dict>(Dict{std::move(items), depth + 1}));
}

Value from_json(const io::json::value& json) {
  switch (json.kind()) {
    case io::json::kind::null:
      return Value::None{};
    case io::json::kind::bool_:
      return Value(json.get_bool());
    case io::json::kind::int64:
      return Value(int64_t{json.get_int64()});
    case io::json::kind::uint64:
      return Value(static_cast<double>(json.get_uint64()));
    case io::json::kind::double_:
      return Value(json.get_double());
    case io::json::kind::string:
      return Value::data_text(json.get_string());
    case io::json::kind::array: {
      std::vector<Value> items;
      for (const auto& item : json.get_array()) items.push_back(from_json(item));
      return make_list(std::move(items));
    }
    case io::json::kind::object: {
      std::vector<std::pair<Value, Value>> items;
      for (const auto& [key, item] : json.get_object()) items.emplace_back(Value::data_text(key), from_json(item));
      return make_dict(std::move(items));
    }
  }
  return {};
}

bool equal(const Value& a, const Value& b) {
  if (const auto x = a.number(), y = b.number(); x && y) {
    const auto i = a.integer(), j = b.integer();
    return i && j ? *i == *j : *x == *y;
  }
  if (a.string() && b.string()) return a.string()->bytes() == b.string()->bytes();
  if (a.is_none() || a.is_undefined()) return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
  if (const List *x = a.list(), *y = b.list(); x && y)
    return x == y || (x->kind == y->kind && std::ranges::equal(x->items, y->items, equal));
  if (const Dict *x = a.dict(), *y = b.dict(); x && y) {
    if (x->items.size() != y->items.size()) return false;
    return std::ranges::all_of(x->items, [y = y](const auto& item) {
      const Value* other = y->find(item.first);
      return other && equal(item.second, *other);
    });
  }
  return a.name_space() && a.name_space() == b.name_space();
}

int compare(const Value& a, const Value& b) {
  if (const auto x = a.number(), y = b.number(); x && y) {
    const auto i = a.integer(), j = b.integer();
    if (i && j) return *i < *j ? -1 : *i > *j ? 1 : 0;
    return *x < *y ? -1 : *x > *y ? 1 : 0;
  }
  // The order of UTF-8 bytes is that of code points.
  if (a.string() && b.string()) return a.string()->bytes().compare(b.string()->bytes());
  if (const List *x = a.list(), *y = b.list(); x && y && x->kind == y->kind) {
    for (size_t i = 0; i < x->items.size() && i < y->items.size(); ++i)
      if (!equal(x->items[i], y->items[i])) return compare(x->items[i], y->items[i]);
    return x->items.size() < y->items.size() ? -1 : x->items.size() > y->items.size() ? 1 : 0;
  }
  throw Error(ErrorKind::kInvalidArgument, cat("a ", a.type_name(), " and a ", b.type_name(), " have no order"));
}

TracedString to_text(const Value& value) {
  if (value.is_undefined()) return {};
  if (const TracedString* text = value.string()) return *text;
  return to_repr(value);
}

TracedString to_repr(const Value& value) {
  const auto plain = [](std::string_view text) { return TracedString(std::string(text), Origin::kTemplate); };
  if (value.is_undefined()) return plain("Undefined");
  if (value.is_none()) return plain("None");
  if (const bool* truth = value.get<bool>()) return plain(*truth ? "True" : "False");
  // Digits may come from data; no matter.
  if (const int64_t* number = value.get<int64_t>()) return {std::to_string(*number), Origin::kData};
  if (const double* number = value.get<double>()) return {float_text(*number), Origin::kData};
  if (const TracedString* text = value.string()) return {python_quoted(text->bytes()), text->origin()};
  if (const List* list = value.list()) return list_repr(*list);
  if (const Dict* dict = value.dict()) return dict_repr(*dict);
  return plain(cat("<", value.type_name(), ">"));
}

}  // namespace minimax::text::jinja
