// libFuzzer target: any bytes as a model's answer, in any cuts, must add up to what they are in one piece.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "text/chat_output_parser.h"

namespace {

using namespace minimax::text;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

// data[0]: options; data[1], data[2]: lengths of the pieces, in turn; the rest: the answer.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const OutputParserOptions options{
      .split_reasoning = (data[0] & 1) == 0,
      .starts_in_reasoning = (data[0] & 2) != 0,
      .parse_tool_calls = (data[0] & 4) == 0,
      .tool_calls = {.stream_arguments = (data[0] & 8) == 0, .id_seed = 0},
  };
  const size_t lengths[] = {size_t{data[1]} % 32 + 1, size_t{data[2]} % 32 + 1};
  const std::string_view text(reinterpret_cast<const char*>(data) + 3, size - 3);

  OutputParser parser(options);
  ParsedOutput pieces;
  for (size_t at = 0, turn = 0; at < text.size(); ++turn) {
    pieces.add(parser.feed(text.substr(at, lengths[turn % 2])));
    at += lengths[turn % 2];
  }
  pieces.add(parser.finish());
  require(pieces == parse_output(text, options));

  // What is left is no longer than what came, and arguments are JSON objects (numbers may grow: 1e9 -> 1000000000.0).
  require(pieces.content.size() + pieces.reasoning.value_or("").size() <= text.size());
  for (const ToolCall& call : pieces.tool_calls) {
    require(!call.name.empty());
    require(call.arguments.starts_with('{') && call.arguments.ends_with('}'));
  }
  return 0;
}
