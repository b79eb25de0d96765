#include "text/split/split_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/rng.h"
#include "text/split/oniguruma.h"

namespace minimax::text {
namespace {

using testing::HasSubstr;
using Pieces = std::vector<std::string>;

/// The pieces of a text by pre_tokenizer's JSON.
Pieces cut(const std::string& json, std::string_view text) {
  const io::json::value value = io::parse_json(json, "file");
  Pieces out;
  SplitRules::read(io::JsonField(value, "file")).for_each_piece(text, [&](std::string_view piece) {
    out.emplace_back(piece);
  });
  return out;
}

constexpr const char* kBytes = R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})";

std::string sequence(const std::string& steps, const char* last = kBytes) {
  return R"({"type": "Sequence", "pretokenizers": [)" + steps + (steps.empty() ? "" : ", ") + last + "]}";
}
std::string split(std::string_view regex, std::string_view behavior = "Isolated", bool invert = false,
                  const char* kind = "Regex") {
  return cat(R"({"type": "Split", "pattern": {")", kind, R"(": )", io::write_json_string(regex), R"(}, "behavior": ")",
             behavior, R"(", "invert": )", invert ? "true" : "false", "}");
}
Pieces by(std::string_view regex, std::string_view text) {
  return cut(sequence(split(regex)), text);
}
std::string refusal(const std::string& json, std::string_view text = "") {
  try {
    cut(json, text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    return error.what();
  }
  return "accepted";
}

// The examples of the behaviours' own documentation: "the-final--countdown" at "-".
TEST(SplitRules, Behaviors) {
  const auto at_dash = [](std::string_view behavior, bool invert = false) {
    return cut(sequence(split("-", behavior, invert)), "the-final--countdown");
  };
  EXPECT_EQ(at_dash("Removed"), (Pieces{"the", "final", "countdown"}));
  EXPECT_EQ(at_dash("Isolated"), (Pieces{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(at_dash("MergedWithPrevious"), (Pieces{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(at_dash("MergedWithNext"), (Pieces{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(at_dash("Contiguous"), (Pieces{"the", "-", "final", "--", "countdown"}));
  EXPECT_EQ(at_dash("Removed", true), (Pieces{"-", "-", "-"}));
  EXPECT_EQ(at_dash("Isolated", true), at_dash("Isolated"));
  EXPECT_EQ(at_dash("MergedWithPrevious", true), (Pieces{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(cut(sequence(split("-", "MergedWithPrevious")), "--a"), (Pieces{"-", "-", "a"}));
  EXPECT_EQ(cut(sequence(split("a|b", "Contiguous")), "abxab"), (Pieces{"ab", "x", "ab"}));
}

TEST(SplitRules, ShapesOfFiles) {
  EXPECT_EQ(cut(sequence(split("a.c", "Isolated", false, "String")), "abca.c"), (Pieces{"abc", "a.c"}));
  EXPECT_EQ(cut(sequence(R"({"type": "Digits", "individual_digits": true})"), "ab12c"), (Pieces{"ab", "1", "2", "c"}));
  EXPECT_EQ(cut(sequence(R"({"type": "Digits"})"), "ab12c"), (Pieces{"ab", "12", "c"}));
  EXPECT_EQ(cut(sequence(""), "all of it"), Pieces{"all of it"});
  // One step after another, each within the pieces of those before: the second sees the beginning of a text in each.
  EXPECT_EQ(cut(sequence(split("[\\r\\n]") + ", " + split("^a")), "aa\naa"), (Pieces{"a", "a", "\n", "a", "a"}));
  EXPECT_EQ(cut(sequence(split("\\p{N}{1,3}") + ", " + split("[\\u4e00-\\u9fa5]+") + ", " +
                         split("[!-~]+| ?\\p{L}+|\\s+(?!\\S)|\\s+")),
                "x12345 \u4e2d\u6587 y"),
            (Pieces{"x", "123", "45", " ", "\u4e2d\u6587", " y"}));
  EXPECT_EQ(cut(sequence(split("b"), R"({"type": "ByteLevel", "add_prefix_space": false})"), "a'sb  c"),
            (Pieces{"a", "'s", "b", " ", " c"}));
  EXPECT_EQ(cut(sequence(split("x")), ""), Pieces{});
}

TEST(SplitRules, PublishedPatternsGoTheirOwnWay) {
  const auto rules = [](const std::string& json) {
    const io::json::value value = io::parse_json(json, "file");
    return SplitRules::read(io::JsonField(value, "file"));
  };
  const std::string_view cl100k = regex_of(SplitPattern::kCl100k);
  EXPECT_EQ(rules(sequence(split(cl100k))).published(), SplitPattern::kCl100k);
  EXPECT_EQ(rules(sequence(split(cl100k, "Removed", true))).published(), SplitPattern::kCl100k);
  EXPECT_EQ(rules(sequence(split(cl100k, "Removed"))).published(), std::nullopt);
  EXPECT_FALSE(rules(sequence(split(cl100k, "Removed"))).keeps_all());
  EXPECT_TRUE(rules(sequence(split(cl100k, "Contiguous"))).keeps_all());
  EXPECT_EQ(rules(sequence(split(cl100k, "MergedWithNext", true))).published(), std::nullopt);
  EXPECT_EQ(rules(R"({"type": "ByteLevel", "add_prefix_space": false})").published(), SplitPattern::kGpt2);
}

/// Both ways of cutting by a published pattern agree; the scanner's are checked against PCRE2's own reading elsewhere.
TEST(SplitRules, RegexAndScannerAgree) {
  Rng rng(5);
  const std::vector<std::string> bits = {"a",      "B",      "1",      " ",      "\n",     "\r",
                                         "'s",     "/",      ".",      "\u4e2d", "\u0301", "\xC2\x85",
                                         "\u180e", "\u2003", "\u01c5", "\u00b2", "'LL",    "\t"};
  for (const SplitPattern pattern : {SplitPattern::kO200k, SplitPattern::kO200kNoSlash, SplitPattern::kCl100k,
                                     SplitPattern::kQwen2, SplitPattern::kGpt2})
    for (int round = 0; round < 300; ++round) {
      std::string text;
      for (uint64_t left = rng.below(40); left > 0; --left) text += bits[rng.below(bits.size())];
      EXPECT_EQ(by(cat("(?:", regex_of(pattern), ")"), text), by(regex_of(pattern), text)) << text;
    }
}

TEST(Oniguruma, WhatPcre2WouldReadOtherwise) {
  EXPECT_EQ(by("\\s", "a\u180eb\u2003c"), (Pieces{"a\u180eb", "\u2003", "c"}));
  EXPECT_EQ(by("\\S+", "a\u180e b"), (Pieces{"a\u180e", " ", "b"}));
  EXPECT_EQ(by("\\w+", "e\u0301\u203fa\u00b2"), (Pieces{"e\u0301\u203fa", "\u00b2"}));
  EXPECT_EQ(by("[\\W]+", "a, b"), (Pieces{"a", ", ", "b"}));
  EXPECT_EQ(by("[\\Wb]+", "ab, bc"), (Pieces{"a", "b, b", "c"}));
  EXPECT_EQ(by("\\h+", "xfF09 g"), (Pieces{"x", "fF09", " g"}));
  EXPECT_EQ(by("\\b", "ab cd"), (Pieces{"ab", " ", "cd"}));
  EXPECT_EQ(by("a\\B", "ab a"), (Pieces{"a", "b a"}));
  EXPECT_EQ(by("[a-z&&[^aeiou]]+", "banana"), (Pieces{"b", "a", "n", "a", "n", "a"}));
  EXPECT_EQ(by("[\\p{L}&&[^\\p{Han}]]+", "ab\u4e2dc"), (Pieces{"ab", "\u4e2d", "c"}));
  EXPECT_EQ(by("[a-d&&b-e&&[cx]]", "abcde"), (Pieces{"ab", "c", "de"}));
  EXPECT_EQ(by("[x[0-9]]+", "ax1x]"), (Pieces{"a", "x1x", "]"}));
  EXPECT_EQ(by("[^x[0-9]]+", "ax1b\n"), (Pieces{"a", "x1", "b\n"}));
  EXPECT_EQ(by(" ?[^(\\s|[.,!?])]+", "ab, (c) d"), (Pieces{"ab", ", (", "c", ")", " d"}));
  EXPECT_EQ(by("[]a]+", "b]a"), (Pieces{"b", "]a"}));
  EXPECT_EQ(by("[[:digit:]a-]+", "x1-a"), (Pieces{"x", "1-a"}));
  EXPECT_EQ(by("a.b", "a\nba b"), (Pieces{"a\nb", "a b"}));
  EXPECT_EQ(by("(?m:a.b)", "a\nbx"), (Pieces{"a\nb", "x"}));
  EXPECT_EQ(by("a{,2}b", "aaab"), (Pieces{"a", "aab"}));
  EXPECT_EQ(by("a{x}", "aa{x}"), (Pieces{"a", "a{x}"}));
  EXPECT_EQ(by("\\u4e2d|\\v", "\u4e2d\v\n"), (Pieces{"\u4e2d", "\v", "\n"}));
  EXPECT_EQ(by("a$", "a\na"), (Pieces{"a", "\n", "a"}));
  EXPECT_EQ(by("(?i:k)(?#not this)", "xK"), (Pieces{"x", "K"}));
  EXPECT_EQ(by("(?<q>['\"])a\\k<q>", "'a' 'a\""), (Pieces{"'a'", " 'a\""}));
  EXPECT_EQ(oniguruma_to_pcre2(regex_of(SplitPattern::kGpt2), "p").find("\\s"), std::string::npos);
}

TEST(Oniguruma, BytesThatAreNoTextMatchNothing) {
  EXPECT_EQ(by("[^a]", "\xFF\u00e9\xC3"), (Pieces{"\xFF", "\u00e9", "\xC3"}));
  EXPECT_EQ(by("a+",
               "aa\x80"
               "aa"),
            (Pieces{"aa", "\x80", "aa"}));
}

TEST(SplitRules, OdditiesAreRefusedByName) {
  for (const auto& [regex, says] :
       std::initializer_list<std::pair<const char*, const char*>>{{"", "empty"},
                                                                  {"a(", "missing closing parenthesis"},
                                                                  {"[a", "\"[a\" at byte 0 is not closed"},
                                                                  {"x[a&&]", "empty set"},
                                                                  {"\\p{Klingon}", "property"},
                                                                  {"\\Qa\\E", "\"\\Q\" at byte 0 is not known"},
                                                                  {"a\\", "ends the pattern"},
                                                                  {"(*UTF)a", "not known"},
                                                                  {"(?x) a", "not known"},
                                                                  {"(?~a)", "not known"},
                                                                  {"(?(1)a)", "not known"},
                                                                  {"a{1,2}+", "repetition of a repetition"},
                                                                  {"(((a{1000}){1000}){1000}){1000}", "too large"}})
    EXPECT_THAT(refusal(sequence(split(regex))), HasSubstr(says)) << regex;
  EXPECT_THAT(refusal(sequence(split(std::string(40000, 'a')))), HasSubstr("40000 bytes"));
  EXPECT_THAT(refusal(sequence(split("\\p{Klingon}"))), HasSubstr("pretokenizers[0].pattern.Regex"));
  EXPECT_THAT(refusal(sequence(std::string(R"({"type": "Whitespace"})"))), HasSubstr("Whitespace"));
  EXPECT_THAT(refusal(sequence(split("a"), R"({"type": "Digits"})")), HasSubstr("ByteLevel"));
  EXPECT_THAT(refusal(sequence(kBytes)), HasSubstr("ByteLevel"));
  EXPECT_THAT(refusal(R"({"type": "Sequence", "pretokenizers": []})"), HasSubstr("pretokenizers"));
  EXPECT_THAT(refusal(sequence(R"({"type": "Split", "pattern": {"Glob": "a"}, "behavior": "Isolated"})")),
              HasSubstr("\"Regex\" or \"String\""));
}

// 2^n steps for one match, and one match for each character that each look at all the rest.
TEST(SplitRules, PatternsThatWouldTakeForEverAreStopped) {
  EXPECT_THAT(refusal(sequence(split("(?:a|aa)+\\d")), std::string(200, 'a')), HasSubstr("steps for one match"));
  const std::string hostile = refusal(sequence(split("(?=(a|.)*b)|a")), std::string(1 << 18, 'a'));
  EXPECT_THAT(hostile, HasSubstr("the pattern \"(?=(a|.)*b)|a\""));
  EXPECT_THAT(hostile, HasSubstr("262144 bytes"));
}

TEST(SplitRules, LongRunsAreNoTrouble) {
  const std::string run(1 << 20, 'a');
  EXPECT_EQ(by("[a-z]+", run).size(), 1u);
  EXPECT_EQ(by("(?:[a-z]|[0-9])+", run).size(), 1u);
  EXPECT_EQ(by("\\s+(?!\\S)|\\s+", std::string(1 << 20, ' ') + "x").size(), 3u);
  EXPECT_EQ(by("a", run).size(), run.size());
}

}  // namespace
}  // namespace minimax::text
