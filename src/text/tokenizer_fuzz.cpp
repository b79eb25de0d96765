// Fuzz target: the tokenizer's files. The first byte says what the rest is; whatever is accepted must round-trip the
// input as text and stream it.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/error.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"
#include "text/tokenizer_files.h"

namespace {

using namespace minimax::text;

TokenizerParts parse(char kind, std::string_view text) {
  if (kind == 'j') return parse_tokenizer_json(text, "tokenizer.json");
  const size_t split = text.find('\0');
  const std::string_view first = text.substr(0, split);
  const std::string_view second = split == text.npos ? std::string_view() : text.substr(split + 1);
  if (kind == 'v') return parse_vocab_and_merges(first, "vocab.json", second, "merges.txt");
  TokenizerParts parts = parse_merges(first, "merges.txt");
  if (!second.empty()) apply_tokenizer_config(second, "tokenizer_config.json", parts);
  return parts;
}

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    TokenizerParts parts = parse(input[0], input.substr(1));
    complete_special_tokens(parts);
    const bool keeps_all = parts.split.keeps_all();
    const Tokenizer tokenizer = Tokenizer::from_parts(std::move(parts));
    const auto ids = tokenizer.encode(input);
    for (const int32_t id : ids) check(!tokenizer.is_special(id) && tokenizer.is_ordinary(id));
    check(!keeps_all || tokenizer.decode_bytes(ids) == input);
    const auto with_special = tokenizer.encode_with_special(input);
    check(!keeps_all || tokenizer.decode_bytes(with_special, SpecialTokens::kKeep) == input);
    StreamDecoder decoder(tokenizer, SpecialTokens::kKeep);
    std::string streamed;
    for (const int32_t id : with_special) streamed += decoder.push(id);
    check(streamed + decoder.flush() == tokenizer.decode(with_special, SpecialTokens::kKeep));
  } catch (const minimax::Error&) {
  }
  return 0;
}
