// ToolCallScanner: reads one {"name": ..., "arguments": {...}} byte by byte.
#pragma once

#include <cstdint>
#include <string>

#include "text/json_rewriter.h"

namespace minimax::text {

/// The object of one tool call, over as many lines as it likes. It must hold "name", a string that is not empty and
/// needs no JSON escapes, and "arguments", an object, each once and in either order; other members are read and
/// forgotten.
class ToolCallScanner {
 public:
  enum class Status : uint8_t {
    kMore,
    kDone,  ///< this byte, the closing brace, ended the object, and it is a call
    kBad,   ///< this byte shows that the text is no call
  };

  /// The first byte is the opening brace. Nothing can be fed after kDone or kBad.
  Status feed(char c);

  /// The name is known and the arguments have begun.
  bool begun() const { return !name_.empty() && !arguments_.empty(); }
  const std::string& name() const { return name_; }
  /// The arguments so far, rewritten as json.dumps writes them.
  const std::string& arguments() const { return arguments_; }

 private:
  enum class State : uint8_t { kOpen, kFirstKey, kNextKey, kKey, kColon, kValue, kInValue, kAfterValue };
  enum class Member : uint8_t { kName, kArguments, kOther };

  Status begin_value(char c);
  Status in_value(char c);
  Status after_value(char c);
  bool choose_member();

  State state_ = State::kOpen;
  Member member_ = Member::kOther;
  JsonRewriter rewriter_;
  std::string scratch_;  // a key or a value that is not the arguments
  std::string name_;
  std::string arguments_;
};

}  // namespace minimax::text
