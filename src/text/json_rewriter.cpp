#include "text/json_rewriter.h"

#include <charconv>
#include <system_error>

#include "core/error.h"
#include "io/json.h"

namespace minimax::text {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void write_hex_escape(uint32_t code_unit, std::string& out) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kDigits[(code_unit >> shift) & 15];
}

// One character inside a JSON string: escaped where json.dumps escapes it, else UTF-8.
void write_code_point(uint32_t code, std::string& out) {
  switch (code) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (code < 0x20) {
    write_hex_escape(code, out);
  } else if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 63));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 63));
    out += static_cast<char>(0x80 | (code & 63));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 63));
    out += static_cast<char>(0x80 | ((code >> 6) & 63));
    out += static_cast<char>(0x80 | (code & 63));
  }
}

// -? (0 | [1-9][0-9]*) (.[0-9]+)? ([eE][+-]?[0-9]+)?
bool is_number(std::string_view text) {
  size_t at = 0;
  auto digits = [&] {
    const size_t first = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at > first;
  };
  if (at < text.size() && text[at] == '-') ++at;
  if (at < text.size() && text[at] == '0')
    ++at;
  else if (!digits())
    return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (!digits()) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (!digits()) return false;
  }
  return at == text.size();
}

bool write_number(const std::string& number, std::string& out) {
  if (!is_number(number)) return false;
  if (number.find_first_of(".eE") == std::string::npos) {
    out += number == "-0" ? "0" : number;
    return true;
  }
  double x = 0;
  const std::errc error = std::from_chars(number.data(), number.data() + number.size(), x).ec;
  out += error == std::errc() ? io::write_json_number(x) : number;  // past a double's range: as it was written
  return true;
}

}  // namespace

JsonRewriter::Status JsonRewriter::feed(char c, std::string& out) {
  if (!literal_.empty()) {
    if (c != literal_.front()) return Status::kBad;
    literal_.remove_prefix(1);
    return literal_.empty() ? value_done() : Status::kMore;
  }
  switch (state_) {
    case State::kString:
      return in_string(c, out);
    case State::kEscape:
      return in_escape(c, out);
    case State::kHex:
      return in_hex(c, out);
    case State::kNumber:
      if (is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E') {
        number_ += c;
        return Status::kMore;
      }
      if (!write_number(number_, out)) return Status::kBad;
      if (value_done() == Status::kDone) return Status::kDoneBefore;
      break;
    default:
      break;
  }
  if (is_space(c)) return Status::kMore;
  switch (state_) {
    case State::kFirstValue:
      if (c == ']') return close(c, out);
      return begin_value(c, out);
    case State::kValue:
      return begin_value(c, out);
    case State::kFirstKey:
      if (c == '}') return close(c, out);
      [[fallthrough]];
    case State::kKey:
      if (c != '"') return Status::kBad;
      is_key_ = true;
      state_ = State::kString;
      out += c;
      return Status::kMore;
    case State::kColon:
      if (c != ':') return Status::kBad;
      out += ": ";
      state_ = State::kValue;
      return Status::kMore;
    default:
      return after_value(c, out);
  }
}

bool JsonRewriter::finish(std::string& out) {
  if (state_ == State::kNumber && brackets_.empty()) {
    state_ = State::kAfter;
    return write_number(number_, out);
  }
  return state_ == State::kAfter && brackets_.empty() && literal_.empty();
}

JsonRewriter::Status JsonRewriter::begin_value(char c, std::string& out) {
  switch (c) {
    case '{':
    case '[':
      return open(c, out);
    case '"':
      is_key_ = false;
      state_ = State::kString;
      out += c;
      return Status::kMore;
    case 't':
      literal_ = "true";
      break;
    case 'f':
      literal_ = "false";
      break;
    case 'n':
      literal_ = "null";
      break;
    default:
      if (c != '-' && !is_digit(c)) return Status::kBad;
      number_ = c;
      state_ = State::kNumber;
      return Status::kMore;
  }
  out += literal_;
  literal_.remove_prefix(1);
  state_ = State::kAfter;
  return Status::kMore;
}

JsonRewriter::Status JsonRewriter::open(char bracket, std::string& out) {
  if (brackets_.size() == kMaxDepth) return Status::kBad;
  brackets_ += bracket;
  out += bracket;
  state_ = bracket == '{' ? State::kFirstKey : State::kFirstValue;
  return Status::kMore;
}

