// Jinja's filters.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "core/error.h"
#include "io/json.h"
#include "text/jinja/builtins.h"
#include "text/jinja/percent_format.h"
#include "text/jinja/python_text.h"

namespace minimax::text::jinja {
namespace {

using Origin = TracedString::Origin;

Value list_of(std::vector<Value> items) {
  return make_list(std::move(items));
}
Value generator_of(std::vector<Value> items) {
  return make_list(std::move(items), List::Kind::kGenerator);
}

// "a.b.0" of a value: what map, selectattr, join and others take as an attribute.
Value path(const Value& value, const Value& name) {
  if (!name.string()) return item(value, name);
  Value out = value;
  std::string_view rest = name.string()->bytes();
  for (;;) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, dot);
    int64_t number = 0;
    const bool is_number = !part.empty() && std::from_chars(part.data(), part.data() + part.size(), number).ptr ==
                                                part.data() + part.size();
    out = is_number ? item(out, Value(number)) : item(out, Value::text(part));
    if (dot == rest.size()) return out;
    rest.remove_prefix(dot + 1);
  }
}

Arguments rest_of(const Arguments& arguments, size_t from) {
  Arguments out;
  for (size_t i = from; i < arguments.positional.size(); ++i) out.positional.push_back(arguments.positional[i]);
  out.named = arguments.named;
  return out;
}

std::string_view name_argument(const Arguments& arguments, size_t place, std::string_view filter) {
  MM_CHECK(place < arguments.positional.size() && arguments.positional[place].string(), filter, ": argument ",
           place + 1, " is missing or no str");
  return arguments.positional[place].string()->bytes();
}

Value map(const Value& value, const Arguments& arguments, Budget& budget) {
  std::vector<Value> out;
  if (!value.truth()) return generator_of({});  // as Jinja: of nothing comes nothing, also where it is None
  const Given given(arguments);
  const Value* attribute_name = arguments.positional.empty() ? given.at(0, "attribute") : nullptr;
  const Value* fallback = given.at(9, "default");
  for (const Value& one : elements(value, budget)) {
    if (!attribute_name) {
      out.push_back(apply_filter(name_argument(arguments, 0, "map"), one, rest_of(arguments, 1), budget));
      continue;
    }
    Value found = path(one, *attribute_name);
    out.push_back(found.is_undefined() && fallback ? *fallback : std::move(found));
  }
  return generator_of(std::move(out));
}

Value select(const Value& value, const Arguments& arguments, bool by_attribute, bool keep, Budget& budget) {
  std::vector<Value> out;
  if (!value.truth()) return generator_of({});
  const size_t test = by_attribute ? 1 : 0;
  for (const Value& one : elements(value, budget)) {
    Value subject = one;
    if (by_attribute) {
      MM_CHECK(!arguments.positional.empty(), "selectattr without an attribute");
      subject = path(one, arguments.positional[0]);
    }
    const bool holds = arguments.positional.size() <= test ? subject.truth()
                                                           : apply_test(name_argument(arguments, test, "select"),
                                                                        subject, rest_of(arguments, test + 1), budget);
    if (holds == keep) out.push_back(one);
  }
  return generator_of(std::move(out));
}

Value join(const Value& value, const Arguments& arguments, Budget& budget) {
  const Given given(arguments);
  const Value* between = given.at(0, "d");
  const Value* attribute_name = given.at(1, "attribute");
  const TracedString separator = between ? to_text(*between) : TracedString();
  TracedString out;
  bool first = true;
  for (const Value& one : elements(value, budget)) {
    if (!first) out.append(separator);
    first = false;
    const TracedString part = to_text(attribute_name ? path(one, *attribute_name) : one);
    budget.bytes(static_cast<int64_t>(part.size() + separator.size()));
    out.append(part);
  }
  return Value(std::move(out));
}

