// StreamDecoder: ids in, text out, one at a time, without ever emitting half a character.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace minimax::text {

/// What push() returned, put together and followed by flush(), is Tokenizer::decode of all ids. Bytes that may still
/// become a character are held back (at most three); bytes that no longer can become U+FFFD at once. One decoder a
/// sequence; it shares the tokenizer's tables.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, SpecialTokens specials = SpecialTokens::kSkip);

  /// Text that `id` completes; often empty. An id that is not in the vocabulary adds nothing (a model's padding rows
  /// must not end a stream).
  std::string push(int32_t id);
  /// The held-back bytes as U+FFFD, and the decoder as new.
  std::string flush();
  /// True when bytes are held back.
  bool pending() const { return !pending_.empty(); }

 private:
  Tokenizer tokenizer_;
  SpecialTokens specials_;
  std::string pending_;  // a proper prefix of one UTF-8 character
};

}  // namespace minimax::text
