// The whole reading of an answer: reasoning before tool calls, cuts anywhere, and what must hold for any text.
#include "text/chat_output_parser.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <ctime>
#include <string>

namespace minimax::text {
namespace {

using Kind = OutputEvent::Kind;

const std::string kCall = "<tool_calls>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_calls>";

TEST(OutputParser, ReasoningThenContentThenCalls) {
  const ParsedOutput output = parse_output("<think>\nI need f.\n</think>\n\nCalling.\n" + kCall);
  EXPECT_EQ(output.reasoning, "I need f.");
  EXPECT_EQ(output.content, "Calling.");
  ASSERT_EQ(output.tool_calls.size(), 1u);
  EXPECT_EQ(output.tool_calls[0].name, "f");
  EXPECT_EQ(output.tool_calls[0].arguments, "{\"a\": 1}");
}

TEST(OutputParser, CallsInsideReasoningAreNotCalls) {
  const ParsedOutput output = parse_output("<think>\nMaybe " + kCall + "\n</think>\n\nNo.");
  EXPECT_EQ(output.reasoning, "Maybe " + kCall);
  EXPECT_EQ(output.content, "No.");
  EXPECT_TRUE(output.tool_calls.empty());
}

TEST(OutputParser, ThinkingThatIsNotClosedHasNoCalls) {
  OutputParser parser;
  ParsedOutput output;
  output.add(parser.feed("<think>\nSo:\n" + kCall + "\n"));
  output.add(parser.finish());
  EXPECT_TRUE(parser.in_reasoning());
  EXPECT_EQ(output.reasoning, "So:\n" + kCall + "\n");
  EXPECT_EQ(output.content, "");
  EXPECT_TRUE(output.tool_calls.empty());
}

TEST(OutputParser, StartsInReasoning) {
  const ParsedOutput output = parse_output("A\n</think>\n\nB", {.starts_in_reasoning = true});
  EXPECT_EQ(output.reasoning, "A");
  EXPECT_EQ(output.content, "B");
}

TEST(OutputParser, WithoutToolsABlockIsContent) {
  const ParsedOutput output = parse_output("<think>a</think>\n\n" + kCall + "\n", {.parse_tool_calls = false});
  EXPECT_EQ(output.content, kCall + "\n");
  EXPECT_TRUE(output.tool_calls.empty());
}

TEST(OutputParser, WithoutSplittingTheBlockOfThoughtIsContent) {
  const ParsedOutput output = parse_output("<think>" + kCall + "</think>\n" + kCall, {.split_reasoning = false});
  EXPECT_EQ(output.reasoning, std::nullopt);
  EXPECT_EQ(output.content, "<think>" + kCall + "</think>");
  EXPECT_EQ(output.tool_calls.size(), 1u);
}

TEST(OutputParser, EveryPairOfCutsGivesTheSame) {
  const std::string text = "<think>\nSo </think\n</think>\n\nSee <b>:\n" + kCall + "\n答<tool_calls>\n{\"name\": ?\n" +
                           "{\"arguments\": {\"k\": \"\\ud83d\\ude80 }\"}, \"name\": \"g\"}\n";
  const ParsedOutput whole = parse_output(text);
  EXPECT_EQ(whole.reasoning, "So </think");
  EXPECT_EQ(whole.content, "See <b>:\n\n答{\"name\": ?");
  ASSERT_EQ(whole.tool_calls.size(), 2u);
  EXPECT_EQ(whole.tool_calls[1].arguments, "{\"k\": \"🚀 }\"}");
  for (size_t first = 0; first <= text.size(); ++first)
    for (size_t second = first; second <= text.size(); ++second) {
      OutputParser parser;
      ParsedOutput output;
      output.add(parser.feed(text.substr(0, first)));
      output.add(parser.feed(text.substr(first, second - first)));
      output.add(parser.feed(text.substr(second)));
      output.add(parser.finish());
      ASSERT_EQ(output, whole) << "cut at " << first << " and " << second;
    }
}

double processor_seconds_to_parse(const std::string& text) {
  const std::clock_t start = std::clock();
  const ParsedOutput output = parse_output(text);
  EXPECT_LE(output.content.size() + output.reasoning.value_or("").size(), text.size());
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

// Eight times the text: linear takes 8 times as long, quadratic 64 times.
TEST(OutputParser, LinearOnHostileText) {
  for (std::string_view unit : {" ", "\n", "<", "<think>", "<think>\n", "{", "{\n", "<tool_calls>", "<tool_calls>{",
                                "<tool_calls>\n{\n", "<tool_calls>{\"", "</tool_calls>", "</think>"})
    for (std::string_view start :
         {"", "<think>", "<tool_calls>", "<tool_calls>{\"name\": \"f\", \"arguments\": {\"a\": [",
          "<tool_calls>{\"name\": \"f\", \"arguments\": {\"a\": \""}) {
      std::string text(start);
      while (text.size() < 25'000) text += unit;
      const double small = std::max(processor_seconds_to_parse(text), processor_seconds_to_parse(text));
      while (text.size() < 200'000) text += unit;
      const double large = std::min(processor_seconds_to_parse(text), processor_seconds_to_parse(text));
      EXPECT_LT(large, 25 * small + 0.01) << start << unit;
    }
}

// --- what holds for any text ---

// Text made of the pieces that matter, in any order, and some that do not.
rc::Gen<std::string> any_output() {
  const auto piece =
      rc::gen::elementOf(std::vector<std::string>{"<think>",
                                                  "</think>",
                                                  "<tool_calls>",
                                                  "</tool_calls>",
                                                  "<",
                                                  ">",
                                                  "/",
                                                  "{",
                                                  "}",
                                                  "[",
                                                  "]",
                                                  "\"",
                                                  "\\",
                                                  ":",
                                                  ",",
                                                  " ",
                                                  "\n",
                                                  "\n\n",
                                                  "{\"name\": \"f\", \"arguments\": {}}",
                                                  "{\"name\": \"g\", \"arguments\": {\"a\": [1.0, \"}\"]}}\n",
                                                  "\"name\"",
                                                  "\"arguments\"",
                                                  "\"f\"",
                                                  "<tool_calls>\n{",
                                                  "{\"name\": \"f\", \"arguments\": {\"k\": \"",
                                                  "\\u4e0a",
                                                  "\\ud83d",
                                                  "1",
                                                  "true",
                                                  "text ",
                                                  "答",
                                                  "x"});
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(piece), [](const std::vector<std::string>& pieces) {
    std::string text;
    for (const std::string& p : pieces) text += p;
    return text;
  });
}

template <typename Check>
void check_property(const char* name, Check check) {
  EXPECT_TRUE(rc::check(name, check));
}

TEST(OutputParserProperty, DeltasAddUpToTheWhole) {
  check_property("any text, any cuts, any options", [] {
    const std::string text = *any_output();
    const OutputParserOptions options{.split_reasoning = *rc::gen::arbitrary<bool>(),
                                      .starts_in_reasoning = *rc::gen::arbitrary<bool>(),
                                      .parse_tool_calls = *rc::gen::weightedElement<bool>({{4, true}, {1, false}}),
                                      .tool_calls = {.stream_arguments = *rc::gen::arbitrary<bool>(), .id_seed = 3}};
    const auto lengths = *rc::gen::container<std::vector<size_t>>(rc::gen::inRange<size_t>(0, 9));
    OutputParser parser(options);
    ParsedOutput output;
    size_t at = 0;
    for (size_t length : lengths) {
      output.add(parser.feed(std::string_view(text).substr(at, length)));
      at = std::min(text.size(), at + length);
    }
    output.add(parser.feed(std::string_view(text).substr(at)));
    output.add(parser.finish());
    RC_ASSERT(output == parse_output(text, options));
  });
}

TEST(OutputParserProperty, PatientAndEagerCallsAreTheSame) {
  check_property("stream_arguments changes when, not what", [] {
    const std::string text = *any_output();
    const ParsedOutput eager = parse_output(text, {.tool_calls = {.stream_arguments = true, .id_seed = 0}});
    const ParsedOutput patient = parse_output(text, {.tool_calls = {.stream_arguments = false, .id_seed = 0}});
    RC_ASSERT(eager.reasoning == patient.reasoning);
    RC_ASSERT(eager.content == patient.content);
    RC_ASSERT(eager.tool_calls.size() == patient.tool_calls.size());
    for (size_t call = 0; call < eager.tool_calls.size(); ++call) {
      RC_ASSERT(eager.tool_calls[call].name == patient.tool_calls[call].name);
      RC_ASSERT(eager.tool_calls[call].arguments == patient.tool_calls[call].arguments);
    }
  });
}

TEST(OutputParserProperty, WellFormedAnswersComeApartWithoutTags) {
  check_property("built from parts, read back as the parts", [] {
    const auto words = rc::gen::map(
        rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(std::vector<std::string>{
            "word", " ", "\n", "<", "</", "<th", "</think", "<tool_call>", "{", "}", "答", "🚀", "\"", "\\"})),
        [](const std::vector<std::string>& pieces) {
          std::string text = "a";
          for (const std::string& p : pieces) text += p;
          return text + "z";
        });
    const std::string reasoning = *words, content = *words;
    const bool thinks = *rc::gen::arbitrary<bool>();
    const auto values = *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(std::vector<std::string>{
        "{}", "{\"a\": \"}\"}", "{\"b\": [1, {\"c\": \"</tool_calls>\"}]}", "{\"k\": \"<think>答\"}"}));
    RC_PRE(!content.starts_with("<think>"));

    std::string text = thinks ? "<think>\n" + reasoning + "\n</think>\n\n" + content : content;
    if (!values.empty()) {
      text += "\n<tool_calls>\n";
      for (const std::string& arguments : values) text += "{\"name\": \"f\", \"arguments\": " + arguments + "}\n";
      text += "</tool_calls>";
    }
    const ParsedOutput output = parse_output(text);
    RC_ASSERT(output.reasoning == (thinks ? std::optional(reasoning) : std::nullopt));
    RC_ASSERT(output.content == content);
    RC_ASSERT(output.tool_calls.size() == values.size());
    for (size_t call = 0; call < values.size(); ++call) RC_ASSERT(output.tool_calls[call].arguments == values[call]);
  });
}

}  // namespace
}  // namespace minimax::text
