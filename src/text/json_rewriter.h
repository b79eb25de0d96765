// JsonRewriter: reads one JSON value byte by byte and writes it as Python's json.dumps(ensure_ascii=False) would.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace minimax::text {

/// A strict JSON scanner (RFC 8259) that needs no tree, so that the arguments of a tool call can be passed on while the
/// model still writes them. What it writes: ", " and ": " between tokens, no other space, key order and repeated keys
/// kept, \u escapes as UTF-8, floats in Python's repr, integers of any size digit by digit. An escaped lone surrogate
/// stays an escape. Bytes above 0x7f inside strings pass through unchecked.
class JsonRewriter {
 public:
  /// Arrays and objects inside each other; one more is an error.
  static constexpr size_t kMaxDepth = 64;

  enum class Status : uint8_t {
    kMore,        ///< the value goes on
    kDone,        ///< this byte ended it
    kDoneBefore,  ///< a number ended before this byte, which was not taken
    kBad,         ///< this byte cannot stand here; nothing more can be fed
  };

  /// Takes one byte and appends to `out` what it decides. Space before the value is skipped.
  Status feed(char c, std::string& out);
  /// The text ends here: true when the value was complete or is a number that ends now.
  bool finish(std::string& out);

 private:
  enum class State : uint8_t { kValue, kFirstValue, kFirstKey, kKey, kColon, kAfter, kString, kEscape, kHex, kNumber };

  Status begin_value(char c, std::string& out);
  Status open(char bracket, std::string& out);
  Status close(char bracket, std::string& out);
  Status after_value(char c, std::string& out);
  Status in_string(char c, std::string& out);
  Status in_escape(char c, std::string& out);
  Status in_hex(char c, std::string& out);
  Status value_done();
  void write_surrogate(std::string& out);

  State state_ = State::kValue;
  std::string brackets_;  // open ones, innermost last
  bool is_key_ = false;   // the string being read
  std::string number_;
  std::string_view literal_;     // what is still to come of true, false, null
  uint32_t code_unit_ = 0;       // of a \u escape
  int hex_digits_ = 0;           // of it still to come
  uint32_t high_surrogate_ = 0;  // read, its low half not yet
};

/// `json`, one JSON value, as Python's json.dumps(ensure_ascii=False) would write it.
/// Throws kInvalidArgument when it is no JSON value; `what` names it in the message.
std::string python_json(std::string_view json, std::string_view what);

}  // namespace minimax::text
