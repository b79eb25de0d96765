// Regex: any regular expression of a tokenizer.json over UTF-8 text, by PCRE2, in time bounded by the text's length.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace minimax::text {

/// Immutable; every const method may be called from many threads at once. Copies share what was compiled.
class Regex {
 public:
  enum class Syntax {
    kOniguruma,  ///< as files spell it (oniguruma.h)
    kLiteral,    ///< the text itself
  };
  /// Throws kInvalidArgument naming `what`, the pattern, the place in it and what is wrong there.
  Regex(std::string_view pattern, Syntax syntax, std::string_view what);

  static constexpr double kSecondsPerMegabyte = 5;

 private:
  friend class RegexMatcher;
  struct Code;
  std::shared_ptr<const Code> code_;
};

/// Finds a pattern's matches in texts of one thread that have `bytes` together.
class RegexMatcher {
 public:
  RegexMatcher(const Regex& regex, size_t bytes);
  ~RegexMatcher();

  /// The matches, leftmost first, none overlapping: found(begin, end) with byte offsets. An empty match counts unless
  /// the one before it ends there. Bytes that are no part of valid UTF-8 match nothing.
  /// Throws kInvalidArgument naming the pattern and the bytes when one match takes more than a bounded number of steps,
  /// or all of them more than Regex::kSecondsPerMegabyte of this thread's processor time for each megabyte: patterns
  /// exist that take hours for a megabyte.
  void for_each_match(std::string_view text, const std::function<void(size_t begin, size_t end)>& found);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace minimax::text