Value replace(const Value& value, const Arguments& arguments, Budget& budget) {
  const Given given(arguments);
  const Value* from_value = given.at(0, "old");
  const Value* to_value = given.at(1, "new");
  MM_CHECK(from_value && to_value, "replace without two arguments");
  const TracedString text = to_text(value), from = to_text(*from_value), to = to_text(*to_value);
  const int64_t most = given.integer(2, "count", -1);
  TracedString out;
  int64_t done = 0;
  const auto one = [&] {
    budget.bytes(static_cast<int64_t>(to.size()) + 8);
    out.append(to);
    ++done;
  };
  if (from.empty()) {  // between all characters
    const std::vector<size_t> offsets = character_offsets(text.bytes());
    for (size_t i = 0; i < offsets.size(); ++i) {
      if (most < 0 || done < most) one();
      if (i + 1 < offsets.size()) out.append(text, offsets[i], offsets[i + 1] - offsets[i]);
    }
    return Value(std::move(out));
  }
  size_t begin = 0;
  while (most < 0 || done < most) {
    const size_t found = text.bytes().find(from.bytes(), begin);
    if (found == std::string::npos) break;
    out.append(text, begin, found - begin);
    one();
    begin = found + from.size();
  }
  out.append(text, begin, text.size() - begin);
  return Value(std::move(out));
}

Value indent(const Value& value, const Arguments& arguments, Budget& budget) {
  const Given given(arguments);
  const Value* width = given.at(0, "width");
  TracedString space;
  if (width && width->string()) {
    space = *width->string();
  } else {
    const int64_t count = given.integer(0, "width", 4);
    MM_CHECK(count <= 1000, "indent: width ", count, ", expected at most 1000");
    space = TracedString(std::string(static_cast<size_t>(std::max<int64_t>(count, 0)), ' '), Origin::kTemplate);
  }
  const bool first = given.truth(1, "first", false), blank = given.truth(2, "blank", false);
  const TracedString text = to_text(value);
  TracedString out;
  size_t begin = 0;
  for (bool first_line = true;; first_line = false) {
    const size_t end = std::min(text.bytes().find('\n', begin), text.size());
    if ((first_line ? first : blank || end > begin)) {
      budget.bytes(static_cast<int64_t>(space.size()));
      out.append(space);
    }
    out.append(text, begin, end - begin);
    if (end == text.size()) break;
    out.append(text, end, 1);
    begin = end + 1;
  }
  return Value(std::move(out));
}

Value sort_key(const Value& value, const Value* attribute_name, bool case_sensitive) {
  Value key = attribute_name ? path(value, *attribute_name) : value;
  if (!case_sensitive && key.string()) key = Value(lowercase(*key.string()));
  return key;
}

Value sort(const Value& value, const Given& given, Budget& budget) {
  std::vector<std::pair<Value, Value>> keyed;
  const Value* attribute_name = given.at(2, "attribute");
  for (const Value& one : elements(value, budget))
    keyed.emplace_back(sort_key(one, attribute_name, given.truth(1, "case_sensitive", false)), one);
  budget.step(static_cast<int64_t>(keyed.size()) * 20);
  const bool reverse = given.truth(0, "reverse", false);
  std::ranges::stable_sort(keyed, [reverse](const auto& a, const auto& b) {
    return reverse ? compare(b.first, a.first) < 0 : compare(a.first, b.first) < 0;
  });
  std::vector<Value> out;
  for (auto& [key, one] : keyed) out.push_back(std::move(one));
  return list_of(std::move(out));
}

Value sort_dict(const Value& value, const Given& given, Budget& budget) {
  const Dict* dict = value.dict();
  MM_CHECK(dict, "dictsort of a ", value.type_name());
  const bool by_value = given.at(1, "by") && to_text(*given.at(1, "by")).bytes() == "value";
  auto items = dict->items;
  budget.step(static_cast<int64_t>(items.size()) * 20);
  const bool sensitive = given.truth(0, "case_sensitive", false), reverse = given.truth(2, "reverse", false);
  std::ranges::stable_sort(items, [&](const auto& a, const auto& b) {
    const auto key = [&](const auto& one) { return sort_key(by_value ? one.second : one.first, nullptr, sensitive); };
    return reverse ? compare(key(b), key(a)) < 0 : compare(key(a), key(b)) < 0;
  });
  std::vector<Value> out;
  for (const auto& [key, one] : items) out.push_back(make_list({key, one}, List::Kind::kTuple));
  return list_of(std::move(out));
}

