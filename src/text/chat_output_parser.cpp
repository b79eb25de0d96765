#include "text/chat_output_parser.h"

#include <iterator>
#include <utility>

namespace minimax::text {
namespace {

void move_to_end(std::vector<OutputEvent>& events, std::vector<OutputEvent> more) {
  events.insert(events.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

OutputParser::OutputParser(OutputParserOptions options)
    : options_(options), reasoning_(options.starts_in_reasoning), tool_calls_(options.tool_calls) {}

std::vector<OutputEvent> OutputParser::feed(std::string_view text) {
  if (options_.split_reasoning) return events_of(reasoning_.feed(text));
  return events_of({.reasoning = {}, .content = std::string(text)});
}

std::vector<OutputEvent> OutputParser::finish() {
  std::vector<OutputEvent> events;
  if (options_.split_reasoning) events = events_of(reasoning_.finish());
  if (options_.parse_tool_calls) move_to_end(events, tool_calls_.finish());
  return events;
}

std::vector<OutputEvent> OutputParser::events_of(const ReasoningParser::Delta& delta) {
  std::vector<OutputEvent> events;
  append_event(events, OutputEvent::Kind::kReasoning, delta.reasoning);
  if (options_.parse_tool_calls)
    move_to_end(events, tool_calls_.feed(delta.content));
  else
    append_event(events, OutputEvent::Kind::kContent, delta.content);
  return events;
}

ParsedOutput parse_output(std::string_view text, const OutputParserOptions& options) {
  OutputParser parser(options);
  ParsedOutput output;
  output.add(parser.feed(text));
  output.add(parser.finish());
  return output;
}

}  // namespace minimax::text
