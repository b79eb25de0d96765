// Fuzz target: bodies of all the APIs, read as the endpoints read them: an answer or an error that names its place, and
// nothing that grows beyond the body. The first byte chooses the API.
#include <cstdint>
#include <exception>
#include <string_view>

#include "core/error.h"
#include "core/threads.h"
#include "engine/engine.h"
#include "io/json.h"
#include "model/random.h"
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

// As small as a model can be: requests are read against its vocabulary and its options, and none is run.
engine::Engine& small_engine(const text::Tokenizer& tokenizer) {
  static ThreadPool threads(1);
  static const MiniMaxM1 model = [] {
    ModelConfig config;
    config.vocab = 261;
    config.hidden = 8;
    config.ffn = 8;
    config.layers = 2;
    config.heads = 1;
    config.kv_heads = 1;
    config.head_dim = 8;
    config.rotary_dim = 4;
    config.experts = 2;
    config.layer_kind = {LayerKind::kLightning, LayerKind::kSoftmax};
    config.postnorm = true;
    return random_model(config, DType::kFloat32, 1, threads);
  }();
  static engine::Engine engine(
      model, threads, {.thinking = std::make_shared<engine::ThinkingFormat>(engine::thinking_format(tokenizer))});
  return engine;
}

server::ServedModel small_model() {
  server::ServedModel model{.names = {"m"}, .tokenizer = small_tokenizer()};
  model.engine = &small_engine(model.tokenizer);
  model.constraints = std::make_shared<server::Constraints>(model.tokenizer, 261);
  model.chat.keep_all_text = true;
  model.stop_ids = {258};
  model.banned = {257};
  return model;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace minimax::server;
  static const ServedModel model = small_model();
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
