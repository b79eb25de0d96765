// JSON: strict reading with limits, writing as Python or a terse client would, and fields read with clear errors.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "io/json_fwd.h"

namespace minimax::io {

// json::value, json::object (keeps the order of insertion, look-up is hashed) and json::array are Boost.JSON's. Two
// habits: write value(x) with parentheses, since value{x} makes a list; and read and print only through the functions
// below, since Boost's own parser is up to one ulp off and its printer writes 0.7 as 7E-1.

enum class DuplicateKeys : uint8_t { kRefuse, kKeepLast };

/// What a document may cost. A value takes about 30 to 120 bytes of memory.
struct JsonLimits {
  int64_t max_bytes = int64_t{256} << 20;
  int64_t max_depth = 64;
  int64_t max_values = 16'000'000;  ///< counting every scalar, array and object
  DuplicateKeys duplicate_keys = DuplicateKeys::kRefuse;
};

/// Parses one whole document (RFC 8259, UTF-8; no comments, NaN, trailing commas or byte order mark). Doubles are the
/// nearest to their text; a number too large for a double is refused; integers are int64, else uint64, else double.
/// `what` names the document in errors, which tell line, column and byte. Throws kInvalidArgument.
json::value parse_json(std::string_view text, std::string_view what, const JsonLimits& limits = {});

/// parse_json of a file. Throws kNotFound or kIo when it cannot be read.
json::value read_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

enum class JsonStyle : uint8_t {
  kCompact,  ///< {"a":[1,2]}
  kPython,   ///< {"a": [1, 2]}, the bytes of Python's json.dumps(value, ensure_ascii=False)
  kPretty,   ///< two spaces a level, one member a line, no newline at the end
};

/// Doubles are written with the fewest digits that read back the same, in Python's form: 0.7, 1.0, 1e-05, 1e+16.
/// Strings are written as they are and must be UTF-8. Throws kInvalidArgument for NaN and infinities.
std::string write_json(const json::value& value, JsonStyle style = JsonStyle::kCompact);
/// One string with its quotes, as write_json writes it.
std::string write_json_string(std::string_view text);
/// One number as write_json writes it.
std::string write_json_number(double number);

/// What the readers of JsonField throw: kInvalidArgument, and the place for whoever reports it apart.
class FieldError : public Error {
 public:
  FieldError(const std::string& message, std::string path)
      : Error(ErrorKind::kInvalidArgument, message), path_(std::move(path)) {}
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A place in a document: a value, or nothing when the member is absent, and the path that led there. The readers
/// throw kInvalidArgument with the document, the path, the value found and the type expected:
///   config.json: "hidden_size" is "abc" (string), expected an integer from 1 to 1048576
/// The document must outlive it.
class JsonField {
 public:
  JsonField(const json::value& root, std::string_view document);

  /// A member of an object; absent when the object has none. Throws when this is no object.
  JsonField operator[](std::string_view key) const;
  /// An element of an array. Throws when this is no array or has no such element.
  JsonField operator[](int64_t index) const;

  bool present() const { return value_ != nullptr; }
  /// There, and not null.
  bool has_value() const;
  bool is_string() const;
  bool is_number() const;
  bool is_bool() const;
  bool is_array() const;
  bool is_object() const;

  /// A double that holds a whole number counts as an integer (1e7).
  int64_t integer(int64_t min = std::numeric_limits<int64_t>::min(),
                  int64_t max = std::numeric_limits<int64_t>::max()) const;
  double number(double min = std::numeric_limits<double>::lowest(),
                double max = std::numeric_limits<double>::max()) const;
  bool boolean() const;
  std::string_view string() const;
  const json::array& array() const;
  const json::object& object() const;
  int64_t size() const;  ///< of an array
  std::vector<int64_t> integers(int64_t min = std::numeric_limits<int64_t>::min(),
                                int64_t max = std::numeric_limits<int64_t>::max()) const;
  std::vector<std::string> strings() const;

  /// The same, with a value for "absent or null".
  int64_t integer_or(int64_t fallback, int64_t min = std::numeric_limits<int64_t>::min(),
                     int64_t max = std::numeric_limits<int64_t>::max()) const;
  double number_or(double fallback, double min = std::numeric_limits<double>::lowest(),
                   double max = std::numeric_limits<double>::max()) const;
  bool boolean_or(bool fallback) const;
  std::string_view string_or(std::string_view fallback) const;

  /// The value itself. Throws when absent.
  const json::value& value() const;
  /// rope_parameters.rope_theta, layer_types[3]; empty for the root.
  const std::string& path() const { return path_; }
  const std::string& document() const { return document_; }

  /// Throws FieldError: DOCUMENT: "PATH" is VALUE (TYPE), expected EXPECTED
  [[noreturn]] void fail(std::string_view expected) const;

 private:
  JsonField(const json::value* value, std::string document, std::string path);

  const json::value* value_;
  std::string document_;
  std::string path_;
};

}  // namespace minimax::io
