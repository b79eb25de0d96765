// The objects that several of OpenAI's endpoints share: usage, timings, log-probs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/request.h"
#include "io/json.h"
#include "server/api/answer_text.h"
#include "text/tokenizer.h"

namespace minimax::server {

/// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"}.
io::json::object usage_object(const engine::Usage& usage);

/// llama.cpp's figures: cache_n, prompt_n, prompt_ms, prompt_per_second, predicted_n, predicted_ms, ...
io::json::object timings_object(const engine::Usage& usage);

/// A token as text; bytes that are no UTF-8 by themselves become U+FFFD.
std::string token_text(const text::Tokenizer& tokenizer, int32_t id);

/// One element of a chat choice's logprobs.content: {"token", "logprob", "bytes", "top_logprobs"}.
io::json::object chat_logprob(const text::Tokenizer& tokenizer, const TokenReport& report);

/// JSON has no infinities: a token that cannot come gets -9999, as OpenAI writes it.
double finite_logprob(float log_prob);

}  // namespace minimax::server
