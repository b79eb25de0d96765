// tojson as transformers has it: Python's json.dumps.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "io/json.h"
#include "text/jinja/builtins.h"
#include "text/jinja/python_text.h"
#include "text/utf8.h"

namespace minimax::text::jinja {
namespace {

using Origin = TracedString::Origin;

struct JsonWriter {
  Budget& budget;
  bool ascii;
  int64_t indent;  // -1: one line
  std::string comma, colon;
  bool sorted;
  std::string out = {};

  void line(int64_t depth) {
    if (indent < 0) return;
    out += '\n';
    out.append(static_cast<size_t>(indent * depth), ' ');
  }

  void string(std::string_view text) {
    budget.bytes(static_cast<int64_t>(text.size()));
    const std::string quoted = io::write_json_string(text);
    if (!ascii) {
      out += quoted;
      return;
    }
    for (const size_t offset : character_offsets(quoted)) {
      if (offset == quoted.size()) break;
      const char* const p = quoted.data() + offset;
      uint32_t c = decode_utf8(p, quoted.data() + quoted.size()).code_point;
      if (c < 0x80) {
        out += *p;
        continue;
      }
      if (c >= 0x10000) {
        unit(0xD800 + ((c - 0x10000) >> 10));
        c = 0xDC00 + ((c - 0x10000) & 0x3FF);
      }
      unit(c);
    }
  }
  void unit(uint32_t c) {
    constexpr char kHex[] = "0123456789abcdef";
    out += {'\\', 'u', kHex[c >> 12], kHex[c >> 8 & 15], kHex[c >> 4 & 15], kHex[c & 15]};
  }

  void key(const Value& value) {
    if (value.string())
      string(value.string()->bytes());
    else if (value.number() || value.is_none())
      string(scalar(value));
    else
      throw Error(ErrorKind::kInvalidArgument, cat("tojson: a key is a ", value.type_name()));
  }

  static std::string scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (const bool* truth = value.get<bool>()) return *truth ? "true" : "false";
    if (const double* number = value.get<double>()) {
      if (std::isnan(*number)) return "NaN";
      if (std::isinf(*number)) return *number > 0 ? "Infinity" : "-Infinity";
    }
    return to_repr(value).bytes();
  }

  void write(const Value& value, int64_t depth) {
    budget.step();
    if (value.string()) {
      string(value.string()->bytes());
    } else if (value.number() || value.is_none()) {
      out += scalar(value);
    } else if (const List* list = value.list();
               list && (list->kind == List::Kind::kList || list->kind == List::Kind::kTuple)) {
      write_all(list->items, '[', ']', depth, [&](const Value& one) { write(one, depth + 1); });
    } else if (const Dict* dict = value.dict()) {
      auto items = dict->items;
      if (sorted)
        std::ranges::stable_sort(items, [](const auto& a, const auto& b) { return compare(a.first, b.first) < 0; });
      write_all(items, '{', '}', depth, [&](const auto& one) {
        key(one.first);
        out += colon;
        write(one.second, depth + 1);
      });
    } else {
      throw Error(ErrorKind::kInvalidArgument, cat("tojson of a ", value.type_name()));
    }
  }

  void write_all(const auto& items, char open, char close, int64_t depth, auto one) {
    out += open;
    bool first = true;
    for (const auto& element : items) {
      if (!first) out += comma;
      first = false;
      budget.bytes(indent < 0 ? 4 : 4 + indent * (depth + 1));
      line(depth + 1);
      one(element);
    }
    if (!first) line(depth);
    out += close;
  }
};

}  // namespace

Value to_json(const Value& value, const Arguments& arguments, Budget& budget) {
  const Given given(arguments);
  const Value* indent = given.at(1, "indent");
  JsonWriter writer{.budget = budget,
                    .ascii = given.truth(0, "ensure_ascii", false),
                    .indent = given.integer(1, "indent", -1),
                    .comma = indent && !indent->is_none() ? "," : ", ",
                    .colon = ": ",
                    .sorted = given.truth(3, "sort_keys", false)};
  MM_CHECK(writer.indent <= 64, "tojson: indent ", writer.indent, ", expected at most 64");
  if (const Value* separators = given.at(2, "separators"); separators && !separators->is_none()) {
    const List* pair = separators->list();
    MM_CHECK(pair && pair->items.size() == 2 && pair->items[0].string() && pair->items[1].string(),
             "tojson: separators are two strings");
    writer.comma = pair->items[0].string()->bytes();
    writer.colon = pair->items[1].string()->bytes();
    MM_CHECK(writer.comma.size() + writer.colon.size() <= 64, "tojson: separators of more than 64 bytes");
  }
  writer.write(value, 0);
  // Punctuation and all: nothing in JSON is meant as a special token.
  return Value(TracedString(std::move(writer.out), Origin::kData));
}

}  // namespace minimax::text::jinja
