// How a model's text is split into reasoning and answer, whole and cut at every byte.
#include "text/reasoning_parser.h"

#include <gtest/gtest.h>

#include <string>

namespace minimax::text {
namespace {

struct Split {
  std::string reasoning, content;
  bool open = false;  // the block was never closed
  bool operator==(const Split&) const = default;
};

void PrintTo(const Split& split, std::ostream* out) {
  *out << "reasoning '" << split.reasoning << "' content '" << split.content << "' open " << split.open;
}

// `pieces` fed one after the other.
Split split(std::initializer_list<std::string_view> pieces, bool starts_in_reasoning = false) {
  ReasoningParser parser(starts_in_reasoning);
  Split out;
  auto add = [&](const ReasoningParser::Delta& delta) {
    out.reasoning += delta.reasoning;
    out.content += delta.content;
  };
  for (std::string_view piece : pieces) add(parser.feed(piece));
  add(parser.finish());
  out.open = parser.in_reasoning();
  return out;
}

struct Case {
  const char* text;
  Split expected;
  bool starts_in_reasoning = false;
};

const Case kCases[] = {
    {"", {"", ""}},
    {"Hello.", {"", "Hello."}},
    {"<think>\nTwo and two.\n</think>\n\nFour.", {"Two and two.", "Four."}},
    {"<think>\nTwo and two.\n</think>\nFour.", {"Two and two.", "Four."}},
    {"<think>Two and two.</think>Four.", {"Two and two.", "Four."}},
    {"<think>\n\nA\n\nB\n\n</think>\n\n\nC\n", {"\nA\n\nB\n", "\nC\n"}},  // one newline inside, two after: no more
    {"<think></think>\n\nFour.", {"", "Four."}},
    {"<think>\n</think>", {"", ""}},
    {" \n<think>\nA\n</think>\nB", {"A", "B"}},
    {"</think>\n\n\nFour.", {"", "\nFour."}},
    {" \n</think>Four.</think>", {"", "Four.</think>"}},
    {"</think", {"", "</think"}},
    {"</thank>Four.", {"", "</thank>Four."}},
    {"a</think>b", {"", "a</think>b"}},
    {" \nNo tag <think>A</think>", {"", " \nNo tag <think>A</think>"}},
    {"First. <think>A</think>", {"", "First. <think>A</think>"}},
    {"<thin", {"", "<thin"}},
    {"<thinker>", {"", "<thinker>"}},
    {"  <<think>A", {"", "  <<think>A"}},
    {"<think>\nNot clos", {"Not clos", "", true}},
    {"<think>", {"", "", true}},
    {"<think>\nHalf a tag </thi", {"Half a tag </thi", "", true}},
    {"<think>\nEnds with newline\n", {"Ends with newline\n", "", true}},
    {"<think>a </ b <</think x \n\n</think >\n<think>\n</think>c</think>",
     {"a </ b <</think x \n\n</think >\n<think>", "c</think>"}},
    {"<think>\n思考🚀\n</think>\n\n答案🎉", {"思考🚀", "答案🎉"}},
    {"A\n</think>\n\nB", {"A", "B"}, true},
    {"</think>B", {"", "B"}, true},
    {"\nA", {"\nA", "", true}, true},
    {"<think>\nA</think>B", {"A", "B"}, true},
    {"<th</think>B", {"<th", "B"}, true},
    {"", {"", "", true}, true},
    {"<thi", {"<thi", "", true}, true},
};

TEST(ReasoningParser, SplitsWholeTexts) {
  for (const Case& c : kCases) EXPECT_EQ(split({c.text}, c.starts_in_reasoning), c.expected) << c.text;
}

TEST(ReasoningParser, CutsAnywhereChangeNothing) {
  for (const Case& c : kCases) {
    const std::string_view text = c.text;
    for (size_t first = 0; first <= text.size(); ++first)
      for (size_t second = first; second <= text.size(); ++second)
        ASSERT_EQ(split({text.substr(0, first), text.substr(first, second - first), text.substr(second)},
                        c.starts_in_reasoning),
                  c.expected)
            << c.text << " cut at " << first << " and " << second;
  }
}

TEST(ReasoningParser, HoldsBackOnlyWhatCouldBeATag) {
  ReasoningParser parser;
  EXPECT_EQ(parser.feed("<think>\nA b").reasoning, "A b");
  EXPECT_EQ(parser.feed(" c\n").reasoning, " c");
  EXPECT_EQ(parser.feed("</th").reasoning, "");
  EXPECT_EQ(parser.feed("o</think").reasoning, "\n</tho");
  EXPECT_TRUE(parser.in_reasoning());
  EXPECT_EQ(parser.feed(">\n").content, "");
  EXPECT_FALSE(parser.in_reasoning());
  EXPECT_EQ(parser.feed("D <think>").content, "D <think>");
}

}  // namespace
}  // namespace minimax::text
