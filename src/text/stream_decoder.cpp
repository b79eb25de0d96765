#include "text/stream_decoder.h"

#include <utility>

#include "text/utf8.h"

namespace minimax::text {

StreamDecoder::StreamDecoder(Tokenizer tokenizer, SpecialTokens specials)
    : tokenizer_(std::move(tokenizer)), specials_(specials) {}

std::string StreamDecoder::push(int32_t id) {
  if (tokenizer_.is_special(id) && specials_ == SpecialTokens::kSkip) return {};
  std::string bytes = std::exchange(pending_, {});
  bytes += tokenizer_.token_bytes(id);
  std::string out;
  append_valid_utf8(bytes, out, &pending_);
  return out;
}

std::string StreamDecoder::flush() {
  std::string out;
  append_valid_utf8(std::exchange(pending_, {}), out);
  return out;
}

}  // namespace minimax::text
