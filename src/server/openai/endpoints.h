// OpenAI's endpoints: each answers one exchange, or throws what becomes an error answer.
#pragma once

#include <memory>

#include "server/api/service.h"

namespace minimax::server {

void chat_completions(Service& service, const std::shared_ptr<Exchange>& exchange);
void completions(Service& service, const std::shared_ptr<Exchange>& exchange);
void list_models(Service& service, const std::shared_ptr<Exchange>& exchange);
/// /v1/models/NAME
void show_model(Service& service, const std::shared_ptr<Exchange>& exchange);

}  // namespace minimax::server
