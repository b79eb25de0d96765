#include "text/chat_encode.h"

#include <optional>

#include "core/error.h"

namespace minimax::text {

std::vector<int32_t> encode(const ChatPrompt& prompt, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  for (const ChatPiece& piece : prompt) {
    if (piece.special) {
      const std::optional<int32_t> id = tokenizer.special_id(piece.text);
      MM_CHECK_KIND(kNotFound, id.has_value(), "the tokenizer has no special token ", piece.text,
                    ", which the chat template needs");
      ids.push_back(*id);
    } else {
      const std::vector<int32_t> text_ids = tokenizer.encode(piece.text);
      ids.insert(ids.end(), text_ids.begin(), text_ids.end());
    }
  }
  return ids;
}

}  // namespace minimax::text
