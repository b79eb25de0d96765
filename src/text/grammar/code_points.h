// Sets of Unicode code points, and the bytes they are written in: as plain UTF-8, or inside a JSON string.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/grammar/regex_pool.h"

namespace minimax::text::grammar {

/// Ascending ranges that neither touch nor overlap. Surrogates may be members and are dropped when bytes are made.
class CodePoints {
 public:
  struct Range {
    uint32_t first, last;
    bool operator==(const Range&) const = default;
  };
  static constexpr uint32_t kLast = 0x10FFFF;

  CodePoints() = default;
  CodePoints(uint32_t first, uint32_t last) : ranges_{{first, last}} {}
  static CodePoints all() { return {0, kLast}; }
  static CodePoints any_of(std::u32string_view characters);

  void add(uint32_t first, uint32_t last);
  void add(const CodePoints& other);
  CodePoints complement() const;
  CodePoints without(const CodePoints& other) const;
  bool has(uint32_t code_point) const;
  bool empty() const { return ranges_.empty(); }
  std::span<const Range> ranges() const { return ranges_; }
  bool operator==(const CodePoints&) const = default;

 private:
  std::vector<Range> ranges_;
};

/// How characters become bytes.
enum class Spelling : uint8_t {
  kPlain,  ///< UTF-8
  /// Inside a JSON string, each character in one way but for the case of hexadecimal digits: itself where JSON allows
  /// that, else the short escape, else \u00XX. So a language of strings is the language of their values.
  kJson,
};

/// One character of the set.
RegexId spelled(RegexPool& pool, const CodePoints& set, Spelling spelling);
/// `text`, which is UTF-8, spelled so.
std::string spelled(std::string_view text, Spelling spelling);

/// One character of a JSON string in every way that JSON allows: escapes too, surrogates in pairs only.
RegexId json_character(RegexPool& pool);

}  // namespace minimax::text::grammar
