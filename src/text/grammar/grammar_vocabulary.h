// GrammarVocabulary: the tokens that constrained text is made of, prepared once for all grammars.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/grammar/regex_pool.h"
#include "text/grammar/token_trie.h"

namespace minimax::text {
class Tokenizer;
}

namespace minimax::text::grammar {

/// What tokens do from one state of a terminal, whatever stands around the terminal.
struct TerminalMask {
  std::vector<uint64_t> inside;      ///< tokens that stay inside or end exactly with it; empty when `ids` has them
  std::vector<int32_t> ids;          ///< the same as a list, when they are few
  const TokenTrie* tree = nullptr;   ///< of large_exits
  std::vector<int32_t> large_exits;  ///< nodes where the terminal may end and much may follow
  TokenTrie exits;                   ///< what may follow in all other tokens in which the terminal may end: their rests
  bool leaves = false;               ///< has exits of either kind
};

/// Words of 64 bits that a mask over `ids` ids takes.
inline size_t mask_words(int64_t ids) {
  return (static_cast<size_t>(ids) + 63) / 64;
}
inline void set_bit(std::span<uint64_t> words, int32_t id) {
  words[static_cast<size_t>(id) >> 6] |= uint64_t{1} << (id & 63);
}

}  // namespace minimax::text::grammar

namespace minimax::text {

/// Immutable; may be used from many threads at once.
class GrammarVocabulary {
 public:
  /// Ordinary tokens of `tokenizer`; its stop ids end an answer. `rows`: ids the model has logits for, which may be
  /// more than the tokenizer has; -1: as many as the tokenizer. About 20 MB for the 200,000 tokens of MiniMax-M1.
  explicit GrammarVocabulary(const Tokenizer& tokenizer, int64_t rows = -1);
  /// From texts by id, empty for ids that are never allowed, which `end_ids` may be among.
  GrammarVocabulary(std::vector<std::string> texts, std::vector<int32_t> end_ids);

  GrammarVocabulary(const GrammarVocabulary&) = delete;  // masks point into it
  GrammarVocabulary& operator=(const GrammarVocabulary&) = delete;

  int64_t rows() const { return rows_; }
  std::span<const int32_t> end_ids() const { return end_ids_; }
  /// Empty for an id without a text.
  std::string_view text(int32_t id) const {
    return id >= 0 && static_cast<size_t>(id) < texts_.size() ? std::string_view(texts_[static_cast<size_t>(id)])
                                                              : std::string_view();
  }

  size_t longest_token() const { return all_.max_depth(); }
  /// What tokens do from a state of `pool`, which must be a copy of base_pool() with more in it.
  std::shared_ptr<const grammar::TerminalMask> terminal_mask(grammar::RegexPool& pool, grammar::RegexId state) const;

  /// The insides of JSON strings are most of the work of a grammar and the same in all of them: every grammar starts
  /// with a copy of this pool, in which their states have known masks.
  const grammar::RegexPool& base_pool() const { return base_pool_; }
  using TerminalMasks = std::unordered_map<grammar::RegexId, std::shared_ptr<const grammar::TerminalMask>>;
  const TerminalMasks& base_masks() const { return base_masks_; }

 private:
  void prepare();

  std::vector<std::string> texts_;
  std::vector<int32_t> end_ids_;
  int64_t rows_ = 0;
  grammar::TokenTrie all_;
  // Most tokens are whole characters that a JSON string holds as they are. Inside a string what they do depends on
  // their number of characters only, and a walk need not look at them.
  grammar::TokenTrie uneven_;                 // the others
  std::vector<std::vector<uint64_t>> plain_;  // by number of characters: those with at most so many
  grammar::RegexId character_ = 0, plain_character_ = 0, quote_ = 0;
  grammar::RegexPool base_pool_;
  TerminalMasks base_masks_;
};

}  // namespace minimax::text
