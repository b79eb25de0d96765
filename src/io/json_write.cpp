#include <charconv>
#include <cmath>

#include "core/error.h"
#include "io/json.h"

namespace minimax::io {
namespace {

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          constexpr char kHex[] = "0123456789abcdef";
          out += "\\u00";
          out += kHex[c >> 4];
          out += kHex[c & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void append_number(std::string& out, double number) {
  MM_CHECK(std::isfinite(number), "JSON cannot hold the number ", number);
  // The shortest digits in scientific form, d.ddde+XX, laid out as Python's repr does.
  char buffer[32];
  const char* end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  if (text.front() == '-') {
    out += '-';
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), end, exponent);
  if (exponent < -4 || exponent >= 16) {
    out += text;
    return;
  }
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  const auto whole_digits = static_cast<size_t>(std::max(exponent + 1, 0));
  if (whole_digits == 0) {
    out += "0.";
    out.append(static_cast<size_t>(-exponent - 1), '0');
    out += digits;
    return;
  }
  if (digits.size() <= whole_digits) digits.append(whole_digits + 1 - digits.size(), '0');
  out.append(digits, 0, whole_digits);
  out += '.';
  out.append(digits, whole_digits);
}

class Writer {
 public:
  explicit Writer(JsonStyle style) : style_(style) {}

  void write(const json::value& value) {
    switch (value.kind()) {
      case json::kind::null:
        out_ += "null";
        break;
      case json::kind::bool_:
        out_ += value.get_bool() ? "true" : "false";
        break;
      case json::kind::int64:
        out_ += std::to_string(value.get_int64());
        break;
      case json::kind::uint64:
        out_ += std::to_string(value.get_uint64());
        break;
      case json::kind::double_:
        append_number(out_, value.get_double());
        break;
      case json::kind::string:
        append_string(out_, std::string_view(value.get_string()));
        break;
      case json::kind::array:
        begin('[');
        for (const json::value& element : value.get_array()) {
          next();
          write(element);
        }
        end(']');
        break;
      case json::kind::object:
        begin('{');
        for (const auto& member : value.get_object()) {
          next();
          append_string(out_, std::string_view(member.key()));
          out_ += style_ == JsonStyle::kCompact ? ":" : ": ";
          write(member.value());
        }
        end('}');
        break;
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void begin(char bracket) {
    out_ += bracket;
    first_ = true;
    ++depth_;
  }
  void next() {
    if (!first_) out_ += style_ == JsonStyle::kPython ? ", " : ",";
    first_ = false;
    new_line();
  }
  void end(char bracket) {
    --depth_;
    if (!first_) new_line();
    first_ = false;
    out_ += bracket;
  }
  void new_line() {
    if (style_ != JsonStyle::kPretty) return;
    out_ += '\n';
    out_.append(depth_ * 2, ' ');
  }

  const JsonStyle style_;
  std::string out_;
  size_t depth_ = 0;
  bool first_ = true;  // nothing yet in the open container
};

}  // namespace

std::string write_json(const json::value& value, JsonStyle style) {
  Writer writer(style);
  writer.write(value);
  return writer.take();
}

std::string write_json_string(std::string_view text) {
  std::string out;
  append_string(out, text);
  return out;
}

std::string write_json_number(double number) {
  std::string out;
  append_number(out, number);
  return out;
}

}  // namespace minimax::io
