// SplitRules: how a text is cut into the pieces that byte-pair encoding works on, as tokenizer.json's pre_tokenizer
// says.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "io/json.h"
#include "text/pretokenizer.h"
#include "text/split/regex.h"

namespace minimax::text {

/// What becomes of a pattern's matches, in the words of the files.
enum class SplitBehavior : uint8_t {
  kIsolated,            ///< each a piece of its own, and what lies between them
  kRemoved,             ///< they are left out of the text
  kMergedWithPrevious,  ///< each ends the piece before it; of several in a row only the first does
  kMergedWithNext,      ///< each begins the piece behind it; of several in a row only the last does
  kContiguous,          ///< those in a row are one piece
};

/// One way of cutting, applied to every piece that the ones before it left.
struct SplitStep {
  std::variant<SplitPattern, Regex> pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  ///< matches and what lies between them change places
};

class SplitRules {
 public:
  /// One published pattern, cut by the scanner of pretokenizer.h.
  explicit SplitRules(SplitPattern pattern = SplitPattern::kO200k) : published_(pattern) {}
  explicit SplitRules(std::vector<SplitStep> steps);

  /// Reads a pre_tokenizer: ByteLevel, or a Sequence of Split and Digits that ends in ByteLevel. Any pattern that can
  /// be compiled is taken. Throws kInvalidArgument naming the place for other types and for options that are not
  /// supported.
  static SplitRules read(const io::JsonField& pre_tokenizer);

  /// The pattern, when cutting by it alone is all there is to do: then piece_end() is the way.
  std::optional<SplitPattern> published() const { return published_; }
  /// True when no text is left out. Where it is false, encoded text may decode to less.
  bool keeps_all() const;
  /// The pieces in turn, none empty. Throws as RegexMatcher::for_each_match does.
  void for_each_piece(std::string_view text, const std::function<void(std::string_view)>& piece) const;
  /// For people: "o200k pattern", "3 steps of its own".
  std::string description() const;

 private:
  std::optional<SplitPattern> published_;
  std::vector<SplitStep> steps_;
};

}  // namespace minimax::text
