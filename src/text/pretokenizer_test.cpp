#include "text/pretokenizer.h"

#include <gtest/gtest.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cctype>
#include <memory>
#include <string>
#include <vector>

#include "core/rng.h"
#include "text/unicode_tables.h"

namespace minimax::text {
namespace {

constexpr SplitPattern kPatterns[] = {SplitPattern::kO200k, SplitPattern::kO200kNoSlash, SplitPattern::kCl100k,
                                      SplitPattern::kQwen2, SplitPattern::kGpt2};

std::vector<std::string> pieces(SplitPattern pattern, const std::string& text) {
  std::vector<std::string> out;
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p < end) {
    const char* next = piece_end(pattern, p, end);
    EXPECT_GT(next, p);
    EXPECT_LE(next, end);
    if (next <= p) break;
    out.emplace_back(p, next);
    p = next;
  }
  return out;
}

void append_utf8(uint32_t c, std::string& out) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
  } else if (c < 0x10000) {
    out += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
            static_cast<char>(0x80 | (c & 63))};
  } else {
    out += {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
            static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
  }
}

/// The oracle: the published regular expression run by PCRE2's JIT.
class Oracle {
 public:
  explicit Oracle(std::string_view regex) {
    int error = 0;
    PCRE2_SIZE where = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(regex.data()), regex.size(), PCRE2_UTF | PCRE2_UCP, &error,
                              &where, nullptr));
    EXPECT_TRUE(code_) << regex << " at " << where;
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
    match_.reset(pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    context_.reset(pcre2_match_context_create(nullptr));
    stack_.reset(pcre2_jit_stack_create(1 << 16, 8 << 20, nullptr));
    pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
  }

  std::vector<std::string> pieces(const std::string& text) const {
    std::vector<std::string> out;
    for (size_t at = 0; at < text.size();) {
      const int rc = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, 0,
                                 match_.get(), context_.get());
      EXPECT_GT(rc, 0);
      const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match_.get());
      EXPECT_EQ(bounds[0], at);
      if (rc <= 0 || bounds[1] <= at) break;
      out.push_back(text.substr(at, bounds[1] - at));
      at = bounds[1];
    }
    return out;
  }

 private:
  template <auto kFree>
  struct Free {
    template <typename T>
    void operator()(T* p) const {
      kFree(p);
    }
  };
  std::unique_ptr<pcre2_code, Free<pcre2_code_free_8>> code_;
  std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free_8>> match_;
  std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free_8>> context_;
  std::unique_ptr<pcre2_jit_stack, Free<pcre2_jit_stack_free_8>> stack_;
};

TEST(UnicodeTables, AgreeWithPcre2OnEveryCodePoint) {
  // One class a bracket; U+180E is left out, since PCRE2 10.42 counts it as \s and Unicode does not.
  const Oracle upper(R"([\p{Lu}\p{Lt}])"), lower(R"(\p{Ll})"), letter(R"([\p{Lm}\p{Lo}])"), mark(R"(\p{M})"),
      number(R"(\p{N})"), space(R"([^\S\r\n])"), newline(R"([\r\n])"), symbol(R"([^\p{L}\p{M}\p{N}\s])");
  const Oracle* const oracles[] = {&symbol, &upper, &lower, &letter, &mark, &number, &space, &newline};
  // A match that does not start where it is asked fails inside Oracle::pieces, so class is the only thing looked at.
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if ((c >= 0xD800 && c < 0xE000) || c == 0x180E) continue;
    std::string text;
    append_utf8(c, text);
    const auto got = oracles[static_cast<int>(char_class(c))]->pieces(text);
    ASSERT_EQ(got, std::vector{text}) << "U+" << std::hex << c;
  }
  EXPECT_EQ(char_class(0x180E), CharClass::kSymbol);
}

TEST(Pretokenizer, ReadsItsOwnRegexes) {
  for (SplitPattern pattern : kPatterns) EXPECT_EQ(recognise_pattern(regex_of(pattern)), pattern);
  EXPECT_FALSE(recognise_pattern("\\s+"));
  EXPECT_FALSE(recognise_pattern(""));
}

TEST(Pretokenizer, CutsAsDocumented) {
  using V = std::vector<std::string>;
  const auto o200k = [](const std::string& text) { return pieces(SplitPattern::kO200k, text); };
  EXPECT_EQ(o200k("camelCaseHTTPServer"), (V{"camel", "Case", "HTTPServer"}));
  EXPECT_EQ(o200k("I'M O'Neil they'll've"), (V{"I'M", " O", "'Neil", " they'll", "'ve"}));
  EXPECT_EQ(o200k("x = 12345;\r\n\r\n  y"), (V{"x", " =", " ", "123", "45", ";\r\n\r\n", " ", " y"}));
  EXPECT_EQ(o200k("a  \n\n  b  "), (V{"a", "  \n\n", " ", " b", "  "}));
  EXPECT_EQ(o200k("//\n/x"), (V{"//\n/", "x"}));
  EXPECT_EQ(pieces(SplitPattern::kO200kNoSlash, "//\n/x"), (V{"//\n", "/x"}));
  EXPECT_EQ(o200k("\u4e2dABC"), (V{"\u4e2d", "ABC"}));  // the first alternative gives ABC back
  EXPECT_EQ(o200k("\u4e2dABCd"), (V{"\u4e2dABCd"}));
  EXPECT_EQ(o200k("\u0301AB"), (V{"\u0301", "AB"}));
  EXPECT_EQ(o200k("it'\u017f"), (V{"it'\u017f"}));  // the long s folds to s
  EXPECT_EQ(pieces(SplitPattern::kGpt2, "we'Ve  we've\n\n1234"),
            (V{"we", "'", "Ve", " ", " we", "'ve", "\n", "\n", "1234"}));
}

