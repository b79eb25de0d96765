// Which tool calls are found in a model's answer and what is left of it, whole and cut at every byte.
#include "text/tool_call_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace minimax::text {
namespace {

using Kind = OutputEvent::Kind;
using testing::IsEmpty;

ParsedOutput parse(std::initializer_list<std::string_view> pieces, ToolCallOptions options = {}) {
  ToolCallParser parser(options);
  ParsedOutput out;
  for (std::string_view piece : pieces) out.add(parser.feed(piece));
  out.add(parser.finish());
  return out;
}

std::string calls_of(const ParsedOutput& output) {
  std::string text;
  for (const ToolCall& call : output.tool_calls) text += call.name + call.arguments + ";";
  return text;
}

struct Case {
  std::string text;
  std::string content;
  std::string calls;  // name, arguments, ';' of each
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"", "", ""},
      {"Just an answer.\n", "Just an answer.\n", ""},
      {"a < b, <b>, <tool_call>, </tool_calls>, <<tool_calls", "a < b, <b>, <tool_call>, </tool_calls>, <<tool_calls",
       ""},
      {"<tool_calls>\n{\"name\": \"search_web\", \"arguments\": {\"query\": \"上海 weather\", \"n\": "
       "3}}\n</tool_calls>",
       "", "search_web{\"query\": \"上海 weather\", \"n\": 3};"},
      // parallel calls; the space around the block is no content
      {"Let me "
       "look.\n\n<tool_calls>\n{\"name\":\"f\",\"arguments\":{}}\n{\"name\":\"g\",\"arguments\":{\"a\":[1,{}]}}\n"
       "</tool_calls>\n",
       "Let me look.", "f{};g{\"a\": [1, {}]};"},
      {"A\n<tool_calls>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_calls>\nB\n", "A\n\nB", "f{};"},
      {"\n<tool_calls>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_calls>\nB", "B", "f{};"},
      // two blocks
      {"<tool_calls>{\"name\":\"f\",\"arguments\":{}}</tool_calls>x<tool_calls>{\"name\":\"g\",\"arguments\":{}}"
       "</tool_calls>",
       "x", "f{};g{};"},
      // objects side by side on one line
      {"<tool_calls>{\"name\":\"f\",\"arguments\":{}} {\"name\":\"g\",\"arguments\":{}}</tool_calls>", "", "f{};g{};"},
      // several lines, other order, other members, escapes rewritten
      {"<tool_calls>\n{\n  \"id\": 7,\n  \"arguments\": {\n    \"text\": \"\\u4e0a\\/\\n\",\n    \"x\": 1.50\n  },\n"
       "  \"n\\u0061me\": \"f\"\n}\n</tool_calls>",
       "", "f{\"text\": \"上/\\n\", \"x\": 1.5};"},
      // braces, quotes and tags in strings
      {"<tool_calls>\n{\"name\": \"f\", \"arguments\": {\"code\": \"if (a) { b[\\\"}\\\"]; } // </tool_calls> "
       "<think>\"}}\n"
       "</tool_calls>",
       "", "f{\"code\": \"if (a) { b[\\\"}\\\"]; } // </tool_calls> <think>\"};"},
      // the block is not closed
      {"<tool_calls>\n{\"name\": \"f\", \"arguments\": {}}\n", "", "f{};"},
      {"<tool_calls>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_ca", "", "f{};"},
      // a bad line beside a good one becomes content
      {"<tool_calls>\n{\"name\": \"f\", \"arguments\": {bad}}\n{\"name\": \"g\", \"arguments\": {}}\n</tool_calls>",
       "{\"name\": \"f\", \"arguments\": {bad}}", "g{};"},
      {"Hm.\n<tool_calls>\n{\"name\": \"g\", \"arguments\": {}}\nnot a call\n</tool_calls>", "Hm.\nnot a call", "g{};"},
      {"<tool_calls>\n```json\n{\"name\": \"g\", \"arguments\": {}}\n```\n</tool_calls>", "```json\n```", "g{};"},
      {"<tool_calls>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}\n{\"name\": \"g\", \"arguments\": {}}\n</tool_calls>",
       "{\"name\": \"f\", \"arguments\": {\"a\": 1}", "g{};"},
      {"<tool_calls>\n{\"name\": \"f\", \"arguments\": {\"a\": \"no quote}}\n{\"name\": \"g\", \"arguments\": {}}\n"
       "</tool_calls>",
       "{\"name\": \"f\", \"arguments\": {\"a\": \"no quote}}", "g{};"},
      // a string without its quote must not swallow the end of the block
      {"<tool_calls>{\"name\": \"g\", \"arguments\": {}}\n{\"name\": \"f\", \"arguments\": {\"a\": "
       "\"}}</tool_calls>x\ny",
       "{\"name\": \"f\", \"arguments\": {\"a\": \"}}x\ny", "g{};"},
      // what lies inside a broken call is data, not a call
      {"<tool_calls>\n{\"name\": \"f\", \"arguments\": {\"steps\": [\n{\"name\": \"rm\", \"arguments\": "
       "{}}\n</tool_calls>",
       "<tool_calls>\n{\"name\": \"f\", \"arguments\": {\"steps\": [\n{\"name\": \"rm\", \"arguments\": "
       "{}}\n</tool_calls>",
       ""},
      {"<tool_calls>\n{\"name\": \"f\", \"arguments\": {\"steps\": [\n{\"name\": \"rm\", \"arguments\": {}} oops\n",
       "<tool_calls>\n{\"name\": \"f\", \"arguments\": {\"steps\": [\n{\"name\": \"rm\", \"arguments\": {}} oops\n",
       ""},
      {"<tool_calls>{\"name\": {\"name\": \"rm\", \"arguments\": {}}}</tool_calls>",
       "<tool_calls>{\"name\": {\"name\": \"rm\", \"arguments\": {}}}</tool_calls>", ""},
      {"<tool_calls>{\"name\":\n\"f\" {\"name\": \"rm\", \"arguments\": {}}\n{\"name\": \"g\", \"arguments\": {}}\n",
       "{\"name\":\n\"f\" {\"name\": \"rm\", \"arguments\": {}}", "g{};"},
      // without a single call the block is content as it stands
      {"See: <tool_calls>\n{\"name\": \"f\"}\n</tool_calls> ok\n",
       "See: <tool_calls>\n{\"name\": \"f\"}\n</tool_calls> ok\n", ""},
      {"<tool_calls>\n</tool_calls>", "<tool_calls>\n</tool_calls>", ""},
      {"<tool_calls>\n{\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": \"cut of",
       "<tool_calls>\n{\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": \"cut of", ""},
      {"<tool_calls>\n{\"name\": \"f\", \"arguments\": {}}\n{\"name\": \"g\", \"arguments\": {\"b\": \"cut of",
       "{\"name\": \"g\", \"arguments\": {\"b\": \"cut of", "f{};"},
      {"<tool_calls", "<tool_calls", ""},
      // prose about the tag is no block, and a block may follow it
      {"Write `<tool_calls>` first, then one JSON object a line, and close with `</tool_calls>`: that is a call.",
       "Write `<tool_calls>` first, then one JSON object a line, and close with `</tool_calls>`: that is a call.", ""},
      {"The tag <tool_calls> opens a block of calls that the program reads, line after line. Like this: <tool_calls>\n"
       "{\"name\": \"f\", \"arguments\": {}}\n</tool_calls>",
       "The tag <tool_calls> opens a block of calls that the program reads, line after line. Like this:", "f{};"},
      // thinking inside the answer
      {"<think>\n<tool_calls>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_calls>\n</think>\nNo.",
       "<think>\n<tool_calls>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_calls>\n</think>\nNo.", ""},
      {"<think>a</think><tool_calls>{\"name\":\"f\",\"arguments\":{}}</tool_calls>", "<think>a</think>", "f{};"},
      {"<think>a<tool_calls>{\"name\":\"f\",\"arguments\":{}}</tool_calls>",
       "<think>a<tool_calls>{\"name\":\"f\",\"arguments\":{}}</tool_calls>", ""},
  };
  return all;
}

