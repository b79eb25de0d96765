// Methods of Python's str, list and dict.
#include <algorithm>
#include <functional>
#include <limits>

#include "core/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/python_text.h"
#include "text/utf8.h"

namespace minimax::text::jinja {
namespace {

using Origin = TracedString::Origin;

const TracedString& string_argument(const Given& given, size_t place, std::string_view name) {
  const TracedString* text = given.string(place, name);
  MM_CHECK(text, "the argument ", name, " is missing");
  return *text;
}

Value split_at_space(const TracedString& text, int64_t most, bool from_right) {
  const std::vector<size_t> offsets = character_offsets(text.bytes());
  std::vector<bool> space;
  const char* const end = text.bytes().data() + text.size();
  for (size_t i = 0; i + 1 < offsets.size(); ++i)
    space.push_back(is_python_space(decode_utf8(text.bytes().data() + offsets[i], end).code_point));
  std::vector<Value> out;
  size_t first = 0, last = space.size();  // characters that are left, without the white space around them
  for (;;) {
    while (first < last && space[first]) ++first;
    while (first < last && space[last - 1]) --last;
    if (first == last) break;
    size_t cut = from_right ? last : first;
    if (most >= 0 && static_cast<int64_t>(out.size()) >= most)
      cut = from_right ? first : last;
    else if (from_right)
      while (cut > first && !space[cut - 1]) --cut;
    else
      while (cut < last && !space[cut]) ++cut;
    const size_t from = from_right ? cut : first, to = from_right ? last : cut;
    out.emplace_back(text.cut(offsets[from], offsets[to] - offsets[from]));
    (from_right ? last : first) = cut;
  }
  if (from_right) std::ranges::reverse(out);
  return make_list(std::move(out));
}

Value split(const TracedString& text, const Given& given, bool from_right, Budget& budget) {
  const TracedString* separator = given.string(0, "sep");
  const int64_t most = given.integer(1, "maxsplit", -1);
  budget.bytes(static_cast<int64_t>(text.size()) * 2);
  if (!separator) return split_at_space(text, most, from_right);
  MM_CHECK(!separator->empty(), "split: the separator is empty");
  std::vector<Value> out;
  const std::string& by = separator->bytes();
  if (from_right) {
    size_t end = text.size();
    while (most < 0 || static_cast<int64_t>(out.size()) < most) {
      if (end < by.size()) break;
      const size_t found = text.bytes().rfind(by, end - by.size());
      if (found == std::string::npos) break;
      out.emplace_back(text.cut(found + by.size(), end - found - by.size()));
      end = found;
    }
    out.emplace_back(text.cut(0, end));
    std::ranges::reverse(out);
    return make_list(std::move(out));
  }
  size_t begin = 0;
  while (most < 0 || static_cast<int64_t>(out.size()) < most) {
    const size_t found = text.bytes().find(by, begin);
    if (found == std::string::npos) break;
    out.emplace_back(text.cut(begin, found - begin));
    begin = found + by.size();
  }
  out.emplace_back(text.cut(begin));
  budget.bytes(static_cast<int64_t>(out.size()) * 64);
  return make_list(std::move(out));
}

Value split_lines(const TracedString& text, bool keep_ends, Budget& budget) {
  std::vector<Value> out;
  const std::string& bytes = text.bytes();
  for (size_t begin = 0; begin < bytes.size();) {
    const size_t end = std::min(bytes.find_first_of("\n\r\v\f\x1c\x1d\x1e", begin), bytes.size());
    size_t next = std::min(end + 1, bytes.size());
    if (end + 1 < bytes.size() && bytes[end] == '\r' && bytes[end + 1] == '\n') ++next;
    out.emplace_back(text.cut(begin, (keep_ends ? next : end) - begin));
    begin = next;
  }
  budget.bytes(static_cast<int64_t>(out.size()) * 64);
  return make_list(std::move(out));
}

Value partition(const TracedString& text, const TracedString& by, bool from_right) {
  MM_CHECK(!by.empty(), "partition: the separator is empty");
  const size_t found = from_right ? text.bytes().rfind(by.bytes()) : text.bytes().find(by.bytes());
  const Value empty = Value::text("");
  if (found == std::string::npos)
    return make_list(from_right ? std::vector{empty, empty, Value(text)} : std::vector{Value(text), empty, empty},
                     List::Kind::kTuple);
  return make_list({Value(text.cut(0, found)), Value(text.cut(found, by.size())), Value(text.cut(found + by.size()))},
                   List::Kind::kTuple);
}

bool begins_or_ends(const TracedString& text, const Given& given, bool begins) {
  const Value* with = given.at(0, "prefix");
  MM_CHECK(with, begins ? "startswith" : "endswith", " without an argument");
  const auto one = [&](const Value& part) {
    MM_CHECK(part.string(), "a str begins or ends with a str, not with a ", part.type_name());
    const std::string& bytes = part.string()->bytes();
    return begins ? text.bytes().starts_with(bytes) : text.bytes().ends_with(bytes);
  };
  if (const List* list = with->list()) return std::ranges::any_of(list->items, one);
  return one(*with);
}

int64_t count_of(std::string_view text, std::string_view part) {
  if (part.empty()) return static_cast<int64_t>(character_count(text)) + 1;
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

Value find(const TracedString& text, const TracedString& part, bool from_right, bool must) {
  const size_t found = from_right ? text.bytes().rfind(part.bytes()) : text.bytes().find(part.bytes());
  MM_CHECK(found != std::string::npos || !must, "substring not found");
  if (found == std::string::npos) return Value(int64_t{-1});
  return Value(static_cast<int64_t>(character_count(std::string_view(text.bytes()).substr(0, found))));
}

bool all_ascii(const TracedString& text, auto is) {
  return !text.empty() && std::ranges::all_of(text.bytes(), is);
}

bool is_case(const TracedString& text, bool upper) {
  const std::string& bytes = text.bytes();
  return bytes == (upper ? uppercase(text) : lowercase(text)).bytes() &&
         uppercase(text).bytes() != lowercase(text).bytes();
}

TracedString title(const TracedString& text) {
  std::string out = lowercase(text).bytes();
  const std::string upper = uppercase(text).bytes();
  bool in_word = false;
  for (size_t i = 0; i < out.size(); ++i) {
    const bool letter = out[i] != upper[i] || (out[i] & 0x80) != 0;
    if (letter && !in_word)
      for (size_t j = i; j < out.size() && (j == i || (out[j] & 0xC0) == 0x80); ++j) out[j] = upper[j];
    in_word = letter;
  }
  return text.with_bytes(std::move(out));
}

TracedString capitalized(const TracedString& text) {
  const std::vector<size_t> offsets = character_offsets(text.bytes());
  if (text.empty()) return text;
  TracedString out = uppercase(text.cut(0, offsets[1]));
  out.append(lowercase(text.cut(offsets[1])));
  return out;
}

TracedString padded(const TracedString& text, int64_t width, const TracedString& fill, bool left, bool right,
                    Budget& budget) {
  const int64_t missing = width - static_cast<int64_t>(character_count(text.bytes()));
  if (missing <= 0) return text;
  budget.bytes(missing);
  const auto fills = [&](int64_t count) {
    TracedString out;
    for (int64_t i = 0; i < count; ++i) out.append(fill);
    return out;
  };
  const int64_t before = left && right ? missing / 2 + (missing & width & 1) : left ? missing : 0;
  TracedString out = fills(before);
  out.append(text);
  out.append(fills(missing - before));
  return out;
}

Value string_method(const TracedString& text, std::string_view name, const Arguments& arguments, Budget& budget) {
  const Given given(arguments);
  budget.bytes(static_cast<int64_t>(text.size()));
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const TracedString* characters = given.string(0, "chars");
    return Value(stripped(text, name != "rstrip", name != "lstrip", characters ? &characters->bytes() : nullptr));
  }
  if (name == "split") return split(text, given, false, budget);
  if (name == "rsplit") return split(text, given, true, budget);
  if (name == "splitlines") return split_lines(text, given.truth(0, "keepends", false), budget);
  if (name == "startswith") return Value(begins_or_ends(text, given, true));
  if (name == "endswith") return Value(begins_or_ends(text, given, false));
  if (name == "upper") return Value(uppercase(text));
  if (name == "lower" || name == "casefold") return Value(lowercase(text));
  if (name == "title") return Value(title(text));
  if (name == "capitalize") return Value(capitalized(text));
  if (name == "replace") return apply_filter("replace", Value(text), arguments, budget);
  if (name == "find") return find(text, string_argument(given, 0, "sub"), false, false);
  if (name == "rfind") return find(text, string_argument(given, 0, "sub"), true, false);
  if (name == "index") return find(text, string_argument(given, 0, "sub"), false, true);
  if (name == "rindex") return find(text, string_argument(given, 0, "sub"), true, true);
  if (name == "count") return Value(count_of(text.bytes(), string_argument(given, 0, "sub").bytes()));
  if (name == "partition") return partition(text, string_argument(given, 0, "sep"), false);
  if (name == "rpartition") return partition(text, string_argument(given, 0, "sep"), true);
  if (name == "join") {
    const Value* parts = given.at(0, "iterable");
    MM_CHECK(parts, "join without an argument");
    TracedString out;
    bool first = true;
    for (const Value& part : elements(*parts, budget)) {
      MM_CHECK(part.string(), "join: a part is a ", part.type_name(), ", expected a str");
      if (!first) out.append(text);
      first = false;
      out.append(*part.string());
      budget.bytes(static_cast<int64_t>(part.string()->size() + text.size()));
    }
    return Value(std::move(out));
  }
  if (name == "removeprefix" || name == "removesuffix") {
    const std::string& part = string_argument(given, 0, "prefix").bytes();
    if (name == "removeprefix") return Value(text.bytes().starts_with(part) ? text.cut(part.size()) : text);
    return Value(text.bytes().ends_with(part) ? text.cut(0, text.size() - part.size()) : text);
  }
  if (name == "ljust" || name == "rjust" || name == "center") {
    const TracedString* given_fill = given.string(1, "fillchar");
    const TracedString fill = given_fill ? *given_fill : TracedString(" ", Origin::kTemplate);
    MM_CHECK(character_count(fill.bytes()) == 1, name, ": fill with one character");
    return Value(padded(text, given.integer(0, "width", 0), fill, name != "ljust", name != "rjust", budget));
  }
  if (name == "zfill" && !text.bytes().starts_with('-') && !text.bytes().starts_with('+'))
    return Value(padded(text, given.integer(0, "width", 0), TracedString("0", Origin::kTemplate), true, false, budget));
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (name == "isascii") return Value(std::ranges::all_of(text.bytes(), [](char c) { return (c & 0x80) == 0; }));
  if (name == "isspace") return Value(!text.empty() && stripped(text, true, false).empty());
  if (name == "isupper") return Value(is_case(text, true));
  if (name == "islower") return Value(is_case(text, false));
  if (std::ranges::all_of(text.bytes(), [](char c) { return (c & 0x80) == 0; })) {
    if (name == "isdigit" || name == "isdecimal" || name == "isnumeric") return Value(all_ascii(text, digit));
    if (name == "isalpha") return Value(all_ascii(text, letter));
    if (name == "isalnum") return Value(all_ascii(text, [&](char c) { return digit(c) || letter(c); }));
  }
  throw Error(ErrorKind::kInvalidArgument, cat("the method ", name, " of a str is not supported here"));
}

Value list_method(const List& list, std::string_view name, const Arguments& arguments, Budget& budget) {
  const Value* wanted = Given(arguments).at(0, "value");
  budget.step(static_cast<int64_t>(list.items.size()));
  if (name == "copy") return make_list(list.items);
  if (name == "count" && wanted)
    return Value(
        static_cast<int64_t>(std::ranges::count_if(list.items, [&](const Value& one) { return equal(one, *wanted); })));
  if (name == "index" && wanted) {
    const auto found = std::ranges::find_if(list.items, [&](const Value& one) { return equal(one, *wanted); });
    MM_CHECK(found != list.items.end(), "the value is not in the list");
    return Value(static_cast<int64_t>(found - list.items.begin()));
  }
  throw Error(ErrorKind::kInvalidArgument, cat("a template may not call ", name, " of a list"));
}

Value dict_method(const Dict& dict, std::string_view name, const Arguments& arguments, Budget& budget) {
  budget.step(static_cast<int64_t>(dict.items.size()));
  std::vector<Value> out;
  if (name == "get") {
    const Value* key = Given(arguments).at(0, "key");
    MM_CHECK(key, "get without an argument");
    if (const Value* found = dict.find(*key)) return *found;
    const Value* fallback = Given(arguments).at(1, "default");
    return fallback ? *fallback : Value(Value::None{});
  }
  if (name == "copy") return make_dict(dict.items);
  for (const auto& [key, value] : dict.items) {
    if (name == "items") out.push_back(make_list({key, value}, List::Kind::kTuple));
    if (name == "keys") out.push_back(key);
    if (name == "values") out.push_back(value);
  }
  MM_CHECK(name == "items" || name == "keys" || name == "values", "a template may not call ", name, " of a dict");
  return make_list(std::move(out), List::Kind::kView);
}

}  // namespace

Value call_method(const Value& self, std::string_view name, const Arguments& arguments, Budget& budget) {
  if (const TracedString* text = self.string()) return string_method(*text, name, arguments, budget);
  if (const List* list = self.list()) return list_method(*list, name, arguments, budget);
  if (const Dict* dict = self.dict()) return dict_method(*dict, name, arguments, budget);
  throw Error(ErrorKind::kInternal, cat("a ", self.type_name(), " has no method ", name));
}

}  // namespace minimax::text::jinja
