// OutputParser: what server and command line read a model's answer with; reasoning first, then tool calls.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/chat_output.h"
#include "text/reasoning_parser.h"
#include "text/tool_call_parser.h"

namespace minimax::text {

struct OutputParserOptions {
  bool split_reasoning = true;       ///< false: a thinking block is content, tags and all
  bool starts_in_reasoning = false;  ///< the prompt ends inside a thinking block
  bool parse_tool_calls = true;      ///< false, for requests without tools: a block of calls is content
  ToolCallOptions tool_calls = {};
};

/// Tool calls are looked for only in the answer, never in the reasoning; when the thinking block is not closed there
/// are none. Not thread-safe; one parser reads one answer.
class OutputParser {
 public:
  explicit OutputParser(OutputParserOptions options = {});

  /// What these next bytes of the model's text decide. Cuts may fall anywhere, also inside characters: the events add
  /// up to the same ParsedOutput.
  std::vector<OutputEvent> feed(std::string_view text);
  /// The text ends. Gives out what was held back and takes back a call that is not complete.
  std::vector<OutputEvent> finish();

  /// Now inside a thinking block; after finish(): the block was never closed.
  bool in_reasoning() const { return options_.split_reasoning && reasoning_.in_reasoning(); }
  /// The thinking block is over and there is no answer yet.
  bool after_reasoning() const { return options_.split_reasoning && reasoning_.after_reasoning(); }

 private:
  std::vector<OutputEvent> events_of(const ReasoningParser::Delta& delta);

  OutputParserOptions options_;
  ReasoningParser reasoning_;
  ToolCallParser tool_calls_;
};

/// A whole answer at once.
ParsedOutput parse_output(std::string_view text, const OutputParserOptions& options = {});

}  // namespace minimax::text
