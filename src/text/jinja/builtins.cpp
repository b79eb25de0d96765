#include "text/jinja/builtins.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "text/jinja/python_text.h"

namespace minimax::text::jinja {
namespace {

using Origin = TracedString::Origin;

constexpr std::array<std::string_view, 47> kStringMethods{
    "capitalize",   "casefold",   "center",    "count",       "encode",    "endswith",     "expandtabs",   "find",
    "format",       "format_map", "index",     "isalnum",     "isalpha",   "isascii",      "isdecimal",    "isdigit",
    "isidentifier", "islower",    "isnumeric", "isprintable", "isspace",   "istitle",      "isupper",      "join",
    "ljust",        "lower",      "lstrip",    "maketrans",   "partition", "removeprefix", "removesuffix", "replace",
    "rfind",        "rindex",     "rjust",     "rpartition",  "rsplit",    "rstrip",       "split",        "splitlines",
    "startswith",   "strip",      "swapcase",  "title",       "translate", "upper",        "zfill"};
constexpr std::array<std::string_view, 11> kListMethods{"append", "clear", "copy",   "count",   "extend", "index",
                                                        "insert", "pop",   "remove", "reverse", "sort"};
constexpr std::array<std::string_view, 11> kDictMethods{"clear", "copy",    "fromkeys",   "get",    "items", "keys",
                                                        "pop",   "popitem", "setdefault", "update", "values"};

bool among(auto names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

void Budget::step(int64_t count) {
  steps_ -= count;
  MM_CHECK(steps_ >= 0, "the template takes too many steps");
}

void Budget::bytes(int64_t count) {
  bytes_ -= count;
  MM_CHECK(bytes_ >= 0, "the template makes too much text");
}

const Value* Given::at(size_t place, std::string_view name) const {
  if (place < arguments_.positional.size()) return &arguments_.positional[place];
  for (const auto& [key, value] : arguments_.named)
    if (key == name) return &value;
  return nullptr;
}

const TracedString* Given::string(size_t place, std::string_view name) const {
  const Value* value = at(place, name);
  if (!value || value->is_none()) return nullptr;
  MM_CHECK(value->string(), "the argument ", name, " is a ", value->type_name(), ", expected a str");
  return value->string();
}

int64_t Given::integer(size_t place, std::string_view name, int64_t fallback) const {
  const Value* value = at(place, name);
  if (!value || value->is_none()) return fallback;
  const auto number = value->integer();
  MM_CHECK(number, "the argument ", name, " is a ", value->type_name(), ", expected an int");
  return *number;
}

bool Given::truth(size_t place, std::string_view name, bool fallback) const {
  const Value* value = at(place, name);
  return value ? value->truth() : fallback;
}

std::vector<Value> elements(const Value& value, Budget& budget) {
  std::vector<Value> out;
  if (const List* list = value.list()) {
    out = list->items;
  } else if (const Dict* dict = value.dict()) {
    for (const auto& [key, element] : dict->items) out.push_back(key);
  } else if (const TracedString* text = value.string()) {
    const std::vector<size_t> offsets = character_offsets(text->bytes());
    budget.bytes(static_cast<int64_t>(offsets.size()) * 64);
    for (size_t i = 0; i + 1 < offsets.size(); ++i)
      out.emplace_back(text->cut(offsets[i], offsets[i + 1] - offsets[i]));
  } else {
    MM_CHECK(value.is_undefined(), "a ", value.type_name(), " cannot be iterated over");
  }
  budget.step(static_cast<int64_t>(out.size()));
  return out;
}

bool contains(const Value& container, const Value& value) {
  if (const TracedString* text = container.string()) {
    MM_CHECK(value.string(), "a ", value.type_name(), " cannot be in a str");
    return text->bytes().find(value.string()->bytes()) != std::string::npos;
  }
  if (const List* list = container.list())
    return std::ranges::any_of(list->items, [&](const Value& one) { return equal(one, value); });
  if (const Dict* dict = container.dict()) return dict->find(value) != nullptr;
  MM_CHECK(container.is_undefined(), "nothing can be in a ", container.type_name());
  return false;
}

bool has_method(const Value& self, std::string_view name) {
  if (self.string()) return among(kStringMethods, name);
  if (const List* list = self.list()) {
    if (list->kind == List::Kind::kTuple) return name == "count" || name == "index";
    return list->kind == List::Kind::kList && among(kListMethods, name);
  }
  return self.dict() && among(kDictMethods, name);
}

Value attribute(const Value& value, std::string_view name) {
  if (const auto* undefined = value.get<Value::Undefined>())
    throw Error(ErrorKind::kInvalidArgument,
                cat("'", undefined->name, "' is undefined (its \"", name, "\" was asked for)"));
  if (has_method(value, name)) return Value(std::make_shared<const BoundMethod>(BoundMethod{value, std::string(name)}));
  if (const Dict* dict = value.dict())
    if (const Value* found = dict->find(name)) return *found;
  if (const Namespace* space = value.name_space())
    for (const auto& [key, member] : space->members)
      if (key == name) return member;
  return Value::undefined(std::string(name));
}

Value item(const Value& value, const Value& key) {
  if (const Dict* dict = value.dict())
    if (const Value* found = dict->find(key)) return *found;
  if (const TracedString* name = key.string()) return attribute(value, name->bytes());
  if (const auto* undefined = value.get<Value::Undefined>())
    throw Error(ErrorKind::kInvalidArgument, cat("'", undefined->name, "' is undefined (an item of it was asked for)"));
  const auto index = key.get<double>() ? std::nullopt : key.integer();
  const List* list = value.list();
  if (index && list && (list->kind == List::Kind::kList || list->kind == List::Kind::kTuple)) {
    const auto size = static_cast<int64_t>(list->items.size());
    const int64_t place = *index < 0 ? *index + size : *index;
    if (place >= 0 && place < size) return list->items[static_cast<size_t>(place)];
  }
  if (const TracedString* text = value.string(); text && index) {
    const std::vector<size_t> offsets = character_offsets(text->bytes());
    const auto size = static_cast<int64_t>(offsets.size()) - 1;
    const int64_t place = *index < 0 ? *index + size : *index;
    if (place >= 0 && place < size) {
      const auto at = static_cast<size_t>(place);
      return Value(text->cut(offsets[at], offsets[at + 1] - offsets[at]));
    }
  }
  return Value::undefined(cat(value.type_name(), "[", to_repr(key).bytes(), "]"));
}

int64_t length(const Value& value) {
  if (const TracedString* text = value.string()) return static_cast<int64_t>(character_count(text->bytes()));
  if (const List* list = value.list(); list && list->kind != List::Kind::kGenerator)
    return static_cast<int64_t>(list->items.size());
  if (const Dict* dict = value.dict()) return static_cast<int64_t>(dict->items.size());
  MM_CHECK(value.is_undefined(), "a ", value.type_name(), " has no length");
  return 0;
}

}  // namespace minimax::text::jinja
