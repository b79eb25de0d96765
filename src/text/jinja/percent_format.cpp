#include "text/jinja/percent_format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "core/error.h"
#include "text/jinja/python_text.h"

namespace minimax::text::jinja {
namespace {

using Origin = TracedString::Origin;

constexpr int64_t kMaxWidth = 1000;

// One %-10.3f.
struct Directive {
  bool left = false, plus = false, space = false, zero = false, alternate = false;
  int64_t width = 0, precision = -1;
  char type = 0;
};

class Formatter {
 public:
  Formatter(const TracedString& format, std::span<const Value> values, const Dict* dict, Budget& budget)
      : format_(format), text_(format.bytes()), values_(values), dict_(dict), budget_(budget) {}

  Value run() {
    while (at_ < text_.size()) {
      const size_t percent = std::min(text_.find('%', at_), text_.size());
      out_.append(format_, at_, percent - at_);
      at_ = percent;
      if (at_ < text_.size()) directive();
    }
    MM_CHECK(named_ || dict_ || next_ == values_.size(), "format: ", values_.size(), " values, expected ", next_);
    return Value(std::move(out_));
  }

 private:
  char take() {
    MM_CHECK(at_ < text_.size(), "format: the text ends after \"%\"");
    return text_[at_++];
  }

  const Value& next() {
    MM_CHECK(next_ < values_.size(), "format: ", values_.size(), " values, expected more");
    return values_[next_++];
  }

  int64_t number() {
    int64_t value = 0;
    if (at_ < text_.size() && text_[at_] == '*') {
      ++at_;
      const auto given = next().integer();
      MM_CHECK(given && *given >= 0, "format: * wants a count");
      value = *given;
    }
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9' && value <= kMaxWidth)
      value = value * 10 + (text_[at_++] - '0');
    MM_CHECK(value <= kMaxWidth, "format: a width of ", value, ", expected at most ", kMaxWidth);
    return value;
  }

  void directive() {
    const size_t begin = at_++;
    const Value* named = nullptr;
    if (at_ < text_.size() && text_[at_] == '(') {
      const size_t end = text_.find(')', at_);
      MM_CHECK(end != std::string::npos && dict_, "format: %(name) wants a dict");
      named = dict_->find(Value::text(text_.substr(at_ + 1, end - at_ - 1)));
      MM_CHECK(named, "format: the dict has no ", text_.substr(at_ + 1, end - at_ - 1));
      named_ = true;
      at_ = end + 1;
    }
    Directive d;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      bool* const flag = c == '-'   ? &d.left
                         : c == '+' ? &d.plus
                         : c == ' ' ? &d.space
                         : c == '0' ? &d.zero
                         : c == '#' ? &d.alternate
                                    : nullptr;
      if (!flag) break;
      *flag = true;
    }
    d.width = number();
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      d.precision = number();
    }
    d.type = take();
    if (d.type == '%') return out_.append(format_, begin, 1);
    write(d, named ? *named : next());
  }

  void write(const Directive& d, const Value& value) {
    budget_.bytes(d.width + 64);
    switch (d.type) {
      case 's':
      case 'r':
        return pad(d, shortened(d, d.type == 's' ? to_text(value) : to_repr(value)));
      case 'd':
      case 'i':
      case 'u':
        return pad_number(d, whole(d, value));
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return pad_number(d, real(d, value));
      case 'x':
      case 'X':
      case 'o':
        return pad_number(d, based(d, value));
      default:
        MM_CHECK(false, "format: %", std::string(1, d.type), " is not supported");
    }
  }

  static TracedString shortened(const Directive& d, TracedString text) {
    if (d.precision < 0) return text;
    const std::vector<size_t> offsets = character_offsets(text.bytes());
    const auto kept = std::min<size_t>(static_cast<size_t>(d.precision), offsets.size() - 1);
    return text.cut(0, offsets[kept]);
  }

  std::string signed_digits(const Directive& d, bool negative, std::string digits) const {
    return (negative ? "-" : d.plus ? "+" : d.space ? " " : "") + std::move(digits);
  }

  std::string whole(const Directive& d, const Value& value) const {
    const auto exact = value.integer();
    const auto number = value.number();
    MM_CHECK(number, "format: %", std::string(1, d.type), " of a ", value.type_name());
    MM_CHECK(exact || std::fabs(*number) < 9e18, "format: a number too large");
    const int64_t integer = exact ? *exact : static_cast<int64_t>(*number);
    std::string digits = std::to_string(integer);
    if (integer < 0) digits.erase(0, 1);
    if (static_cast<int64_t>(digits.size()) < d.precision)
      digits.insert(0, static_cast<size_t>(d.precision) - digits.size(), '0');
    return signed_digits(d, integer < 0, std::move(digits));
  }

  std::string based(const Directive& d, const Value& value) const {
    const auto integer = value.integer();
    MM_CHECK(integer, "format: %", std::string(1, d.type), " of a ", value.type_name());
    const uint64_t size = *integer < 0 ? 0 - static_cast<uint64_t>(*integer) : static_cast<uint64_t>(*integer);
    char digits[32];
    const char* const format = d.type == 'x' ? "%llx" : d.type == 'X' ? "%llX" : "%llo";
    const int length = std::snprintf(digits, sizeof(digits), format, static_cast<unsigned long long>(size));
    std::string text(digits, static_cast<size_t>(length));
    if (d.alternate) text.insert(0, d.type == 'x' ? "0x" : d.type == 'X' ? "0X" : "0o");
    return signed_digits(d, *integer < 0, std::move(text));
  }

  std::string real(const Directive& d, const Value& value) const {
    const auto number = value.number();
    MM_CHECK(number, "format: %", std::string(1, d.type), " of a ", value.type_name());
    const std::string format = std::string("%") + (d.alternate ? "#" : "") + ".*" + d.type;
    const int precision = d.precision < 0 ? 6 : static_cast<int>(d.precision);
    const double size = std::fabs(*number);
    std::string text(static_cast<size_t>(std::snprintf(nullptr, 0, format.c_str(), precision, size)), '\0');
    std::snprintf(text.data(), text.size() + 1, format.c_str(), precision, size);
    return signed_digits(d, std::signbit(*number), std::move(text));
  }

  void pad_number(const Directive& d, std::string text) {
    if (d.zero && !d.left && static_cast<int64_t>(text.size()) < d.width) {
      size_t sign = text.find_first_of("0123456789in");
      if (d.alternate && text.size() > sign + 1 &&
          std::string_view("xXo").find(text[sign + 1]) != std::string_view::npos)
        sign += 2;
      text.insert(sign, static_cast<size_t>(d.width) - text.size(), '0');
    }
    pad(d, TracedString(std::move(text), Origin::kData));
  }

  void pad(const Directive& d, const TracedString& text) {
    budget_.bytes(static_cast<int64_t>(text.size()));
    const int64_t missing = d.width - static_cast<int64_t>(character_count(text.bytes()));
    const TracedString space(std::string(static_cast<size_t>(std::max<int64_t>(missing, 0)), ' '), Origin::kTemplate);
    if (!d.left) out_.append(space);
    out_.append(text);
    if (d.left) out_.append(space);
  }

  const TracedString& format_;
  const std::string& text_;
  std::span<const Value> values_;
  const Dict* dict_;
  Budget& budget_;
  TracedString out_;
  size_t at_ = 0, next_ = 0;
  bool named_ = false;
};

}  // namespace

Value percent_format(const TracedString& format, std::span<const Value> values, const Dict* dict, Budget& budget) {
  return Formatter(format, values, dict, budget).run();
}

}  // namespace minimax::text::jinja
