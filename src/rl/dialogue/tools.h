// Simulated tools for dialogues: a calculator, units, a key-value store and a calendar, over a state that can be
// compared.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "text/chat_message.h"

namespace minimax::rl {

/// calculator{expression}; convert{value, from, to}; get{key}, set{key, value}, remove{key}; add_event{title, date,
/// time, minutes}, list_events{date}. Deterministic: the same state and call give the same answer and state.
class ToolWorld {
 public:
  /// `state`: {"store": {key: text}, "events": [{title, date, time, minutes}]}, either may be missing. Throws
  /// kInvalidArgument for another shape.
  explicit ToolWorld(const io::json::object& state);

  /// The tool's answer as JSON text: {"result": ...}, or {"error": "..."}, which tells the model what it did wrong.
  /// `arguments`: JSON text of an object. Throws nothing for any name and arguments.
  std::string call(std::string_view name, std::string_view arguments);

  /// With keys in order, so that equal worlds have equal texts.
  io::json::object state() const;

 private:
  io::json::value run(std::string_view name, const io::JsonField& arguments);
  io::json::value add_event(const io::JsonField& arguments);
  io::json::value list_events(std::string_view date) const;

  struct Event {
    std::string date, title;
    int64_t begin = 0, minutes = 0;  // minutes since midnight
  };
  std::vector<std::pair<std::string, std::string>> store_;  // by key
  std::vector<Event> events_;                               // by date and time
};

/// What the model is told about them. `names`: some of them; empty: all.
std::vector<text::ToolDefinition> tool_definitions(const std::vector<std::string>& names = {});

}  // namespace minimax::rl
