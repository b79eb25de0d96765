#include "text/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "text/jinja/python_text.h"
#include "text/utf8.h"

namespace minimax::text::jinja {
namespace {

using Kind = Token::Kind;

std::string with_unix_lines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_code_point(std::string& out, uint32_t c, int32_t line) {
  if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) fail_at(line, "an escape that is no character");
  if (c < 0x80) {
    out += static_cast<char>(c);
    return;
  }
  const int tails = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  constexpr int kLead[] = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(static_cast<uint32_t>(kLead[tails]) | c >> (6 * tails));
  for (int i = tails; i-- > 0;) out += static_cast<char>(0x80 | (c >> (6 * i) & 0x3F));
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(with_unix_lines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) text();
    add(Kind::kFileEnd, "");
    return std::move(tokens_);
  }

 private:
  void add(Kind kind, std::string text) { tokens_.push_back({kind, line_, std::move(text)}); }
  char peek(size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  bool starts(std::string_view with) const { return std::string_view(source_).substr(at_).starts_with(with); }

  void advance_to(size_t to) {
    line_ += static_cast<int32_t>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                             source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }

  // Length of the white space at `from`.
  size_t space(size_t from) const {
    size_t to = from;
    const char* const end = source_.data() + source_.size();
    while (to < source_.size()) {
      const Utf8Char c = decode_utf8(source_.data() + to, end);
      if (!is_python_space(c.code_point)) break;
      to += c.length;
    }
    return to - from;
  }

  static std::string_view right_trimmed(std::string_view text) {
    const TracedString kept = stripped(TracedString(std::string(text), TracedString::Origin::kTemplate), false, true);
    return text.substr(0, kept.size());
  }

  // Text up to the next tag, and the tag's beginning.
  void text() {
    const size_t begin = at_;
    size_t tag = begin;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        add_text(std::string_view(source_).substr(begin));
        advance_to(source_.size());
        return;
      }
      if (source_[tag + 1] == '{' || source_[tag + 1] == '%' || source_[tag + 1] == '#') break;
    }
    const char type = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    add_text(before_tag(begin, tag, type, sign));
    advance_to(tag + 2 + (sign == '-' || sign == '+' ? 1 : 0));
    if (type == '#')
      comment();
    else if (type == '{')
      expression(Kind::kBegin, Kind::kEnd, "}}");
    else if (!raw())
      expression(Kind::kTagBegin, Kind::kTagEnd, "%}");
  }

  void add_text(std::string_view text) {
    if (!text.empty()) add(Kind::kText, std::string(text));
  }

  // "-" takes all white space before a tag. Otherwise the spaces of a line that begins with a tag go.
  std::string_view before_tag(size_t begin, size_t tag, char type, char sign) const {
    const std::string_view text = std::string_view(source_).substr(begin, tag - begin);
    if (sign == '-') return right_trimmed(text);
    if (sign == '+' || type == '{') return text;
    const size_t line = text.rfind('\n') + 1;  // 0 when there is none
    const bool line_starts = line > 0 || begin == 0 || source_[begin - 1] == '\n';
    return line_starts && right_trimmed(text.substr(line)).empty() ? text.substr(0, line) : text;
  }

  // White space that goes after a tag that ends at `end`; `mark` is the character before the end's two.
  void after_tag(size_t end, char mark, bool trim_line_end) {
    size_t to = end;
    if (mark == '-')
      to += space(end);
    else if (mark != '+' && trim_line_end && end < source_.size() && source_[end] == '\n')
      ++to;
    advance_to(to);
  }

  void comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) fail_at(line_, "a comment without an end");
    const char mark = end > at_ ? source_[end - 1] : '\0';
    after_tag(end + 2, mark, true);
  }

  // {% raw %}...{% endraw %}, when that is what comes.
  bool raw() {
    size_t to = at_ + space(at_);
    if (!std::string_view(source_).substr(to).starts_with("raw")) return false;
    to += 3;
    to += space(to);
    const bool strips = to < source_.size() && source_[to] == '-';
    if (!std::string_view(source_).substr(to + (strips ? 1 : 0)).starts_with("%}")) return false;
    to += strips ? 3 : 2;
    if (strips) to += space(to);
    advance_to(to);
    for (size_t tag = source_.find("{%", at_); tag != std::string::npos; tag = source_.find("{%", tag + 2)) {
      size_t inside = tag + 2;
      const char sign = inside < source_.size() ? source_[inside] : '\0';
      if (sign == '-' || sign == '+') ++inside;
      inside += space(inside);
      if (!std::string_view(source_).substr(inside).starts_with("endraw")) continue;
      inside += 6;
      inside += space(inside);
      const char mark = inside < source_.size() ? source_[inside] : '\0';
      if (mark == '-' || mark == '+') ++inside;
      if (!std::string_view(source_).substr(inside).starts_with("%}")) continue;
      add_text(before_tag(at_, tag, '%', sign));
      after_tag(inside + 2, mark, true);
      return true;
    }
    fail_at(line_, "raw without endraw");
  }

  void expression(Kind begin, Kind end, std::string_view closing) {
    add(begin, "");
    const int32_t first_line = line_;
    std::string open;  // brackets that wait for their other half
    for (;;) {
      advance_to(at_ + space(at_));
      if (at_ >= source_.size()) fail_at(first_line, cat("a tag without ", closing));
      const bool marked = peek() == '-' || (peek() == '+' && end == Kind::kTagEnd);
      if (open.empty() && std::string_view(source_).substr(at_ + (marked ? 1 : 0)).starts_with(closing)) {
        add(end, "");
        after_tag(at_ + (marked ? 3 : 2), marked ? peek() : '\0', end == Kind::kTagEnd);
        return;
      }
      token(open);
    }
  }

  void token(std::string& open) {
    const char c = peek();
    if (is_name_start(c)) {
      size_t end = at_;
      while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) ++end;
      add(Kind::kName, source_.substr(at_, end - at_));
      at_ = end;
    } else if (is_digit(c)) {
      number();
    } else if (c == '"' || c == '\'') {
      string(c);
    } else {
      operation(open);
    }
  }

  void number() {
    size_t end = at_;
    bool whole = true;
    const auto digits = [&] {
      while (end < source_.size() && (is_digit(source_[end]) || source_[end] == '_')) ++end;
    };
    digits();
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      whole = false;
      ++end;
      digits();
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      size_t exponent = end + 1;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
      if (exponent < source_.size() && is_digit(source_[exponent])) {
        whole = false;
        end = exponent;
        digits();
      }
    }
    std::string text = source_.substr(at_, end - at_);
    std::erase(text, '_');
    if (text.size() > 1 && whole && text[0] == '0' && text.find_first_not_of('0') != std::string::npos)
      fail_at(line_, cat("the number ", text));
    add(whole ? Kind::kInteger : Kind::kFloat, text);
    at_ = end;
  }

  // Python's escapes.
  void string(char quote) {
    const int32_t first_line = line_;
    std::string out;
    size_t i = at_ + 1;
    for (;; ++i) {
      if (i >= source_.size()) fail_at(first_line, "a string without an end");
      if (source_[i] == quote) break;
      if (source_[i] != '\\') {
        out += source_[i];
        continue;
      }
      if (++i >= source_.size()) fail_at(first_line, "a string without an end");
      escape(out, i);
    }
    tokens_.push_back({Kind::kString, first_line, std::move(out)});
    advance_to(i + 1);
  }

  // The escape whose letter is at `i`, which ends at its last character.
  void escape(std::string& out, size_t& i) {
    constexpr std::string_view kLetters = "ntrabfv0";
    const char c = source_[i];
    if (c == '\n') return;
    if (c == '\\' || c == '\'' || c == '"') {
      out += c;
    } else if (c >= '0' && c <= '7') {
      uint32_t value = 0;
      size_t count = 0;
      for (; count < 3 && i + count < source_.size() && source_[i + count] >= '0' && source_[i + count] <= '7'; ++count)
        value = value * 8 + static_cast<uint32_t>(source_[i + count] - '0');
      i += count - 1;
      append_code_point(out, value, line_);
    } else if (const size_t letter = kLetters.find(c); letter != std::string_view::npos) {
      out += "\n\t\r\a\b\f\v"[letter];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      uint32_t value = 0;
      const char* const begin = source_.data() + i + 1;
      if (i + 1 + digits > source_.size() || std::from_chars(begin, begin + digits, value, 16).ptr != begin + digits)
        fail_at(line_, cat("an escape \\", std::string(1, c), " without its ", digits, " hexadecimal digits"));
      append_code_point(out, value, line_);
      i += digits;
    } else {
      out += '\\';
      out += c;
    }
  }

  void operation(std::string& open) {
    constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
    constexpr std::string_view kOne = "+-*/%~[](){}=<>.:|,;";
    const char c = peek();
    const auto* const two = std::ranges::find_if(kTwo, [this](std::string_view op) { return starts(op); });
    if (two != std::end(kTwo)) {
      add(Kind::kOperator, std::string(*two));
      at_ += 2;
      return;
    }
    if (c == '\0' || kOne.find(c) == std::string_view::npos)
      fail_at(line_, cat("the character ", source_.substr(at_, 1), ", which means nothing here"));
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) fail_at(line_, cat("a ", std::string(1, c), " that closes nothing"));
      open.pop_back();
    }
    add(Kind::kOperator, std::string(1, c));
    ++at_;
  }

  std::string source_;
  size_t at_ = 0;
  int32_t line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

void fail_at(int32_t line, std::string_view problem) {
  throw Error(ErrorKind::kInvalidArgument, cat("chat template, line ", line, ": ", problem));
}

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace minimax::text::jinja