TEST(Pretokenizer, InvalidBytesAreSymbols) {
  using V = std::vector<std::string>;
  EXPECT_EQ(pieces(SplitPattern::kO200k, "\xFF\xFE ab"), (V{"\xFF\xFE", " ab"}));
  EXPECT_EQ(pieces(SplitPattern::kO200k, "a\xE4\xB8"), (V{"a", "\xE4\xB8"}));
  EXPECT_EQ(pieces(SplitPattern::kO200k,
                   "\x80"
                   "ab"),
            (V{"\x80"
               "ab"}));                                                                // a word's one-character prefix
  EXPECT_EQ(pieces(SplitPattern::kO200k, "\xED\xA0\x80 "), (V{"\xED\xA0\x80", " "}));  // a surrogate
}

/// Characters that the patterns' alternatives fight over.
const std::vector<uint32_t>& tricky_alphabet() {
  static const std::vector<uint32_t> alphabet = {
      ' ',    ' ',    '\n',    '\r',    '\t',    '/',     '\'',    's',     'T',     'r',    'E',    'v',
      'e',    'l',    'L',     'm',     'D',     'a',     'B',     'Z',     '1',     '2',    '.',    '-',
      '_',    '{',    0x85,    0xA0,    0xB2,    0xDF,    0xE9,    0xC9,    0x17F,   0x1C5,  0x1C8,  0x2B0,
      0x301,  0x300,  0x410,   0x430,   0x5D0,   0x660,   0x93E,   0x915,   0xE01,   0x1100, 0x2003, 0x200B,
      0x200D, 0x2028, 0x2160,  0x212A,  0x3000,  0x3042,  0x4E2D,  0x56FD,  0xAC00,  0xE000, 0xFE0F, 0xFF21,
      0xFF41, 0xFFFD, 0x10400, 0x10428, 0x1D7CE, 0x1F600, 0x1F469, 0x20000, 0xE0100, 0x378,  0x0,    0x7F};
  return alphabet;
}

std::string random_text(Rng& rng, int characters) {
  // A few characters only, in runs, so that long backtracking happens.
  const auto& alphabet = tricky_alphabet();
  std::vector<uint32_t> few;
  for (uint64_t i = 2 + rng.below(6); i > 0; --i) few.push_back(alphabet[rng.below(alphabet.size())]);
  std::string text;
  while (characters > 0) {
    const uint32_t c = rng.below(20) == 0 ? static_cast<uint32_t>(rng.below(0x2FA20)) : few[rng.below(few.size())];
    if ((c >= 0xD800 && c < 0xE000) || c == 0x180E) continue;
    for (uint64_t run = rng.below(4) == 0 ? rng.below(5) : 1; run > 0 && characters > 0; --run, --characters)
      append_utf8(c, text);
  }
  return text;
}

class AgainstPcre2 : public testing::TestWithParam<SplitPattern> {};

TEST_P(AgainstPcre2, SamePiecesOnRandomText) {
  const Oracle oracle(regex_of(GetParam()));
  constexpr uint64_t kSeed = 20240607;
  Rng rng(kSeed, static_cast<uint64_t>(GetParam()));
  int64_t count = 0;
  for (int round = 0; round < 40000; ++round) {
    const std::string text = random_text(rng, 1 + static_cast<int>(rng.below(200)));
    const auto expected = oracle.pieces(text);
    ASSERT_EQ(pieces(GetParam(), text), expected) << "round " << round << " of seed " << kSeed << ": " << text;
    count += static_cast<int64_t>(expected.size());
  }
  RecordProperty("pieces", std::to_string(count));
  EXPECT_GT(count, 1000000);
}

INSTANTIATE_TEST_SUITE_P(Pretokenizer, AgainstPcre2, testing::ValuesIn(kPatterns), [](const auto& info) {
  std::string name(to_string(info.param));
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
});

TEST(Pretokenizer, LinearOnHostileText) {
  // A scanner that gives back what it read and reads it again would need minutes here.
  for (SplitPattern pattern : kPatterns)
    for (const char* unit : {"a", "A", " ", "\n", "\u0301", "\u4e2dA", "\t ", "'", "/\n", "1", "\xFF", " \n"}) {
      std::string text;
      while (text.size() < (1u << 20)) text += unit;
      text += "x";
      size_t total = 0;
      for (const char *p = text.data(), *end = p + text.size(); p < end;) {
        const char* next = piece_end(pattern, p, end);
        total += static_cast<size_t>(next - p);
        p = next;
      }
      EXPECT_EQ(total, text.size());
    }
}

}  // namespace
}  // namespace minimax::text
