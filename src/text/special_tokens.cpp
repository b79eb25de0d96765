#include "text/special_tokens.h"

#include <algorithm>

namespace minimax::text {

std::vector<AddedToken> minimax_m1_special_tokens() {
  // The turn markers are certain: the chat template, tokenizer_config.json and the published eos id use them. The other
  // texts are those of later models of the family in the same places.
  static constexpr const char* kTexts[] = {
      "",  // 200000
      "<fim_prefix>",
      "<fim_middle>",
      "<fim_suffix>",
      "<fim_pad>",
      "<reponame>",
      "<filename>",
      "<gh_stars>",
      "<issue_start>",
      "<issue_comment>",
      "<issue_closed>",
      "<jupyter_start>",
      "<jupyter_text>",
      "<jupyter_code>",
      "<jupyter_output>",
      "<empty_output>",
      "<commit_before>",
      "<commit_msg>",
      "<commit_after>",
      "<beginning_of_sentence>",  // 200019
      "<end_of_sentence>",
      "<end_of_document>",
      "<function_call>",
      "<code_interpreter>",
  };
  std::vector<AddedToken> tokens;
  for (int32_t i = 0; i < 64; ++i) {
    const char* text = i < static_cast<int32_t>(std::size(kTexts)) ? kTexts[i] : i == 34 ? "<begin_of_document>" : "";
    tokens.push_back({static_cast<int32_t>(kMiniMaxM1OrdinaryTokens) + i, text, true});
  }
  return tokens;
}

TokenMatcher::TokenMatcher(std::span<const AddedToken> tokens) {
  for (const AddedToken& token : tokens) {
    if (token.text.empty()) continue;
    tokens_.push_back(token);
    starts_[static_cast<unsigned char>(token.text[0])] = true;
  }
  std::sort(tokens_.begin(), tokens_.end(), [](const auto& a, const auto& b) { return a.text < b.text; });
}

std::optional<TokenMatcher::Match> TokenMatcher::next(std::string_view text, size_t from) const {
  if (tokens_.empty()) return std::nullopt;
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    // Narrow the sorted tokens to those that share ever more bytes with the text.
    std::optional<Match> longest;
    auto first = tokens_.begin(), last = tokens_.end();
    for (size_t depth = 0; first != last && begin + depth < text.size(); ++depth) {
      const auto wanted = static_cast<unsigned char>(text[begin + depth]);
      const auto byte = [depth](const AddedToken& t) { return static_cast<unsigned char>(t.text[depth]); };
      first =
          std::partition_point(first, last, [&](const auto& t) { return t.text.size() <= depth || byte(t) < wanted; });
      last = std::partition_point(first, last, [&](const auto& t) { return byte(t) == wanted; });
      if (first != last && first->text.size() == depth + 1) longest = Match{begin, depth + 1, first->id};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

std::optional<int32_t> TokenMatcher::find(std::string_view text) const {
  const auto at = std::lower_bound(tokens_.begin(), tokens_.end(), text,
                                   [](const AddedToken& token, std::string_view t) { return token.text < t; });
  if (at == tokens_.end() || at->text != text) return std::nullopt;
  return at->id;
}

}  // namespace minimax::text
