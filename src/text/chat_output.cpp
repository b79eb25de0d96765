#include "text/chat_output.h"

#include "core/error.h"

namespace minimax::text {

void append_event(std::vector<OutputEvent>& events, OutputEvent::Kind kind, std::string_view text, int64_t call) {
  if (text.empty()) return;
  if (!events.empty() && events.back().kind == kind && events.back().call == call)
    events.back().text += text;
  else
    events.push_back({.kind = kind, .text = std::string(text), .call = call});
}

void ParsedOutput::add(const std::vector<OutputEvent>& events) {
  using Kind = OutputEvent::Kind;
  for (const OutputEvent& event : events) {
    switch (event.kind) {
      case Kind::kReasoning:
        if (!reasoning) reasoning.emplace();
        *reasoning += event.text;
        break;
      case Kind::kContent:
        content += event.text;
        break;
      case Kind::kToolCallBegin:
        tool_calls.push_back({.id = event.id, .name = event.name});
        open_call_ = event.call;
        break;
      case Kind::kToolCallArguments:
        MM_CHECK_KIND(kInternal, event.call == open_call_, "arguments of call ", event.call, ", expected ", open_call_);
        tool_calls.back().arguments += event.text;
        break;
      case Kind::kToolCallEnd:
        open_call_ = -1;
        break;
      case Kind::kToolCallAbort:
        MM_CHECK_KIND(kInternal, event.call == open_call_, "abort of call ", event.call, ", expected ", open_call_);
        tool_calls.pop_back();
        open_call_ = -1;
        break;
    }
  }
}

}  // namespace minimax::text