JsonRewriter::Status JsonRewriter::close(char bracket, std::string& out) {
  if (brackets_.empty() || brackets_.back() != (bracket == '}' ? '{' : '[')) return Status::kBad;
  brackets_.pop_back();
  out += bracket;
  return value_done();
}

JsonRewriter::Status JsonRewriter::after_value(char c, std::string& out) {
  if (c == '}' || c == ']') return close(c, out);
  if (c != ',' || brackets_.empty()) return Status::kBad;
  out += ", ";
  state_ = brackets_.back() == '{' ? State::kKey : State::kValue;
  return Status::kMore;
}

JsonRewriter::Status JsonRewriter::value_done() {
  state_ = State::kAfter;
  return brackets_.empty() ? Status::kDone : Status::kMore;
}

JsonRewriter::Status JsonRewriter::in_string(char c, std::string& out) {
  if (c == '\\') {
    state_ = State::kEscape;
    return Status::kMore;
  }
  if (static_cast<unsigned char>(c) < 0x20) return Status::kBad;
  write_surrogate(out);
  out += c;
  if (c != '"') return Status::kMore;
  if (!is_key_) return value_done();
  state_ = State::kColon;
  return Status::kMore;
}

JsonRewriter::Status JsonRewriter::in_escape(char c, std::string& out) {
  if (c == 'u') {
    code_unit_ = 0;
    hex_digits_ = 4;
    state_ = State::kHex;
    return Status::kMore;
  }
  constexpr std::string_view kNames = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
  const size_t which = kNames.find(c);
  if (which == std::string_view::npos) return Status::kBad;
  write_surrogate(out);
  write_code_point(static_cast<unsigned char>(kMeanings[which]), out);
  state_ = State::kString;
  return Status::kMore;
}

JsonRewriter::Status JsonRewriter::in_hex(char c, std::string& out) {
  const char lower = static_cast<char>(c | 0x20);
  if (is_digit(c))
    code_unit_ = code_unit_ * 16 + static_cast<uint32_t>(c - '0');
  else if (lower >= 'a' && lower <= 'f')
    code_unit_ = code_unit_ * 16 + static_cast<uint32_t>(lower - 'a' + 10);
  else
    return Status::kBad;
  if (--hex_digits_ > 0) return Status::kMore;

  state_ = State::kString;
  const bool is_low = code_unit_ >= 0xDC00 && code_unit_ < 0xE000;
  if (high_surrogate_ != 0 && is_low) {
    write_code_point(0x10000 + ((high_surrogate_ - 0xD800) << 10) + (code_unit_ - 0xDC00), out);
    high_surrogate_ = 0;
    return Status::kMore;
  }
  write_surrogate(out);
  if (code_unit_ >= 0xD800 && code_unit_ < 0xDC00)
    high_surrogate_ = code_unit_;
  else if (is_low)
    write_hex_escape(code_unit_, out);
  else
    write_code_point(code_unit_, out);
  return Status::kMore;
}

// A high surrogate whose other half did not come is no character: it stays the escape it was.
void JsonRewriter::write_surrogate(std::string& out) {
  if (high_surrogate_ == 0) return;
  write_hex_escape(high_surrogate_, out);
  high_surrogate_ = 0;
}

std::string python_json(std::string_view json, std::string_view what) {
  JsonRewriter rewriter;
  std::string out;
  bool done = false;
  for (size_t at = 0; at < json.size(); ++at) {
    if (done && is_space(json[at])) continue;
    const JsonRewriter::Status status = done ? JsonRewriter::Status::kBad : rewriter.feed(json[at], out);
    if (status == JsonRewriter::Status::kDoneBefore && is_space(json[at])) {
      done = true;
      continue;
    }
    MM_CHECK(status == JsonRewriter::Status::kMore || status == JsonRewriter::Status::kDone, what,
             ": not JSON, or nested deeper than ", JsonRewriter::kMaxDepth, ", at byte ", at);
    done = status == JsonRewriter::Status::kDone;
  }
  MM_CHECK(done || rewriter.finish(out), what, ": the JSON ends too early, after ", json.size(), " bytes");
  return out;
}

}  // namespace minimax::text
