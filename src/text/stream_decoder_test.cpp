#include "text/stream_decoder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/rng.h"
#include "text/utf8.h"

namespace minimax::text {
namespace {

using Ids = std::vector<int32_t>;

const Tokenizer& m1() {
  static const Tokenizer tokenizer = Tokenizer::load(std::filesystem::path(MINIMAX_TESTDATA) / "tokenizer");
  return tokenizer;
}

bool is_valid_utf8(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.data() + at, text.data() + text.size());
    if (c.code_point == kInvalidCodePoint) return false;
    at += c.length;
  }
  return true;
}

/// Pushes all ids; every part must be whole characters.
std::string stream(const Ids& ids, SpecialTokens specials) {
  StreamDecoder decoder(m1(), specials);
  std::string out;
  for (const int32_t id : ids) {
    const std::string part = decoder.push(id);
    EXPECT_TRUE(is_valid_utf8(part));
    out += part;
  }
  return out + decoder.flush();
}

TEST(StreamDecoder, HoldsBackHalfACharacter) {
  StreamDecoder decoder(m1());
  EXPECT_EQ(decoder.push('a'), "a");
  EXPECT_EQ(decoder.push(0xE4), "");
  EXPECT_TRUE(decoder.pending());
  EXPECT_EQ(decoder.push(0xBD), "");
  EXPECT_EQ(decoder.push(0xA0), "\u4f60");
  EXPECT_FALSE(decoder.pending());
  EXPECT_EQ(decoder.flush(), "");
}

TEST(StreamDecoder, ReplacesWhatCanNoLongerBecomeACharacter) {
  StreamDecoder decoder(m1());
  EXPECT_EQ(decoder.push(0xF0), "");
  EXPECT_EQ(decoder.push(0x9F), "");
  EXPECT_EQ(decoder.push('x'), "\uFFFDx");
  EXPECT_EQ(decoder.push(0xFF), "\uFFFD");  // never begins one
  EXPECT_EQ(decoder.push(0xE0), "");
  EXPECT_EQ(decoder.push(0x80), "\uFFFD\uFFFD");  // overlong
  EXPECT_EQ(decoder.push(0xC3), "");
  EXPECT_EQ(decoder.push(0xC3), "\uFFFD");
  EXPECT_EQ(decoder.push(0xA9), "\u00e9");
  EXPECT_EQ(decoder.push(0xC3), "");
  EXPECT_EQ(decoder.flush(), "\uFFFD");
  EXPECT_EQ(decoder.push(0xA9), "\uFFFD");  // flush left nothing behind
}

TEST(StreamDecoder, SpecialTokensAndUnknownIds) {
  StreamDecoder skip(m1()), keep(m1(), SpecialTokens::kKeep);
  EXPECT_EQ(skip.push(200020), "");
  EXPECT_EQ(keep.push(200020), "<end_of_sentence>");
  EXPECT_EQ(keep.push(0xC3), "");
  EXPECT_EQ(keep.push(200020), "\uFFFD<end_of_sentence>");
  EXPECT_EQ(skip.push(1 << 29), "");
  EXPECT_EQ(skip.push(-1), "");
}

TEST(StreamDecoder, TheStreamIsTheDecodedText) {
  Rng rng(5);
  for (int round = 0; round < 3000; ++round) {
    Ids ids;
    for (uint64_t n = rng.below(40); n > 0; --n) {
      const uint64_t kind = rng.below(8);
      ids.push_back(static_cast<int32_t>(kind == 0   ? 200000 + rng.below(64)
                                         : kind == 1 ? rng.below(200000)
                                         : kind < 4  ? 0xC0 + rng.below(0x40)
                                                     : 0x80 + rng.below(0x40)));
    }
    for (const SpecialTokens specials : {SpecialTokens::kSkip, SpecialTokens::kKeep})
      ASSERT_EQ(stream(ids, specials), m1().decode(ids, specials));
  }
}

TEST(StreamDecoder, TextArrivesWhole) {
  const std::string text = "Hello \u4f60\u597d \U0001F469\u200D\U0001F467 \u0939\u093f\u0928\u094d\u0926\u0940 \u00e9";
  EXPECT_EQ(stream(m1().encode(text), SpecialTokens::kSkip), text);
  Ids bytes;
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  EXPECT_EQ(stream(bytes, SpecialTokens::kSkip), text);
}

}  // namespace
}  // namespace minimax::text