Value unique(const Value& value, const Given& given, Budget& budget) {
  std::vector<Value> keys, out;
  for (const Value& one : elements(value, budget)) {
    Value key = sort_key(one, given.at(1, "attribute"), given.truth(0, "case_sensitive", false));
    budget.step(static_cast<int64_t>(keys.size()));
    if (std::ranges::any_of(keys, [&](const Value& seen) { return equal(seen, key); })) continue;
    keys.push_back(std::move(key));
    out.push_back(one);
  }
  return generator_of(std::move(out));
}

Value extreme(const Value& value, const Given& given, int sign, Budget& budget) {
  const std::vector<Value> all = elements(value, budget);
  if (all.empty()) return Value::undefined("the extreme of nothing");
  const auto key = [&](const Value& one) {
    return sort_key(one, given.at(1, "attribute"), given.truth(0, "case_sensitive", false));
  };
  const Value* best = &all[0];
  for (const Value& one : all)
    if (compare(key(one), key(*best)) * sign > 0) best = &one;
  return *best;
}

Value sum(const Value& value, const Given& given, Budget& budget) {
  const Value* attribute_name = given.at(0, "attribute");
  const Value* start = given.at(1, "start");
  double total = start ? start->number().value_or(0) : 0;
  bool whole = !start || start->integer();
  for (const Value& one : elements(value, budget)) {
    const Value term = attribute_name && !attribute_name->is_none() ? path(one, *attribute_name) : one;
    MM_CHECK(term.number(), "sum: a ", term.type_name(), ", expected a number");
    whole &= term.integer().has_value();
    total += *term.number();
  }
  MM_CHECK(!whole || std::fabs(total) < 9e15, "sum: too large");
  return whole ? Value(static_cast<int64_t>(total)) : Value(total);
}

Value to_integer(const Value& value, const Given& given) {
  const Value* fallback = given.at(0, "default");
  const Value otherwise = fallback ? *fallback : Value(int64_t{0});
  if (const auto number = value.integer()) return Value(*number);
  double number = 0;
  if (const auto exact = value.number()) {
    number = *exact;
  } else if (const TracedString* text = value.string()) {
    const std::string trimmed = stripped(*text, true, true).bytes();
    int64_t whole = 0;
    const char* begin = trimmed.data() + (trimmed.starts_with('+') ? 1 : 0);
    const char* const end = trimmed.data() + trimmed.size();
    const int base = static_cast<int>(given.integer(1, "base", 10));
    MM_CHECK(base >= 2 && base <= 36, "int: base ", base);
    if (begin < end && std::from_chars(begin, end, whole, base).ptr == end) return Value(whole);
    if (begin == end || std::from_chars(begin, end, number).ptr != end) return otherwise;
  } else {
    return otherwise;
  }
  return std::isfinite(number) && std::fabs(number) < 9.2e18 ? Value(static_cast<int64_t>(number)) : otherwise;
}

Value to_float(const Value& value, const Given& given) {
  const Value* fallback = given.at(0, "default");
  if (const auto number = value.number()) return Value(*number);
  if (const TracedString* text = value.string()) {
    const std::string trimmed = stripped(*text, true, true).bytes();
    double number = 0;
    const char* const end = trimmed.data() + trimmed.size();
    if (!trimmed.empty() && std::from_chars(trimmed.data(), end, number).ptr == end) return Value(number);
  }
  return fallback ? *fallback : Value(0.0);
}

Value rounded(const Value& value, const Given& given) {
  MM_CHECK(value.number(), "round of a ", value.type_name());
  const int64_t digits = given.integer(0, "precision", 0);
  const std::string method = given.string(1, "method") ? given.string(1, "method")->bytes() : "common";
  MM_CHECK(std::abs(digits) <= 15, "round: precision ", digits);
  if (method == "common" && value.integer()) return Value(*value.integer());
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = *value.number() * scale;
  if (method == "ceil") return Value(std::ceil(scaled) / scale);
  if (method == "floor") return Value(std::floor(scaled) / scale);
  MM_CHECK(method == "common", "round: method ", method);
  return Value(std::nearbyint(scaled) / scale);
}