TEST(ToolCallParser, FindsCallsAndKeepsTheRest) {
  for (const Case& c : cases()) {
    const ParsedOutput output = parse({c.text});
    EXPECT_EQ(output.content, c.content) << c.text;
    EXPECT_EQ(calls_of(output), c.calls) << c.text;
  }
}

TEST(ToolCallParser, CutsAnywhereChangeNothing) {
  for (const Case& c : cases()) {
    const std::string_view text = c.text;
    for (bool stream_arguments : {true, false}) {
      const ToolCallOptions options{.stream_arguments = stream_arguments, .id_seed = 1};
      const ParsedOutput whole = parse({text}, options);
      for (size_t first = 0; first <= text.size(); ++first)
        for (size_t second = first; second <= text.size(); ++second)
          ASSERT_EQ(parse({text.substr(0, first), text.substr(first, second - first), text.substr(second)}, options),
                    whole)
              << text << " cut at " << first << " and " << second;
    }
  }
}

TEST(ToolCallParser, BytesOneByOneGiveTheSame) {
  for (const Case& c : cases()) {
    ToolCallParser parser;
    ParsedOutput output;
    for (char byte : c.text) output.add(parser.feed({&byte, 1}));
    output.add(parser.finish());
    EXPECT_EQ(output, parse({c.text})) << c.text;
  }
}

