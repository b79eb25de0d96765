#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>

#include "core/error.h"
#include "io/file.h"
#include "io/json.h"

namespace minimax::io {
namespace {

using Code = json::error_code;

// Receives the parser's events and builds the document. Ours instead of Boost's for exact doubles, duplicate keys and
// the cap on values.
class Builder {
 public:
  static constexpr size_t max_object_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_array_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_key_size = json::string::max_size();
  static constexpr size_t max_string_size = json::string::max_size();

  explicit Builder(const JsonLimits& limits) : limits_(limits) {}

  json::value take() { return std::move(root_); }
  const std::string& problem() const { return problem_; }

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_array_begin(Code& ec) { return open(json::value(json::array()), ec); }
  bool on_object_begin(Code& ec) { return open(json::value(json::object()), ec); }
  bool on_array_end(size_t, Code&) { return close(); }
  bool on_object_end(size_t, Code&) { return close(); }

  // A part belongs to the string or number that the next final event ends.
  bool on_string_part(json::string_view part, size_t, Code&) { return keep(part); }
  bool on_string(json::string_view part, size_t, Code& ec) {
    return add(json::value(json::string(whole(part))), ec) != nullptr;
  }
  bool on_key_part(json::string_view part, size_t, Code&) { return keep(part); }
  bool on_key(json::string_view part, size_t, Code& ec) {
    key_ = whole(part);
    auto& object = open_.back()->get_object();
    if (limits_.duplicate_keys == DuplicateKeys::kRefuse && object.contains(key_))
      return refuse(ec, "the key \"" + key_ + "\" comes twice");
    return true;
  }
  bool on_number_part(json::string_view part, Code&) { return keep(part); }
  bool on_int64(int64_t number, json::string_view, Code& ec) {
    parts_.clear();
    return add(json::value(number), ec) != nullptr;
  }
  bool on_uint64(uint64_t number, json::string_view, Code& ec) {
    parts_.clear();
    return add(json::value(number), ec) != nullptr;
  }
  bool on_double(double approximate, json::string_view part, Code& ec) {
    const std::string_view text = whole(part);
    double number = approximate;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc::result_out_of_range) {
      // from_chars says the same of overflow and underflow, and leaves the number alone.
      if (std::abs(approximate) >= 1) return refuse(ec, "the number " + shortened(text) + " is too large for a double");
      number = std::copysign(0.0, approximate);
    } else if (error != std::errc() || end != text.data() + text.size()) {
      return refuse(ec, "the number " + shortened(text) + " cannot be read");
    }
    return add(json::value(number), ec) != nullptr;
  }
  bool on_bool(bool truth, Code& ec) { return add(json::value(truth), ec) != nullptr; }
  bool on_null(Code& ec) { return add(json::value(nullptr), ec) != nullptr; }
  bool on_comment_part(json::string_view, Code&) { return true; }
  bool on_comment(json::string_view, Code&) { return true; }

 private:
  static std::string shortened(std::string_view text) {
    return text.size() <= 40 ? std::string(text) : std::string(text.substr(0, 40)) + "...";
  }

  bool keep(json::string_view part) {
    parts_.append(part.data(), part.size());
    return true;
  }
  // The text that ends with `last`. Valid until the next event.
  std::string_view whole(json::string_view last) {
    if (parts_.empty()) return {last.data(), last.size()};
    whole_.swap(parts_);
    parts_.clear();
    whole_.append(last.data(), last.size());
    return whole_;
  }

  bool refuse(Code& ec, std::string problem) {
    problem_ = std::move(problem);
    ec = json::error::input_error;
    return false;
  }

  json::value* add(json::value&& value, Code& ec) {
    if (++values_ > limits_.max_values) {
      refuse(ec, "more than " + std::to_string(limits_.max_values) + " values");
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (json::array* array = open_.back()->if_array()) return &array->emplace_back(std::move(value));
    return &open_.back()->get_object().insert_or_assign(key_, std::move(value)).first->value();
  }
  bool open(json::value&& container, Code& ec) {
    json::value* placed = add(std::move(container), ec);
    if (placed) open_.push_back(placed);
    return placed;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const JsonLimits limits_;
  json::value root_;
  std::vector<json::value*> open_;  // from the root down; a container does not grow while one inside it is open
  std::string key_;
  std::string parts_;
  std::string whole_;
  std::string problem_;
  int64_t values_ = 0;
};

std::string explain(const Code& ec, const Builder& builder, const JsonLimits& limits, bool at_end) {
  if (ec == json::error::input_error) return builder.problem();
  if (ec == json::error::too_deep) return cat("nested deeper than ", limits.max_depth, " levels");
  if (ec == json::error::incomplete || at_end) return "the text ends in the middle of a value";
  if (ec == json::error::extra_data) return "text after the end of the document";
  if (ec == json::error::syntax) return "not JSON here";
  return ec.message();
}

// "line 3, column 14 (byte 52)"; lines and columns count from 1, columns in bytes.
std::string place(std::string_view text, size_t offset) {
  int64_t line = 1;
  size_t line_begin = 0;
  for (size_t i = 0; i < offset; ++i) {
    if (text[i] != '\n') continue;
    ++line;
    line_begin = i + 1;
  }
  return cat("line ", line, ", column ", offset - line_begin + 1, " (byte ", offset, ")");
}

}  // namespace

json::value parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  MM_CHECK(static_cast<int64_t>(text.size()) <= limits.max_bytes, what, ": ", text.size(),
           " bytes of JSON, expected at most ", limits.max_bytes);
  json::parse_options options;
  options.max_depth = static_cast<size_t>(limits.max_depth);
  json::basic_parser<Builder> parser(options, limits);
  Code ec;
  size_t parsed = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && parsed < text.size()) ec = json::error::extra_data;
  if (ec) {
    parsed = std::min(parsed, text.size());
    throw Error(ErrorKind::kInvalidArgument, cat(what, ": ", place(text, parsed), ": ",
                                                 explain(ec, parser.handler(), limits, parsed == text.size())));
  }
  return parser.handler().take();
}

json::value read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_file(path, limits.max_bytes), path.string(), limits);
}

}  // namespace minimax::io