Value absolute(const Value& value) {
  if (const auto number = value.integer()) return Value(*number < 0 ? -*number : *number);
  MM_CHECK(value.number(), "abs of a ", value.type_name());
  return Value(std::fabs(*value.number()));
}

Value batch(const Value& value, const Given& given, Budget& budget) {
  const int64_t size = given.integer(0, "linecount", 0);
  MM_CHECK(size >= 1, "batch of ", size);
  std::vector<Value> out, row;
  for (const Value& one : elements(value, budget)) {
    if (static_cast<int64_t>(row.size()) == size) out.push_back(list_of(std::exchange(row, {})));
    row.push_back(one);
  }
  const Value* fill = given.at(1, "fill_with");
  while (!row.empty() && fill && !fill->is_none() && static_cast<int64_t>(row.size()) < size) {
    budget.step();
    row.push_back(*fill);
  }
  if (!row.empty()) out.push_back(list_of(std::move(row)));
  return generator_of(std::move(out));
}

Value reversed(const Value& value, Budget& budget) {
  std::vector<Value> items = elements(value, budget);
  std::ranges::reverse(items);
  if (!value.string()) return generator_of(std::move(items));
  TracedString out;
  for (const Value& one : items) out.append(*one.string());
  return Value(std::move(out));
}

Value escaped(const TracedString& text, Budget& budget) {
  TracedString out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text.bytes()[i];
    const std::string_view entity = c == '&'    ? "&amp;"
                                    : c == '<'  ? "&lt;"
                                    : c == '>'  ? "&gt;"
                                    : c == '"'  ? "&#34;"
                                    : c == '\'' ? "&#39;"
                                                : "";
    if (entity.empty())
      out.append(text, i, 1);
    else
      out.append(entity, text.origin_at(i));
  }
  budget.bytes(static_cast<int64_t>(out.size()));
  return Value(std::move(out));
}

// Jinja's own: words begin after white space, - and opening brackets.
Value title(const TracedString& text) {
  TracedString out;
  const std::vector<size_t> offsets = character_offsets(text.bytes());
  bool begins = true;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const TracedString one = text.cut(offsets[i], offsets[i + 1] - offsets[i]);
    out.append(begins ? uppercase(one) : lowercase(one));
    begins =
        stripped(one, true, false).empty() || std::string_view("-({[<").find(one.bytes()) != std::string_view::npos;
  }
  return Value(std::move(out));
}

Value first_or_last(const Value& value, bool first, Budget& budget) {
  const std::vector<Value> all = elements(value, budget);
  if (all.empty()) return Value::undefined(first ? "the first of nothing" : "the last of nothing");
  return first ? all.front() : all.back();
}

Value centered(const Value& value, const Arguments& arguments, Budget& budget) {
  Arguments width = arguments;
  if (width.positional.empty() && width.named.empty()) width.positional.emplace_back(int64_t{80});
  return call_method(Value(to_text(value)), "center", width, budget);
}

Value group(const Value& value, const Given& given, Budget& budget) {
  const Value* name = given.at(0, "attribute");
  MM_CHECK(name, "groupby without an attribute");
  const Value* fallback = given.at(1, "default");
  const bool sensitive = given.truth(2, "case_sensitive", false);
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& one : elements(value, budget)) {
    Value key = path(one, *name);
    keyed.emplace_back(key.is_undefined() && fallback ? *fallback : std::move(key), one);
  }
  budget.step(static_cast<int64_t>(keyed.size()) * 20);
  const auto key = [&](const auto& pair) { return sort_key(pair.first, nullptr, sensitive); };
  std::ranges::stable_sort(keyed, [&](const auto& a, const auto& b) { return compare(key(a), key(b)) < 0; });
  std::vector<Value> out;
  for (size_t begin = 0; begin < keyed.size();) {
    size_t end = begin;
    std::vector<Value> members;
    for (; end < keyed.size() && equal(key(keyed[end]), key(keyed[begin])); ++end) members.push_back(keyed[end].second);
    out.push_back(make_list({keyed[begin].first, list_of(std::move(members))}, List::Kind::kTuple));
    begin = end;
  }
  return list_of(std::move(out));
}

