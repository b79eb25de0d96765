// Byte-pair encoding learned from texts: the tokenizer of a new model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/pretokenizer.h"
#include "text/special_tokens.h"

namespace minimax::train {

struct BpeOptions {
  int64_t tokens = 4096;    ///< ordinary ones: 256 bytes and merges; fewer when the texts give no more
  int64_t least_count = 2;  ///< a pair seen less often is not merged
  int64_t longest = 32;     ///< bytes of a token
  text::SplitPattern pattern = text::SplitPattern::kO200k;
};

/// Counts the pieces of texts, then learns merges: again and again the most frequent pair of neighbours, of equals the
/// one with the lower left id, then the lower right id. The same for any order of the texts. Time is about linear in
/// the distinct pieces.
class BpeTrainer {
 public:
  explicit BpeTrainer(BpeOptions options);

  void add(std::string_view text);

  /// Ids of the two parts of each merge, in order; byte b has id b, merge k makes id 256 + k.
  std::vector<std::pair<int32_t, int32_t>> merges() const;

  int64_t bytes() const { return bytes_; }
  int64_t distinct_pieces() const { return static_cast<int64_t>(pieces_.size()); }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  BpeOptions options_;
  int64_t bytes_ = 0;
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> pieces_;  // and how often each was seen
};

/// Texts of MiniMax-M1's special tokens, the ones that are known, at ids from `first` on.
std::vector<text::AddedToken> special_tokens_from(int32_t first);

/// Writes tokenizer.json (with the pattern), vocab.json, merges.txt and tokenizer_config.json (bos, eos and special
/// tokens) as Tokenizer::load reads them. Throws kIo.
void write_tokenizer(const std::filesystem::path& folder, const std::vector<std::pair<int32_t, int32_t>>& merges,
                     text::SplitPattern pattern, const std::vector<text::AddedToken>& special);

}  // namespace minimax::train
