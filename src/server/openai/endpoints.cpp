#include "server/openai/endpoints.h"

#include <algorithm>

#include "io/json.h"
#include "server/openai/chat_request.h"
#include "server/openai/completions.h"

namespace minimax::server {
namespace {

io::json::object model_object(const Service& service, const std::string& name) {
  return {{"id", name},
          {"object", "model"},
          {"created", service.model.created},
          {"owned_by", "minimax"},
          {"max_model_len", service.model.engine->max_tokens()}};
}

}  // namespace

void chat_completions(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const io::json::value body = read_body(*exchange, service);
  ChatCall call = read_chat(io::JsonField(body, "request"), service.model);
  const std::string id = call.format.id;
  start_job(service, std::move(call.spec), chat_writer(service.model, std::move(call.format), exchange), exchange, id);
}

void completions(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const io::json::value body = read_body(*exchange, service);
  CompletionsCall call = read_completions(io::JsonField(body, "request"), service.model);
  const std::string id = call.format.id;
  auto writer = completions_writer(service.model, std::move(call.format), exchange);
  start_jobs(service, std::move(call.specs), std::move(writer), exchange, id);
}

void list_models(Service& service, const std::shared_ptr<Exchange>& exchange) {
  io::json::array data;
  for (const std::string& name : service.model.names) data.emplace_back(model_object(service, name));
  respond_json(*exchange, io::json::object{{"object", "list"}, {"data", std::move(data)}});
}

void show_model(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const std::string name = percent_decode(exchange->request().path.substr(std::string_view("/v1/models/").size()));
  const auto& names = service.model.names;
  if (std::find(names.begin(), names.end(), name) == names.end())
    throw ApiError(404, "the model \"" + name + "\" is not served here, expected \"" + service.model.name() + "\"",
                   "model", "model_not_found");
  respond_json(*exchange, model_object(service, name));
}

}  // namespace minimax::server
