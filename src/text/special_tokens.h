// Tokens that are added to a vocabulary by their text: the table, the search for them, and MiniMax-M1's published ones.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace minimax::text {

/// `special`: a control token, which user text must not produce and decoding may leave out. Others (some models add
/// words this way) are plain text with an id of their own. An empty text: a reserved id whose text is not known.
struct AddedToken {
  int32_t id;
  std::string text;
  bool special = true;
};

/// Ordinary tokens of MiniMax-M1's vocabulary: 256 bytes and 199,744 merges.
inline constexpr int64_t kMiniMaxM1OrdinaryTokens = 200000;
/// Special ids of MiniMax-M1 and MiniMax-Text-01, 200000 to 200063, with the texts that are known.
std::vector<AddedToken> minimax_m1_special_tokens();

/// Texts that end a generation of MiniMax-M1 besides its eos, as a defence.
inline constexpr std::array<std::string_view, 3> kDefensiveStops = {"<begin_of_document>", "<beginning_of_sentence>",
                                                                    "<end_of_document>"};

/// Finds given texts in a text, leftmost first and the longest of those.
class TokenMatcher {
 public:
  struct Match {
    size_t begin;
    size_t length;
    int32_t id;
  };

  TokenMatcher() = default;
  /// Tokens with an empty text are left out; no text twice.
  explicit TokenMatcher(std::span<const AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }
  /// The first match that begins at `from` or later.
  std::optional<Match> next(std::string_view text, size_t from) const;
  /// The token with exactly this text.
  std::optional<int32_t> find(std::string_view text) const;

 private:
  std::vector<AddedToken> tokens_;  // ascending by text
  std::array<bool, 256> starts_{};  // by first byte
};

}  // namespace minimax::text
