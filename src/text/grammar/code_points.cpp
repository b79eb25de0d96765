#include "text/grammar/code_points.h"

#include <algorithm>
#include <map>
#include <string>

#include "core/error.h"
#include "io/json.h"

namespace minimax::text::grammar {
namespace {

using Range = CodePoints::Range;

constexpr uint32_t kFirstSurrogate = 0xD800, kLastSurrogate = 0xDFFF;

std::vector<Range> clipped(std::span<const Range> ranges, uint32_t first, uint32_t last) {
  std::vector<Range> out;
  for (const Range& range : ranges)
    if (range.first <= last && range.last >= first)
      out.push_back({std::max(range.first, first) - first, std::min(range.last, last) - first});
  return out;
}

// Strings of `count` continuation bytes whose value, six bits a byte, is in `ranges`.
RegexId continuation(RegexPool& pool, std::span<const Range> ranges, int count) {
  if (ranges.empty()) return RegexPool::kNothing;
  if (count == 0) return RegexPool::kEmpty;
  const uint32_t below = uint32_t{1} << (6 * (count - 1));
  if (ranges[0].first == 0 && ranges[0].last == 64 * below - 1)
    return pool.concat(pool.bytes(ByteSet::range(0x80, 0xBF)),
                       count == 1 ? RegexPool::kEmpty : continuation(pool, clipped(ranges, 0, below - 1), count - 1));
  std::map<RegexId, ByteSet> by_rest;  // leading bytes with the same rest are one set
  for (uint32_t digit = 0; digit < 64; ++digit) {
    const RegexId rest = continuation(pool, clipped(ranges, digit * below, (digit + 1) * below - 1), count - 1);
    if (rest != RegexPool::kNothing) by_rest[rest].add(static_cast<uint8_t>(0x80 + digit));
  }
  std::vector<RegexId> parts;
  for (const auto& [rest, bytes] : by_rest) parts.push_back(pool.concat(pool.bytes(bytes), rest));
  return pool.alt(parts);
}

RegexId utf8(RegexPool& pool, const CodePoints& set) {
  struct Length {
    uint32_t first, last;  // code points of this length
    uint8_t lead;
    int continuations;
  };
  constexpr Length kLengths[] = {
      {0x80, 0x7FF, 0xC0, 1}, {0x800, 0xFFFF, 0xE0, 2}, {0x10000, CodePoints::kLast, 0xF0, 3}};
  const CodePoints valid = set.without({kFirstSurrogate, kLastSurrogate});
  ByteSet ascii;
  for (uint32_t c = 0; c < 0x80; ++c)
    if (valid.has(c)) ascii.add(static_cast<uint8_t>(c));
  std::vector<RegexId> parts{pool.bytes(ascii)};
  for (const Length& length : kLengths) {
    std::map<RegexId, ByteSet> by_rest;
    const uint32_t per_lead = uint32_t{1} << (6 * length.continuations);
    for (uint32_t lead = length.first / per_lead; lead <= length.last / per_lead; ++lead) {
      const uint32_t first = std::max(lead * per_lead, length.first);
      const uint32_t last = std::min((lead + 1) * per_lead - 1, length.last);
      std::vector<Range> ranges;
      for (const Range& range : clipped(valid.ranges(), first, last))
        ranges.push_back({range.first + first - lead * per_lead, range.last + first - lead * per_lead});
      const RegexId rest = continuation(pool, ranges, length.continuations);
      if (rest != RegexPool::kNothing) by_rest[rest].add(static_cast<uint8_t>(length.lead | lead));
    }
    for (const auto& [rest, bytes] : by_rest) parts.push_back(pool.concat(pool.bytes(bytes), rest));
  }
  return pool.alt(parts);
}

CodePoints needing_escape() {
  CodePoints set(0, 0x1F);
  set.add('"', '"');
  set.add('\\', '\\');
  return set;
}

ByteSet hex_digits() {
  return ByteSet::range('0', '9') | ByteSet::range('a', 'f') | ByteSet::range('A', 'F');
}

ByteSet hex_digit(uint32_t value) {
  const char* const digits = "0123456789abcdef";
  ByteSet set = ByteSet::of(static_cast<uint8_t>(digits[value]));
  if (value >= 10) set.add(static_cast<uint8_t>(digits[value] - 'a' + 'A'));
  return set;
}

}  // namespace

CodePoints CodePoints::any_of(std::u32string_view characters) {
  CodePoints out;
  for (const char32_t c : characters) out.add(c, c);
  return out;
}

void CodePoints::add(uint32_t first, uint32_t last) {
  if (ranges_.empty() || ranges_.back().last + 1 < first) {
    ranges_.push_back({first, last});
    return;
  }
  ranges_.push_back({first, last});
  std::ranges::sort(ranges_, {}, &Range::first);
  size_t out = 0;
  for (size_t i = 1; i < ranges_.size(); ++i) {
    if (ranges_[i].first <= ranges_[out].last + 1)
      ranges_[out].last = std::max(ranges_[out].last, ranges_[i].last);
    else
      ranges_[++out] = ranges_[i];
  }
  ranges_.resize(out + 1);
}

void CodePoints::add(const CodePoints& other) {
  for (const Range& range : std::vector<Range>(other.ranges_)) add(range.first, range.last);
}

CodePoints CodePoints::complement() const {
  CodePoints out;
  uint32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) out.ranges_.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLast) out.ranges_.push_back({next, kLast});
  return out;
}

