#include "server/openai/objects.h"

#include <array>
#include <cmath>

namespace minimax::server {
namespace {

double per(double amount, double of) {
  return of > 0 ? amount / of : 0;
}

void add_token(io::json::object& object, const text::Tokenizer& tokenizer, int32_t id, float log_prob) {
  object["token"] = token_text(tokenizer, id);
  object["logprob"] = finite_logprob(log_prob);
  const std::array<int32_t, 1> ids = {id};
  io::json::array bytes;
  for (const char byte : tokenizer.decode_bytes(ids, text::SpecialTokens::kKeep))
    bytes.emplace_back(static_cast<int64_t>(static_cast<unsigned char>(byte)));
  object["bytes"] = std::move(bytes);
}

}  // namespace

io::json::object usage_object(const engine::Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.generated_tokens},
          {"total_tokens", usage.prompt_tokens + usage.generated_tokens},
          {"prompt_tokens_details", io::json::object{{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", io::json::object{{"reasoning_tokens", usage.reasoning_tokens}}}};
}

io::json::object timings_object(const engine::Usage& usage) {
  const auto prompt = static_cast<double>(usage.prompt_tokens - usage.cached_tokens);
  const auto answer = static_cast<double>(usage.generated_tokens);
  io::json::object timings{{"cache_n", usage.cached_tokens},
                           {"prompt_n", usage.prompt_tokens - usage.cached_tokens},
                           {"prompt_ms", usage.prefill_seconds * 1e3},
                           {"prompt_per_token_ms", per(usage.prefill_seconds * 1e3, prompt)},
                           {"prompt_per_second", per(prompt, usage.prefill_seconds)},
                           {"predicted_n", usage.generated_tokens},
                           {"predicted_ms", usage.decode_seconds * 1e3},
                           {"predicted_per_token_ms", per(usage.decode_seconds * 1e3, answer)},
                           {"predicted_per_second", per(answer, usage.decode_seconds)},
                           {"queue_ms", usage.queue_seconds * 1e3}};
  if (usage.drafted_tokens > 0) {
    timings["draft_n"] = usage.drafted_tokens;
    timings["draft_n_accepted"] = usage.accepted_tokens;
  }
  return timings;
}

std::string token_text(const text::Tokenizer& tokenizer, int32_t id) {
  if (id < 0 || id >= tokenizer.vocab_size()) return {};
  const std::array<int32_t, 1> ids = {id};
  return tokenizer.decode(ids, text::SpecialTokens::kKeep);
}

double finite_logprob(float log_prob) {
  return std::isfinite(log_prob) ? double{log_prob} : -9999.0;
}

io::json::object chat_logprob(const text::Tokenizer& tokenizer, const TokenReport& report) {
  io::json::object object;
  add_token(object, tokenizer, report.id, report.log_prob);
  io::json::array top;
  for (const engine::TokenLogProb& other : report.top) {
    // Rows of padding have no token.
    if (other.id >= tokenizer.vocab_size()) continue;
    io::json::object entry;
    add_token(entry, tokenizer, other.id, other.log_prob);
    top.emplace_back(std::move(entry));
  }
  object["top_logprobs"] = std::move(top);
  return object;
}

}  // namespace minimax::server
