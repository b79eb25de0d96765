#include "text/pretokenizer.h"

#include <array>
#include <cstdint>

#include "text/unicode_tables.h"
#include "text/utf8.h"

namespace minimax::text {

namespace {

constexpr uint32_t bit(CharClass c) {
  return 1u << static_cast<int>(c);
}
constexpr uint32_t kCased = bit(CharClass::kUpper) | bit(CharClass::kLower);
constexpr uint32_t kLetters = kCased | bit(CharClass::kLetter);                  // \p{L}
constexpr uint32_t kCaseless = bit(CharClass::kLetter) | bit(CharClass::kMark);  // in both of o200k's word sets
constexpr uint32_t kSpaces = bit(CharClass::kSpace) | bit(CharClass::kNewline);  // \s
constexpr uint32_t kSymbols = bit(CharClass::kSymbol) | bit(CharClass::kMark);   // [^\s\p{L}\p{N}]
constexpr uint32_t kPrefix = bit(CharClass::kSymbol) | bit(CharClass::kMark) | bit(CharClass::kSpace);  // before a word
constexpr uint32_t kNumbers = bit(CharClass::kNumber);

// Class bits of ASCII, so that most text never decodes a character.
constexpr std::array<uint8_t, 128> kAscii = [] {
  std::array<uint8_t, 128> table{};
  for (int c = 0; c < 128; ++c) {
    CharClass k = CharClass::kSymbol;
    if (c >= 'A' && c <= 'Z') k = CharClass::kUpper;
    if (c >= 'a' && c <= 'z') k = CharClass::kLower;
    if (c >= '0' && c <= '9') k = CharClass::kNumber;
    if (c == ' ' || (c >= 9 && c <= 13)) k = CharClass::kSpace;
    if (c == '\r' || c == '\n') k = CharClass::kNewline;
    table[c] = static_cast<uint8_t>(bit(k));
  }
  return table;
}();

/// Class bit and length of the character at p; bits 0 at the end of the text, so that no set contains it.
struct Char {
  uint32_t bits;
  uint32_t length;
};

inline Char char_at(const char* p, const char* end) {
  if (p >= end) return {0, 0};
  const auto byte = static_cast<unsigned char>(*p);
  if (byte < 0x80) return {kAscii[byte], 1};
  const Utf8Char c = decode_utf8(p, end);
  if (c.code_point == kInvalidCodePoint) return {bit(CharClass::kSymbol), 1};
  return {bit(char_class(c.code_point)), c.length};
}

/// Past the characters at p whose class is in `set`.
inline const char* skip(const char* p, const char* end, uint32_t set) {
  for (Char c; ((c = char_at(p, end)).bits & set) != 0;) p += c.length;
  return p;
}

inline const char* skip_newlines(const char* p, const char* end, bool slash) {
  while (p < end && (*p == '\r' || *p == '\n' || (slash && *p == '/'))) ++p;
  return p;
}

inline const char* skip_digits(const char* p, const char* end, int most) {
  for (Char c; most > 0 && ((c = char_at(p, end)).bits & kNumbers) != 0; --most) p += c.length;
  return p;
}

/// Length of 's 't 're 've 'm 'll 'd at p, 0 when there is none. Any case means Unicode's folding: the long s is an s.
inline int contraction(const char* p, const char* end, bool any_case) {
  if (end - p < 2 || *p != '\'') return 0;
  const auto lower = [any_case](char c) { return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c; };
  const char first = lower(p[1]);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (end - p < 3) return 0;
  const char second = lower(p[2]);
  if (((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l')) return 3;
  return any_case && p[1] == '\xC5' && p[2] == '\xBF' ? 3 : 0;
}

/// The white-space alternatives at p, which is white space. With `newlines`: up to the last newline of the run when it
/// has one (\s*[\r\n]+). Else the run (\s+(?!\S)), less its last character when something follows, unless that is all.
const char* space_end(const char* p, const char* end, bool newlines) {
  const char* after_newline = nullptr;
  const char* last = p;
  const char* q = p;
  for (Char c; ((c = char_at(q, end)).bits & kSpaces) != 0;) {
    last = q;
    q += c.length;
    if (c.bits == bit(CharClass::kNewline)) after_newline = q;
  }
  if (newlines && after_newline) return after_newline;
  return q == end || last == p ? q : last;
}

/// The first two alternatives of o200k behind their prefix: upper-case letters, then lower-case ones, caseless ones and
/// marks belonging to either. p is at one of them.
const char* o200k_word_end(const char* p, const char* end) {
  constexpr uint32_t kUppers = bit(CharClass::kUpper) | kCaseless;
  constexpr uint32_t kLowers = bit(CharClass::kLower) | kCaseless;
  const char* after_caseless = nullptr;
  Char c;
  for (; ((c = char_at(p, end)).bits & kUppers) != 0;) {
    p += c.length;
    if (c.bits & kCaseless) after_caseless = p;
  }
  // No lower-case letter after the run: the first alternative gives back upper-case letters down to the last caseless
  // one; when there is none, the second takes the run.
  if (c.bits & bit(CharClass::kLower))
    p = skip(p, end, kLowers);
  else if (after_caseless)
    p = after_caseless;
  return p + contraction(p, end, true);
}

const char* o200k_piece_end(const char* p, const char* end, bool slash) {
  constexpr uint32_t kWord = kLetters | bit(CharClass::kMark);
  const Char c = char_at(p, end);
  // A mark may be a word's prefix as well as its first letter: both readings end at the same place.
  if (c.bits & kWord) return o200k_word_end(p, end);
  if (c.bits & kNumbers) return skip_digits(p, end, 3);
  if (c.bits & kPrefix) {
    const char* q = p + c.length;
    const uint32_t next = char_at(q, end).bits;
    if (next & kWord) return o200k_word_end(q, end);
    if ((c.bits & kSymbols) || (*p == ' ' && (next & kSymbols)))
      return skip_newlines(skip(q, end, kSymbols), end, slash);
  }
  return space_end(p, end, true);
}

const char* cl100k_piece_end(const char* p, const char* end, int most_digits) {
  if (const int length = contraction(p, end, true)) return p + length;
  const Char c = char_at(p, end);
  if (c.bits & kLetters) return skip(p, end, kLetters);
  if (c.bits & kNumbers) return skip_digits(p, end, most_digits);
  if (c.bits & kPrefix) {
    const char* q = p + c.length;
    const uint32_t next = char_at(q, end).bits;
    if (next & kLetters) return skip(q, end, kLetters);
    if ((c.bits & kSymbols) || (*p == ' ' && (next & kSymbols)))
      return skip_newlines(skip(q, end, kSymbols), end, false);
  }
  return space_end(p, end, true);
}

const char* gpt2_piece_end(const char* p, const char* end) {
  if (const int length = contraction(p, end, false)) return p + length;
  const char* q = *p == ' ' ? p + 1 : p;
  const uint32_t first = char_at(q, end).bits;
  for (const uint32_t set : {kLetters, kNumbers, kSymbols})
    if (first & set) return skip(q, end, set);
  return space_end(p, end, false);
}

struct KnownPattern {
  SplitPattern pattern;
  std::string_view name;
  std::string_view regex;
};

#define O200K_WORD_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define O200K_WORD_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define CONTRACTIONS R"('s|'t|'re|'ve|'m|'ll|'d)"
#define O200K_WORDS                                                                  \
  R"([^\r\n\p{L}\p{N}]?)" O200K_WORD_UPPER "*" O200K_WORD_LOWER "+(?i:" CONTRACTIONS \
  ")?|"                                                                              \
  R"([^\r\n\p{L}\p{N}]?)" O200K_WORD_UPPER "+" O200K_WORD_LOWER "*(?i:" CONTRACTIONS ")?|"
#define SPACES R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define CL100K_WORDS "(?i:" CONTRACTIONS R"()|[^\r\n\p{L}\p{N}]?\p{L}+|)"

constexpr KnownPattern kKnownPatterns[] = {
    {SplitPattern::kO200k, "o200k", O200K_WORDS R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" SPACES},
    {SplitPattern::kO200kNoSlash, "o200k without slash", O200K_WORDS R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)" SPACES},
    {SplitPattern::kCl100k, "cl100k", CL100K_WORDS R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)" SPACES},
    {SplitPattern::kQwen2, "Qwen2", CL100K_WORDS R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)" SPACES},
    {SplitPattern::kGpt2, "GPT-2", CONTRACTIONS R"(| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
};

}  // namespace

std::string_view to_string(SplitPattern pattern) {
  return kKnownPatterns[static_cast<int>(pattern)].name;
}

std::string_view regex_of(SplitPattern pattern) {
  return kKnownPatterns[static_cast<int>(pattern)].regex;
}

std::optional<SplitPattern> recognise_pattern(std::string_view regex) {
  for (const KnownPattern& known : kKnownPatterns)
    if (known.regex == regex) return known.pattern;
  return std::nullopt;
}

const char* piece_end(SplitPattern pattern, const char* p, const char* end) {
  switch (pattern) {
    case SplitPattern::kO200k:
      return o200k_piece_end(p, end, true);
    case SplitPattern::kO200kNoSlash:
      return o200k_piece_end(p, end, false);
    case SplitPattern::kCl100k:
      return cl100k_piece_end(p, end, 3);
    case SplitPattern::kQwen2:
      return cl100k_piece_end(p, end, 1);
    case SplitPattern::kGpt2:
      return gpt2_piece_end(p, end);
  }
  return end;
}

}  // namespace minimax::text
