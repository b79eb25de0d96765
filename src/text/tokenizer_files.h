// Reads the published tokenizer files into the parts a Tokenizer is built from; every oddity is refused by name.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/bpe.h"
#include "text/special_tokens.h"
#include "text/split/split_rules.h"
#include "text/vocabulary.h"

namespace minimax::text {

/// What the files of a tokenizer say, consistent: every byte has a token, merges name tokens of the vocabulary and make
/// one, no id and no text is used twice, no special token is a byte or made by a merge.
struct TokenizerParts {
  Vocabulary vocabulary;  ///< ordinary tokens, by their bytes
  std::array<int32_t, 256> byte_ids{};
  std::vector<Merge> merges;   ///< by rank
  bool ignore_merges = false;  ///< a piece that is a token is that token, whatever the merges would make of it
  SplitRules split;            ///< how a text is cut into pieces
  std::vector<AddedToken> added;
  std::string bos, eos;     ///< texts; empty: not named
  std::string description;  ///< "tokenizer.json, o200k pattern"
};

/// The parsers. `what` names the text in errors. They throw kInvalidArgument.
TokenizerParts parse_tokenizer_json(std::string_view json, std::string_view what);
TokenizerParts parse_vocab_and_merges(std::string_view vocab_json, std::string_view vocab_what, std::string_view merges,
                                      std::string_view merges_what);
TokenizerParts parse_merges(std::string_view merges, std::string_view what);
/// Adds what tokenizer_config.json says: bos, eos, further added tokens.
void apply_tokenizer_config(std::string_view json, std::string_view what, TokenizerParts& parts);
/// Last: the published special tokens for a vocabulary of MiniMax-M1's size that has none, default bos and eos; checks
/// that ids and texts do not collide and that the names of bos and eos are those of special tokens.
void complete_special_tokens(TokenizerParts& parts);

/// All of it for a folder, as Tokenizer::load documents.
TokenizerParts read_tokenizer_files(const std::filesystem::path& dir);

/// The file `dir`/`name`, or `dir`/`name`.gz unpacked; nothing when there is neither. `found` gets the path. A file
/// that unpacks to more than 256 MiB is refused.
std::optional<std::string> read_maybe_gzipped(const std::filesystem::path& dir, std::string_view name,
                                              std::filesystem::path& found);

}  // namespace minimax::text
