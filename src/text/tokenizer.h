// Tokenizer: text to token ids and back, for the byte-level BPE vocabularies of MiniMax-M1 and its kind.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace minimax::text {

struct TokenizerParts;  // tokenizer_files.h

/// What decoding does with special tokens.
enum class SpecialTokens : uint8_t {
  kSkip,  ///< they leave no text
  kKeep,  ///< they appear as their text, for example <end_of_sentence>
};

/// Immutable after load; every const method may be called from many threads at once. Copies share their tables.
///
/// Bytes always round-trip: decode_bytes(encode(text)) == text for any bytes, valid UTF-8 or not; unless a
/// tokenizer.json says that what a pattern finds is removed. A byte that is no part of valid UTF-8 counts as one symbol
/// character when the text is cut into pieces, so ids of valid text beside it are what they would be beside any symbol.
class Tokenizer {
 public:
  /// Reads `dir`/tokenizer.json (obeying its pattern); without it vocab.json + merges.txt; without these merges.txt
  /// alone by the published id rule: byte b has id b, the k-th merge makes id 256 + k. The last two cut text by the
  /// o200k pattern. tokenizer_config.json names bos, eos and unk. Every file may also be there as NAME.gz.
  /// Special tokens come from these files; a vocabulary of MiniMax-M1's 200,000 ordinary tokens whose files name none
  /// gets the published table. Throws kNotFound when `dir` holds no tokenizer, kInvalidArgument naming the file and the
  /// place for one that is malformed, or that asks for something this tokenizer does not do (a normalizer, a
  /// pre-tokenizer other than Split, Digits and ByteLevel), kIo when a file cannot be read.
  static Tokenizer load(const std::filesystem::path& dir);
  /// From parsed files; complete_special_tokens must have seen them.
  static Tokenizer from_parts(TokenizerParts parts);

  /// Ids of user text: whatever it contains, no special id comes out. Linear time in practice; at worst O(n log n).
  /// With a pattern of the file's own, throws kInvalidArgument naming it when it takes too long for this text
  /// (split/regex.h).
  std::vector<int32_t> encode(std::string_view text) const;
  /// Ids of text in which special tokens count: they are matched first, leftmost and longest, on the raw bytes. For
  /// rendered chat templates with trusted contents only.
  std::vector<int32_t> encode_with_special(std::string_view text) const;

  /// Text of ids. Bytes that are not UTF-8 become U+FFFD, one for each maximal ill-formed part (Unicode 3.9).
  /// Throws kInvalidArgument for an id that is not in the vocabulary.
  std::string decode(std::span<const int32_t> ids, SpecialTokens specials = SpecialTokens::kSkip) const;
  /// The same without the repair of UTF-8: the exact bytes.
  std::string decode_bytes(std::span<const int32_t> ids, SpecialTokens specials = SpecialTokens::kSkip) const;

  /// The bytes of an ordinary token, the text of a special one; empty for an id that has neither. Lives as long as the
  /// tokenizer.
  std::string_view token_bytes(int32_t id) const;
  /// Id of the special token spelled `text`.
  std::optional<int32_t> special_id(std::string_view text) const;
  /// True for special tokens, also for reserved ones whose text is not known.
  bool is_special(int32_t id) const;
  /// True for tokens that text is made of: id has bytes and is not special. Ids for which this is false should never be
  /// sampled, except stop_ids().
  bool is_ordinary(int32_t id) const;
  /// Ids of all special tokens, ascending.
  std::span<const int32_t> special_ids() const;

  /// One past the largest known id. A model may have more rows (padding).
  int64_t vocab_size() const;

  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  /// Ids that end a generation: eos first, then, as a defence, <begin_of_document>, <beginning_of_sentence> and
  /// <end_of_document> where they exist.
  std::span<const int32_t> stop_ids() const;

  /// Where the vocabulary came from and how text is cut, for people: "tokenizer.json, o200k pattern".
  const std::string& description() const;

 private:
  struct Tables;
  explicit Tokenizer(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}

  std::shared_ptr<const Tables> tables_;
};

}  // namespace minimax::text