TEST(ToolCallParser, ObjectsThatAreNoCallsBecomeContent) {
  for (std::string object :
       {R"({})", R"({"name": "f"})", R"({"arguments": {}})", R"({"name": "", "arguments": {}})",
        R"({"name": 1, "arguments": {}})", R"({"name": "f", "arguments": "{}"})", R"({"name": "f", "arguments": null})",
        R"({"name": "f", "arguments": []})", R"({"name": "f", "name": "g", "arguments": {}})",
        R"({"name": "f", "arguments": {}, "arguments": {}})", R"({"name": "f", "arguments": {},})",
        R"({"name": "a\"b", "arguments": {}})", R"({"name": "f" "arguments": {}})", R"({name: "f", "arguments": {}})",
        R"({"name": "f", "arguments": {"a": 01}})", R"({"name": "f", "arguments": {"a": "\x"}})"}) {
    const std::string text = "<tool_calls>\n" + object + "\n</tool_calls>";
    EXPECT_EQ(parse({text}).content, text);
    EXPECT_THAT(parse({text}).tool_calls, IsEmpty()) << text;
  }
}

TEST(ToolCallParser, NestingIsLimited) {
  auto call = [](size_t depth) {
    return "<tool_calls>{\"name\": \"f\", \"arguments\": {\"a\": " + std::string(depth, '[') + std::string(depth, ']') +
           "}}</tool_calls>";
  };
  EXPECT_EQ(parse({call(JsonRewriter::kMaxDepth - 1)}).tool_calls.size(), 1u);  // the object itself is a level
  EXPECT_EQ(parse({call(JsonRewriter::kMaxDepth)}).content, call(JsonRewriter::kMaxDepth));
  EXPECT_EQ(parse({call(100'000)}).content, call(100'000));
}

TEST(ToolCallParser, StreamsNameThenArguments) {
  ToolCallParser parser({.stream_arguments = true, .id_seed = 5});
  EXPECT_EQ(parser.feed("Ok. <tool_calls>\n{\"na"),
            (std::vector<OutputEvent>{{.kind = Kind::kContent, .text = "Ok."}}));
  EXPECT_THAT(parser.feed("me\": \"get_weather\", \"arguments\":"), IsEmpty());
  const std::vector<OutputEvent> begin = parser.feed(" {\"city\":\"上");
  ASSERT_EQ(begin.size(), 2u);
  EXPECT_EQ(begin[0].kind, Kind::kToolCallBegin);
  EXPECT_EQ(begin[0].call, 0);
  EXPECT_EQ(begin[0].name, "get_weather");
  EXPECT_EQ(begin[0].id.substr(0, 5), "call_");
  EXPECT_EQ(begin[1], (OutputEvent{.kind = Kind::kToolCallArguments, .text = "{\"city\": \"上", .call = 0}));
  EXPECT_EQ(parser.feed("海\"}"),
            (std::vector<OutputEvent>{{.kind = Kind::kToolCallArguments, .text = "海\"}", .call = 0}}));
  EXPECT_EQ(parser.feed("}"), (std::vector<OutputEvent>{{.kind = Kind::kToolCallEnd, .call = 0}}));
  EXPECT_THAT(parser.feed("\n</tool_calls>\n"), IsEmpty());
  EXPECT_THAT(parser.finish(), IsEmpty());
}

TEST(ToolCallParser, TakesABrokenCallBack) {
  const std::string_view text =
      "<tool_calls>{\"name\": \"f\", \"arguments\": {\"a\": ?}}\n{\"name\": \"g\", \"arguments\": {}}";
  ToolCallParser eager({.stream_arguments = true, .id_seed = 0});
  std::vector<Kind> kinds;
  for (const OutputEvent& event : eager.feed(text)) kinds.push_back(event.kind);
  EXPECT_THAT(kinds,
              testing::ElementsAre(Kind::kToolCallBegin, Kind::kToolCallArguments, Kind::kToolCallAbort,
                                   Kind::kToolCallBegin, Kind::kToolCallArguments, Kind::kToolCallEnd, Kind::kContent));
  ToolCallParser patient({.stream_arguments = false, .id_seed = 0});
  kinds.clear();
  for (const OutputEvent& event : patient.feed(text)) kinds.push_back(event.kind);
  EXPECT_THAT(kinds,
              testing::ElementsAre(Kind::kToolCallBegin, Kind::kToolCallArguments, Kind::kToolCallEnd, Kind::kContent));
}

TEST(ToolCallParser, IdsFollowTheSeed) {
  const std::string text =
      "<tool_calls>{\"name\":\"f\",\"arguments\":{}}{\"name\":\"f\",\"arguments\":{}}</tool_calls>";
  std::set<std::string> ids;
  for (uint64_t seed : {1u, 2u})
    for (const ToolCall& call : parse({text}, {.stream_arguments = true, .id_seed = seed}).tool_calls)
      ids.insert(call.id);
  EXPECT_EQ(ids.size(), 4u);
  for (const std::string& id : ids) EXPECT_EQ(id.size(), 29u) << id;
  EXPECT_EQ(parse({text}, {.stream_arguments = true, .id_seed = 1}),
            parse({text}, {.stream_arguments = true, .id_seed = 1}));
}

}  // namespace
}  // namespace minimax::text
