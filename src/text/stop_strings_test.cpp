#include "text/stop_strings.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>

#include "core/error.h"

namespace minimax::text {
namespace {

struct Result {
  std::string text;
  std::optional<int> stop;
  bool operator==(const Result&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Result& result) {
    return out << '"' << result.text << "\" stop " << result.stop.value_or(-1);
  }
};

// The definition, word by word.
Result by_definition(const std::vector<std::string>& strings, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::optional<int> longest;
    for (size_t index = 0; index < strings.size(); ++index)
      if (text.substr(0, end).ends_with(strings[index]) &&
          (!longest || strings[index].size() > strings[*longest].size()))
        longest = static_cast<int>(index);
    if (longest) return {text.substr(0, end - strings[*longest].size()), longest};
  }
  return {text, std::nullopt};
}

Result streamed(const std::vector<std::string>& strings, const std::vector<std::string>& pieces) {
  StopStrings stops(strings);
  Result result;
  for (const std::string& piece : pieces) {
    StopStrings::Output output = stops.push(piece);
    result.text += output.text;
    result.stop = output.stop;
  }
  result.text += stops.finish();
  return result;
}

struct Case {
  std::vector<std::string> strings;
  std::string text;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {{}, "anything"},
      {{"END"}, "some text END more END"},
      {{"END"}, "EENEND"},
      {{"END"}, "it never ENDs"},
      {{"EOF"}, "only an EO"},
      {{"\n\n", "User:"}, "one\ntwo\n\nUser: three"},
      {{"abcd", "bc"}, "xabcd"},   // bc is complete first
      {{"bcd", "abcd"}, "xabcd"},  // complete together: the longer
      {{"d", "abcd"}, "xabcd"},    // the same, through two fallbacks
      {{"aab"}, "aaaaab"},         // falls back onto itself
      {{"abab", "ababc"}, "abaababab"},
      {{"你好"}, "他说你你好吗"},  // shares its first bytes with a neighbour
      {{"同", "same"}, "not the same"},
      {{"ab", "ab"}, "cab"},  // twice in the list: the first
      {{std::string("\0x", 2)}, std::string("a\0\0xb", 5)},
  };
  return all;
}

TEST(StopStrings, EverySplitIntoThree) {
  for (const auto& [strings, text] : cases()) {
    const Result expected = by_definition(strings, text);
    for (size_t first = 0; first <= text.size(); ++first)
      for (size_t second = first; second <= text.size(); ++second)
        ASSERT_EQ(streamed(strings, {text.substr(0, first), text.substr(first, second - first), text.substr(second)}),
                  expected)
            << "\"" << text << "\" cut at " << first << " and " << second;
  }
}

TEST(StopStrings, ByteByByte) {
  for (const auto& [strings, text] : cases()) {
    std::vector<std::string> bytes;
    for (char byte : text) bytes.emplace_back(1, byte);
    EXPECT_EQ(streamed(strings, bytes), by_definition(strings, text)) << text;
  }
}

RC_GTEST_PROP(StopStrings, AnyStringsAnyCuts, ()) {
  // Two letters: overlaps everywhere.
  const auto word = rc::gen::container<std::string>(rc::gen::element('a', 'b'));
  const auto strings = *rc::gen::container<std::vector<std::string>>(rc::gen::nonEmpty(word));
  const auto pieces = *rc::gen::container<std::vector<std::string>>(word);
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  RC_ASSERT(streamed(strings, pieces) == by_definition(strings, text));
}

TEST(StopStrings, HoldsBackNoMoreThanMayBegin) {
  StopStrings stops({"<end>", "ed"});
  EXPECT_EQ(stops.push("wait <e").text, "wait ");
  EXPECT_EQ(stops.held_bytes(), 2);
  EXPECT_EQ(stops.push("a").text, "<ea");
  EXPECT_EQ(stops.held_bytes(), 0);
  EXPECT_EQ(stops.push("<end").text, "");
  const StopStrings::Output last = stops.push("> not this");
  EXPECT_EQ(last.text, "");
  EXPECT_EQ(last.stop, 0);
  const StopStrings::Output after = stops.push("nor this");
  EXPECT_EQ(after.text, "");
  EXPECT_EQ(after.stop, 0);
  EXPECT_EQ(stops.finish(), "");
}

TEST(StopStrings, FinishGivesWhatWasHeld) {
  StopStrings stops({"<end>"});
  EXPECT_EQ(stops.push("a <en").text, "a ");
  EXPECT_EQ(stops.finish(), "<en");
  EXPECT_EQ(stops.finish(), "");
}

// A quadratic matcher would need hours for this.
TEST(StopStrings, LinearOnTextThatKeepsAlmostMatching) {
  const std::string almost(10000, 'a');
  StopStrings stops({almost + "b"});
  const std::string text(2'000'000, 'a');
  const auto start = std::chrono::steady_clock::now();
  size_t out = 0;
  for (size_t at = 0; at < text.size(); at += 500) out += stops.push(text.substr(at, 500)).text.size();
  EXPECT_EQ(out, text.size() - 10000);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(10));
}

TEST(StopStrings, ErrorsNameTheString) {
  try {
    StopStrings({"a", ""});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "stop string 1 is empty, expected at least one character");
  }
  EXPECT_THROW(StopStrings({std::string(70000, 'x')}), Error);
}

}  // namespace
}  // namespace minimax::text