CodePoints CodePoints::without(const CodePoints& other) const {
  CodePoints kept = complement();
  kept.add(other);
  return kept.complement();
}

bool CodePoints::has(uint32_t code_point) const {
  const auto after = std::ranges::upper_bound(ranges_, code_point, {}, &Range::first);
  return after != ranges_.begin() && std::prev(after)->last >= code_point;
}

RegexId spelled(RegexPool& pool, const CodePoints& set, Spelling spelling) {
  if (spelling == Spelling::kPlain) return utf8(pool, set);
  std::vector<RegexId> parts{utf8(pool, set.without(needing_escape()))};
  ByteSet short_escapes;
  constexpr std::pair<uint32_t, char> kShort[] = {{'"', '"'},  {'\\', '\\'}, {'\b', 'b'}, {'\t', 't'},
                                                  {'\n', 'n'}, {'\f', 'f'},  {'\r', 'r'}};
  for (const auto& [code_point, letter] : kShort)
    if (set.has(code_point)) short_escapes.add(static_cast<uint8_t>(letter));
  std::vector<RegexId> escapes{pool.bytes(short_escapes)};
  for (uint32_t c = 0; c < 0x20; ++c) {
    if (!set.has(c) || std::ranges::any_of(kShort, [c](const auto& pair) { return pair.first == c; })) continue;
    escapes.push_back(
        pool.concat(std::array{pool.literal("u00"), pool.bytes(hex_digit(c / 16)), pool.bytes(hex_digit(c % 16))}));
  }
  parts.push_back(pool.concat(pool.literal("\\"), pool.alt(escapes)));
  return pool.alt(parts);
}

std::string spelled(std::string_view text, Spelling spelling) {
  if (spelling == Spelling::kPlain) return std::string(text);
  const std::string quoted = io::write_json_string(text);
  return quoted.substr(1, quoted.size() - 2);
}

RegexId json_character(RegexPool& pool) {
  const RegexId hex = pool.bytes(hex_digits());
  ByteSet not_d = hex_digits();
  not_d.words['D' >> 6] &= ~(uint64_t{1} << ('D' & 63));
  not_d.words['d' >> 6] &= ~(uint64_t{1} << ('d' & 63));
  const auto digits = [&](uint8_t first, uint8_t last) {
    ByteSet set;
    for (uint8_t value = first; value <= last; ++value) set = set | hex_digit(value);
    return pool.bytes(set);
  };
  const RegexId d = pool.bytes(hex_digit(0xD)), hex2 = pool.repeat(hex, 2, 2);
  const RegexId unit =
      pool.alt(pool.concat(pool.bytes(not_d), pool.repeat(hex, 3, 3)), pool.concat(std::array{d, digits(0, 7), hex2}));
  const RegexId pair = pool.concat(std::array{d, digits(8, 0xB), hex2, pool.literal("\\u"), d, digits(0xC, 0xF), hex2});
  ByteSet letters;
  for (const char c : std::string_view("\"\\/bfnrt")) letters.add(static_cast<uint8_t>(c));
  const RegexId escape = pool.alt(pool.bytes(letters), pool.concat(pool.literal("u"), pool.alt(unit, pair)));
  return pool.alt(utf8(pool, CodePoints::all().without(needing_escape())), pool.concat(pool.literal("\\"), escape));
}

}  // namespace minimax::text::grammar
