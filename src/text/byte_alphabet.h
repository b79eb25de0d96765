// The byte-to-unicode alphabet that vocab.json, merges.txt and tokenizer.json spell tokens in.
#pragma once

#include <string>
#include <string_view>

namespace minimax::text {

/// The bytes that `spelled` stands for, in `bytes`; false when it has a character outside the alphabet. Printable
/// Latin-1 characters stand for themselves; the other 68 bytes, in order, are U+0100 and up (GPT-2's table).
bool from_byte_alphabet(std::string_view spelled, std::string& bytes);
/// The inverse.
std::string to_byte_alphabet(std::string_view bytes);

}  // namespace minimax::text
