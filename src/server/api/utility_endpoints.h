// Endpoints beside the chat APIs: tokens, templates, sessions, a word to a request that runs.
#pragma once

#include <memory>
#include <string_view>

#include "server/api/service.h"

namespace minimax::server {

/// {"content"} (llama.cpp), {"prompt"} or {"messages"} (vLLM) -> {"tokens", "count", "max_model_len"}; with_pieces adds
/// their texts, parse_special lets special tokens in the text count.
void tokenize(Service& service, const std::shared_ptr<Exchange>& exchange);
/// {"tokens"} -> {"content", "prompt"}: the same text under both names.
void detokenize(Service& service, const std::shared_ptr<Exchange>& exchange);
/// A chat request -> {"prompt"}: the text the model would get, special tokens spelled out.
void apply_template(Service& service, const std::shared_ptr<Exchange>& exchange);
/// {"id", "action": "reasoning_end" or "cancel"} for a request that runs.
void control(Service& service, const std::shared_ptr<Exchange>& exchange);

/// GET /v1/sessions: those in memory and those in the folder.
void list_sessions(Service& service, const std::shared_ptr<Exchange>& exchange);
/// POST /v1/sessions/NAME/save and /v1/sessions/NAME/restore.
void change_session(Service& service, const std::shared_ptr<Exchange>& exchange);
/// DELETE /v1/sessions/NAME: forgets it, in memory and in the folder.
void drop_session(Service& service, const std::shared_ptr<Exchange>& exchange);

/// Letters, digits, dot, dash and underscore, not beginning with a dot, at most 100: a name that can name a file.
bool is_session_name(std::string_view name);
std::filesystem::path session_file(const Service& service, std::string_view name);

}  // namespace minimax::server
