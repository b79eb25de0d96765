#include "text/split/oniguruma.h"

#include <vector>

#include "core/error.h"

namespace minimax::text {
namespace {

// Unicode's White_Space; PCRE2's own \s has U+180E besides.
constexpr std::string_view kSpace =
    R"(\x09-\x0D\x20\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
// Alphabetic, marks, decimal digits and connecting punctuation; PCRE2's own \w has all of \p{N} and no marks.
constexpr std::string_view kWord =
    R"(\p{L}\p{M}\p{Nl}\p{Nd}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
constexpr int kMostNesting = 100;

/// The set that \s, \w, \d or \h stands for, without brackets; empty for other letters.
std::string_view shorthand(char letter) {
  switch (letter) {
    case 's':
      return kSpace;
    case 'w':
      return kWord;
    case 'd':
      return R"(\p{Nd})";
    case 'h':
      return "0-9A-Fa-f";
    default:
      return {};
  }
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view what) : in_(pattern), what_(what) {}

  std::string run() {
    std::string out;
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\')
        out += escape();
      else if (c == '[')
        out += set(0);
      else if (c == '(')
        out += group();
      else if (c == '{')
        out += interval();
      else
        out += in_[at_++];
    }
    return out;
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }
  bool starts(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  [[noreturn]] void refuse(size_t begin, const std::string& why) const {
    throw Error(
        ErrorKind::kInvalidArgument,
        cat(what_, ": \"", in_.substr(begin, std::min<size_t>(at_ - begin + 1, 40)), "\" at byte ", begin, " ", why));
  }

  /// What both sets and patterns may hold: an escape that stands for one character or a property.
  std::string plain_escape(size_t begin) {
    const char letter = peek();
    if (letter == '\0') refuse(begin, "ends the pattern");
    if (letter == 'p' || letter == 'P') {
      const size_t end = in_.find('}', at_);
      if (peek(1) != '{' || end == in_.npos) refuse(begin, "is no property, expected \\p{NAME}");
      at_ = end + 1;
    } else if (letter == 'x' && peek(1) == '{') {
      const size_t end = in_.find('}', at_);
      if (end == in_.npos) refuse(begin, "is not closed");
      at_ = end + 1;
    } else if (letter == 'u') {
      if (in_.size() - at_ < 5) refuse(begin, "is no character, expected \\uHHHH");
      const std::string hex(in_.substr(at_ + 1, 4));
      at_ += 5;
      return cat("\\x{", hex, "}");
    } else if (letter == 'v') {
      ++at_;
      return "\\x0B";
    } else if (std::string_view("nrtfaex0").find(letter) != std::string_view::npos) {
      ++at_;
      while (letter == 'x' && at_ - begin < 4 && std::isxdigit(static_cast<unsigned char>(peek()))) ++at_;
      while (letter == '0' && at_ - begin < 4 && is_digit(peek())) ++at_;
    } else if (is_letter(letter) || is_digit(letter)) {
      refuse(begin, "is not known here");
    } else {
      ++at_;
      while (at_ < in_.size() && (static_cast<unsigned char>(in_[at_]) & 0xC0) == 0x80) ++at_;
    }
    return std::string(in_.substr(begin, at_ - begin));
  }

  std::string escape() {
    const size_t begin = at_++;
    const char letter = peek();
    const bool opposite = letter >= 'A' && letter <= 'Z';
    const char lower = opposite ? static_cast<char>(letter | 32) : letter;
    if (const std::string_view set = shorthand(lower); !set.empty()) {
      ++at_;
      return cat(opposite ? "[^" : "[", set, "]");
    }
    if (lower == 'b') {
      ++at_;
      const char* const both = opposite ? "(?:(?<=[%])(?=[%])|(?<![%])(?![%]))" : "(?:(?<=[%])(?![%])|(?<![%])(?=[%]))";
      std::string out;
      for (const char* c = both; *c; ++c) *c == '%' ? out += kWord : out += *c;
      return out;
    }
    if (letter == 'A' || letter == 'Z' || letter == 'z' || letter == 'G' || (letter >= '1' && letter <= '9')) {
      ++at_;
      while (is_digit(letter) && is_digit(peek())) ++at_;
      return std::string(in_.substr(begin, at_ - begin));
    }
    if (letter == 'k') {
      const size_t end = in_.find('>', at_);
      if (peek(1) != '<' || end == in_.npos) refuse(begin, "is no reference, expected \\k<NAME>");
      at_ = end + 1;
      return std::string(in_.substr(begin, at_ - begin));
    }
    return plain_escape(begin);
  }

  /// [...] as one character: a set where PCRE2's sets can say it, else a choice of sets.
  std::string set(int depth) {
    const size_t begin = at_++;
    if (depth > kMostNesting) refuse(begin, "nests sets too deeply");
    const bool negated = peek() == '^';
    if (negated) ++at_;
    std::vector<std::string> intersection;
    std::string items;                // of the set at hand
    std::vector<std::string> others;  // its members that are sets themselves
    bool first = true;
    const auto close_union = [&] {
      if (!items.empty()) others.insert(others.begin(), cat("[", items, "]"));
      if (others.empty()) refuse(begin, "holds an empty set");
      std::string all = others.size() == 1 ? others[0] : "(?:";
      for (size_t i = 0; others.size() > 1 && i < others.size(); ++i) all += (i ? "|" : "") + others[i];
      intersection.push_back(others.size() == 1 ? all : all + ")");
      items.clear();
      others.clear();
    };
    for (;; first = false) {
      if (at_ >= in_.size()) refuse(begin, "is not closed");
      const char c = in_[at_];
      if (c == ']' && !first) break;
      if (starts("[:")) {
        const size_t end = in_.find(":]", at_);
        if (end == in_.npos) refuse(at_, "is not closed");
        items += in_.substr(at_, end + 2 - at_);
        at_ = end + 2;
      } else if (c == '[') {
        others.push_back(set(depth + 1));
      } else if (starts("&&")) {
        at_ += 2;
        close_union();
      } else if (c == '\\') {
        const size_t escape_begin = at_++;
        const char letter = peek();
        if (const std::string_view set = shorthand(letter); !set.empty()) {
          items += set, ++at_;
        } else if (const std::string_view opposite = shorthand(static_cast<char>(letter | 32));
                   !opposite.empty() && letter >= 'A' && letter <= 'Z') {
          others.push_back(cat("[^", opposite, "]")), ++at_;
        } else if (letter == 'b') {
          items += "\\x08", ++at_;
        } else {
          items += plain_escape(escape_begin);
        }
      } else {
        items += first && c == ']' ? "\\]" : std::string(1, c);
        ++at_;
      }
    }
    ++at_;
    if (intersection.empty() && others.empty()) return cat(negated ? "[^" : "[", items, "]");
    close_union();
    std::string out = "(?:";
    if (negated) out += "(?!";
    for (size_t i = 0; i + 1 < intersection.size(); ++i) out += cat("(?=", intersection[i], ")");
    out += intersection.back();
    return out + (negated ? ")(?s:.))" : ")");
  }

  std::string group() {
    const size_t begin = at_;
    if (starts("(*")) refuse(begin, "is not known here");
    if (!starts("(?")) return ++at_, "(";
    at_ += 2;
    if (peek() == '#') {
      at_ = std::min(in_.find(')', at_), in_.size() - 1) + 1;
      return {};
    }
    for (const std::string_view known : {":", "=", "!", ">", "<=", "<!"})
      if (starts(known)) {
        at_ += known.size();
        return cat("(?", known);
      }
    if (peek() == '<' && is_letter(peek(1))) return "(?";
    std::string flags;
    for (;; ++at_) {
      const char c = peek();
      if (c == 'i' || c == '-')
        flags += c;
      else if (c == 'm')  // a dot that matches the newline too
        flags += 's';
      else
        break;
    }
    if (flags.empty() || (peek() != ':' && peek() != ')')) refuse(begin, "is not known here");
    return cat("(?", flags, std::string(1, in_[at_++]));
  }

  /// {,n} is {0,n}; {n,m}+ repeats what PCRE2 would make possessive.
  std::string interval() {
    const size_t begin = at_++;
    const auto digits = [this] {
      const size_t first = at_;
      while (is_digit(peek())) ++at_;
      return in_.substr(first, at_ - first);
    };
    const std::string_view low = digits();
    const bool comma = peek() == ',';
    if (comma) ++at_;
    const std::string_view high = comma ? digits() : std::string_view();
    if (peek() != '}' || (low.empty() && high.empty())) {
      at_ = begin + 1;
      return "\\{";
    }
    ++at_;
    if (peek() == '+') refuse(begin, "is not known here: a repetition of a repetition");
    return cat("{", low.empty() ? "0" : low, comma ? "," : "", high, "}");
  }

  const std::string_view in_, what_;
  size_t at_ = 0;
};

}  // namespace

std::string oniguruma_to_pcre2(std::string_view pattern, std::string_view what) {
  return Translator(pattern, what).run();
}

}  // namespace minimax::text