Value sliced(const Value& value, const Given& given, Budget& budget) {
  const int64_t count = given.integer(0, "slices", 0);
  MM_CHECK(count >= 1 && count <= 100'000, "slice into ", count);
  const Value* fill = given.at(1, "fill_with");
  const std::vector<Value> items = elements(value, budget);
  budget.step(count);
  const int64_t each = static_cast<int64_t>(items.size()) / count, more = static_cast<int64_t>(items.size()) % count;
  std::vector<Value> out;
  auto at = items.begin();
  for (int64_t slice = 0; slice < count; ++slice) {
    std::vector<Value> part(at, at + each + (slice < more));
    at += static_cast<std::ptrdiff_t>(part.size());
    if (fill && !fill->is_none() && slice >= more) part.push_back(*fill);
    out.push_back(list_of(std::move(part)));
  }
  return generator_of(std::move(out));
}

Value truncated(const TracedString& text, const Given& given) {
  const int64_t length = given.integer(0, "length", 255), leeway = given.integer(3, "leeway", 5);
  const bool anywhere = given.truth(1, "killwords", false);
  const TracedString* given_end = given.string(2, "end");
  const TracedString end = given_end ? *given_end : TracedString("...", Origin::kTemplate);
  const auto end_length = static_cast<int64_t>(character_count(end.bytes()));
  MM_CHECK(length >= end_length && leeway >= 0, "truncate: length ", length, ", expected at least ", end_length);
  const std::vector<size_t> offsets = character_offsets(text.bytes());
  if (static_cast<int64_t>(offsets.size()) - 1 <= length + leeway) return Value(text);
  TracedString out = text.cut(0, offsets[static_cast<size_t>(length - end_length)]);
  if (!anywhere) out = out.cut(0, std::min(out.bytes().rfind(' '), out.size()));
  out.append(end);
  return Value(std::move(out));
}

using Filter = Value (*)(const Value&, const Arguments&, Budget&);

Value as_string_method(std::string_view method, const Value& value, const Arguments& arguments, Budget& budget) {
  return call_method(Value(to_text(value)), method, arguments, budget);
}

const std::map<std::string_view, Filter>& filters() {
  static const std::map<std::string_view, Filter> all{
      {"abs", [](const Value& v, const Arguments&, Budget&) { return absolute(v); }},
      {"attr",
       [](const Value& v, const Arguments& a, Budget&) {
         const std::string_view name = name_argument(a, 0, "attr");
         return v.dict() && !has_method(v, name) ? Value::undefined(std::string(name)) : attribute(v, name);
       }},
      {"batch", [](const Value& v, const Arguments& a, Budget& b) { return batch(v, Given(a), b); }},
      {"capitalize",
       [](const Value& v, const Arguments&, Budget& b) { return as_string_method("capitalize", v, {}, b); }},
      {"default",
       [](const Value& v, const Arguments& a, Budget&) {
         const Given given(a);
         const bool use = v.is_undefined() || (given.truth(1, "boolean", false) && !v.truth());
         if (!use) return v;
         return given.at(0, "default_value") ? *given.at(0, "default_value") : Value::text("");
       }},
      {"dictsort", [](const Value& v, const Arguments& a, Budget& b) { return sort_dict(v, Given(a), b); }},
      {"escape", [](const Value& v, const Arguments&, Budget& b) { return escaped(to_text(v), b); }},
      {"first", [](const Value& v, const Arguments&, Budget& b) { return first_or_last(v, true, b); }},
      {"format",
       [](const Value& v, const Arguments& a, Budget& b) {
         MM_CHECK(a.positional.empty() || a.named.empty(), "format: values by place or by name, not both");
         std::vector<std::pair<Value, Value>> items;
         for (const auto& [name, value] : a.named) items.emplace_back(Value::text(name), value);
         const Value named = make_dict(std::move(items));
         return percent_format(to_text(v), a.positional, a.named.empty() ? nullptr : named.dict(), b);
       }},
      {"from_json",
       [](const Value& v, const Arguments&, Budget& b) {
         const TracedString text = to_text(v);
         b.bytes(8 * static_cast<int64_t>(text.size()));
         return from_json(io::parse_json(text.bytes(), "from_json", {.max_bytes = 16 << 20, .max_values = 1 << 20}));
       }},
      {"center", [](const Value& v, const Arguments& a, Budget& b) { return centered(v, a, b); }},
      {"groupby", [](const Value& v, const Arguments& a, Budget& b) { return group(v, Given(a), b); }},
      {"slice", [](const Value& v, const Arguments& a, Budget& b) { return sliced(v, Given(a), b); }},
      {"truncate", [](const Value& v, const Arguments& a, Budget&) { return truncated(to_text(v), Given(a)); }},
      {"float", [](const Value& v, const Arguments& a, Budget&) { return to_float(v, Given(a)); }},
      {"indent", indent},
      {"int", [](const Value& v, const Arguments& a, Budget&) { return to_integer(v, Given(a)); }},
      {"items",
       [](const Value& v, const Arguments&, Budget& b) {
         if (v.is_undefined()) return generator_of({});
         MM_CHECK(v.dict(), "items of a ", v.type_name());
         return generator_of(call_method(v, "items", {}, b).list()->items);
       }},
      {"join", join},
      {"last", [](const Value& v, const Arguments&, Budget& b) { return first_or_last(v, false, b); }},
      {"length", [](const Value& v, const Arguments&, Budget&) { return Value(length(v)); }},
      {"list", [](const Value& v, const Arguments&, Budget& b) { return list_of(elements(v, b)); }},
      {"lower", [](const Value& v, const Arguments&, Budget&) { return Value(lowercase(to_text(v))); }},
      {"map", map},
      {"max", [](const Value& v, const Arguments& a, Budget& b) { return extreme(v, Given(a), 1, b); }},
      {"min", [](const Value& v, const Arguments& a, Budget& b) { return extreme(v, Given(a), -1, b); }},
      {"reject", [](const Value& v, const Arguments& a, Budget& b) { return select(v, a, false, false, b); }},
      {"rejectattr", [](const Value& v, const Arguments& a, Budget& b) { return select(v, a, true, false, b); }},
      {"replace", replace},
      {"reverse", [](const Value& v, const Arguments&, Budget& b) { return reversed(v, b); }},
      {"round", [](const Value& v, const Arguments& a, Budget&) { return rounded(v, Given(a)); }},
      {"safe", [](const Value& v, const Arguments&, Budget&) { return Value(to_text(v)); }},
      {"select", [](const Value& v, const Arguments& a, Budget& b) { return select(v, a, false, true, b); }},
      {"selectattr", [](const Value& v, const Arguments& a, Budget& b) { return select(v, a, true, true, b); }},
      {"sort", [](const Value& v, const Arguments& a, Budget& b) { return sort(v, Given(a), b); }},
      {"string", [](const Value& v, const Arguments&, Budget&) { return Value(to_text(v)); }},
      {"sum", [](const Value& v, const Arguments& a, Budget& b) { return sum(v, Given(a), b); }},
      {"title", [](const Value& v, const Arguments&, Budget&) { return title(to_text(v)); }},
      {"tojson", to_json},
      {"trim", [](const Value& v, const Arguments& a, Budget& b) { return as_string_method("strip", v, a, b); }},
      {"unique", [](const Value& v, const Arguments& a, Budget& b) { return unique(v, Given(a), b); }},
      {"upper", [](const Value& v, const Arguments&, Budget&) { return Value(uppercase(to_text(v))); }},
      {"wordcount",
       [](const Value& v, const Arguments&, Budget& b) { return Value(length(as_string_method("split", v, {}, b))); }},
  };
  return all;
}

}  // namespace

namespace {

std::string_view long_name(std::string_view name) {
  return name == "d" ? "default" : name == "count" ? "length" : name == "e" ? "escape" : name;
}

}  // namespace

bool knows_filter(std::string_view name) {
  return is_filter(long_name(name));
}

Value apply_filter(std::string_view name, const Value& value, const Arguments& arguments, Budget& budget) {
  name = long_name(name);
  const auto found = filters().find(name);
  MM_CHECK(found != filters().end(), "the filter ", name, " is not known");
  return found->second(value, arguments, budget);
}

bool is_filter(std::string_view name) {
  return filters().contains(name);
}

}  // namespace minimax::text::jinja
