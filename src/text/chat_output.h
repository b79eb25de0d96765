// What parsing a model's answer yields: events while it streams, and the whole they add up to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_message.h"

namespace minimax::text {

struct OutputEvent {
  enum class Kind : uint8_t {
    kReasoning,          ///< `text` continues the reasoning
    kContent,            ///< `text` continues the answer
    kToolCallBegin,      ///< call number `call` starts: `id`, `name`
    kToolCallArguments,  ///< `text` continues the arguments of `call`
    kToolCallEnd,        ///< the arguments of `call` are complete: one JSON object
    kToolCallAbort,      ///< `call` turned out to be broken or cut short: forget it; what was written comes as content
  };

  Kind kind = Kind::kContent;
  std::string text = {};
  int64_t call = -1;  ///< counts the calls begun in this answer, from 0
  std::string id = {};
  std::string name = {};

  bool operator==(const OutputEvent&) const = default;
};

/// Adds `text` to the last event when that has the same kind and call, else as a new event; nothing when it is empty.
void append_event(std::vector<OutputEvent>& events, OutputEvent::Kind kind, std::string_view text, int64_t call = -1);

/// A whole answer.
struct ParsedOutput {
  std::optional<std::string> reasoning;  ///< absent when the answer has no thinking, or an empty one
  std::string content;
  std::vector<ToolCall> tool_calls;

  /// Takes the next events of an answer. After the last one this equals parse_output() of the whole text.
  void add(const std::vector<OutputEvent>& events);

  bool operator==(const ParsedOutput&) const = default;

 private:
  int64_t open_call_ = -1;  // begun, not ended: it is tool_calls.back()
};

}  // namespace minimax::text
