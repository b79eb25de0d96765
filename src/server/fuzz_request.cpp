// Fuzz target: bodies of all the APIs, read as the endpoints read them: an answer or an error that names its place, and
// nothing that grows beyond the body. The first byte chooses the API.
#include <cstdint>
#include <exception>
#include <string_view>

#include "core/error.h"
#include "io/json.h"
#include "server/anthropic/messages.h"
#include "server/api/api_error.h"
#include "server/api/constraint.h"
#include "server/openai/chat_request.h"
#include "server/openai/completions.h"
#include "server/openai/responses.h"
#include "text/tokenizer_files.h"

namespace {

using namespace minimax;

// Bytes and the special tokens that the templates need.
text::Tokenizer small_tokenizer() {
  text::TokenizerParts parts = text::parse_merges("#version: 0.2\nt h\n", "merges");
  text::apply_tokenizer_config(
      R"({"bos_token": "<beginning_of_sentence>", "eos_token": "<end_of_sentence>", "unk_token": "<end_of_document>",
          "added_tokens_decoder": {"257": {"content": "<beginning_of_sentence>", "special": true},
                                   "258": {"content": "<end_of_sentence>", "special": true},
                                   "259": {"content": "<end_of_document>", "special": true},
                                   "260": {"content": "<begin_of_document>", "special": true}}})",
      "config", parts);
  text::complete_special_tokens(parts);
  return text::Tokenizer::from_parts(std::move(parts));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace minimax::server;
  static const text::Tokenizer tokenizer = small_tokenizer();
  static const ServedModel model{.names = {"m"},
                                 .tokenizer = tokenizer,
                                 .constraints = std::make_shared<Constraints>(tokenizer, 261),
                                 .chat = {.keep_all_text = true},
                                 .stop_ids = {258},
                                 .banned = {257}};
  static const ResponseStore store;
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const io::json::value root = io::parse_json(body, "request", {.max_depth = 100, .max_values = 100000});
    const io::JsonField field(root, "request");
    switch (data[0] % 4) {
      case 0:
        read_chat(field, model);
        break;
      case 1:
        read_completions(field, model);
        break;
      case 2:
        read_responses(field, model, store);
        break;
      default:
        read_messages(field, model);
        break;
    }
  } catch (const Error&) {
    const ApiError error = to_api_error(std::current_exception());
    if (error.status < 400 || error.status >= 600) __builtin_trap();
    (void)error_body(error, ApiStyle::kOpenAi);
  } catch (const ApiError& error) {
    (void)error_body(error, ApiStyle::kAnthropic);
  }
  return 0;
}
