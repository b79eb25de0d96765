// The step from a rendered prompt to ids.
#pragma once

#include <cstdint>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace minimax::text {

/// Ids of a prompt: special pieces by their text, the others as user text, so that nothing in them becomes a special
/// id. Throws kNotFound when the tokenizer lacks one of the special tokens.
std::vector<int32_t> encode(const ChatPrompt& prompt, const Tokenizer& tokenizer);

}  // namespace minimax::text
