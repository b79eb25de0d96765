#include "server/app.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <map>

#include "io/json.h"
#include "server/anthropic/messages.h"
#include "server/api/utility_endpoints.h"
#include "server/openai/endpoints.h"
#include "server/openai/responses.h"
#include "server/web_page.h"

namespace minimax::server {
namespace {

constexpr size_t kMaxWaitingWork = 4096;

void health(Service&, const std::shared_ptr<Exchange>& exchange) {
  exchange->respond({.body = R"({"status":"ok"})"});
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// For the preflight of a page that the gate let pass: the headers it asks for, since clients send names of their own
/// (OpenAI's and Anthropic's libraries a dozen). What is no list of names gets the ones the APIs themselves know.
std::string allowed_headers(const Request& request) {
  const std::string_view asked = request.header("access-control-request-headers");
  const bool names = !asked.empty() && asked.size() <= 2048 && std::all_of(asked.begin(), asked.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == ',' || c == ' ';
  });
  return names ? std::string(asked) : "authorization, content-type, x-api-key, anthropic-version, anthropic-beta";
}

}  // namespace

App::App(const ServedModel& model, AppOptions options)
    : service_{.model = model, .session_folder = options.session_folder, .max_body_bytes = options.http.max_body_bytes},
      options_(std::move(options)),
      gate_(options_.gate) {
  add_routes();
  http_ = std::make_unique<HttpServer>(
      options_.http, [this](std::shared_ptr<Exchange> exchange) { handle(std::move(exchange)); },
      [this](const Request& request, const Outcome& outcome) { finished(request, outcome); },
      [](int status, const std::string& message) { return error_body(ApiError(status, message), ApiStyle::kOpenAi); });
  work_ = std::make_unique<WorkQueue>(options_.request_threads, kMaxWaitingWork);
}

App::~App() = default;

void App::add_routes() {
  const auto ready = [this](Service&, const std::shared_ptr<Exchange>& exchange) {
    if (draining_) throw ApiError(503, "the server is shutting down");
    exchange->respond({.body = R"({"status":"ready"})"});
  };
  const auto metrics = [this](Service& service, const std::shared_ptr<Exchange>& exchange) {
    exchange->respond({.content_type = "text/plain; version=0.0.4; charset=utf-8",
                       .body = metrics_text({service.model.name(), options_.vllm_metrics},
                                            service.model.engine->stats(), http_->stats(), counts_)});
  };
  routes_ = {
      {.method = "GET", .path = "/metrics", .endpoint = metrics},
      {.method = "POST", .path = "/v1/responses", .endpoint = responses, .heavy = true},
      {.method = "GET", .path = "/v1/responses/", .endpoint = show_response},
      {.method = "DELETE", .path = "/v1/responses/", .endpoint = drop_response},
      {.method = "POST", .path = "/v1/messages", .endpoint = messages, .heavy = true, .style = ApiStyle::kAnthropic},
      {.method = "POST",
       .path = "/v1/messages/count_tokens",
       .endpoint = count_message_tokens,
       .heavy = true,
       .style = ApiStyle::kAnthropic},
      {.method = "POST", .path = "/tokenize", .endpoint = tokenize, .heavy = true},
      {.method = "POST", .path = "/detokenize", .endpoint = detokenize, .heavy = true},
      {.method = "POST", .path = "/apply-template", .endpoint = apply_template, .heavy = true},
      {.method = "POST", .path = "/v1/chat/completions/control", .endpoint = control, .heavy = true},
      {.method = "GET", .path = "/v1/sessions", .endpoint = list_sessions, .heavy = true},
      {.method = "POST", .path = "/v1/sessions/", .endpoint = change_session, .heavy = true},
      {.method = "DELETE", .path = "/v1/sessions/", .endpoint = drop_session, .heavy = true},
      {.method = "POST", .path = "/v1/chat/completions", .endpoint = chat_completions, .heavy = true},
      {.method = "POST", .path = "/v1/completions", .endpoint = completions, .heavy = true},
      {.method = "GET", .path = "/v1/models", .endpoint = list_models},
      {.method = "GET", .path = "/v1/models/", .endpoint = show_model},
      {.method = "GET", .path = "/health", .endpoint = health, .needs_key = false},
      {.method = "GET", .path = "/ready", .endpoint = ready, .needs_key = false},
  };
}

const App::Route* App::find(const Request& request, std::string& methods) const {
  methods.clear();
  const std::string_view method = request.method == "HEAD" ? "GET" : std::string_view(request.method);
  for (const Route& route : routes_) {
    const bool prefix =
        route.path.ends_with('/') && request.path.size() > route.path.size() && request.path.starts_with(route.path);
    if (!prefix && request.path != route.path) continue;
    if (route.method == method) return &route;
    methods += methods.empty() ? "OPTIONS, " : ", ";
    methods += route.method == "GET" ? "GET, HEAD" : route.method;
  }
  return nullptr;
}

void App::handle(std::shared_ptr<Exchange> exchange) {
  const Request& request = exchange->request();
  exchange->add_header("x-request-id", new_id("req_"));
  std::string methods;
  const Route* route = find(request, methods);
  const ApiStyle style = route ? route->style : ApiStyle::kOpenAi;
  const bool web = !route && options_.web && find_web_file(request.path);
  if (const auto refused = gate_.check(*exchange, !web && (!route || route->needs_key)))
    return exchange->respond(error_response(*refused, style));
  if (request.method == "OPTIONS")
    return exchange->respond({.status = 204,
                              .content_type = "",
                              .headers = {{"access-control-allow-methods", "GET, POST, DELETE, OPTIONS"},
                                          {"access-control-allow-headers", allowed_headers(request)},
                                          {"access-control-max-age", "600"}}});
  if (web && respond_web(*exchange)) return;
  if (web) methods = "OPTIONS, GET, HEAD";
  if (!route && methods.empty())
    return exchange->respond(
        error_response(ApiError(404, "there is nothing at " + request.path, "", "not_found"), style));
  if (!route) {
    Response wrong = error_response(ApiError(405, request.path + " does not take " + request.method), style);
    wrong.headers.emplace_back("allow", methods);
    return exchange->respond(wrong);
  }
  if (!route->heavy) return call(*route, exchange);
  if (!work_->post([this, route, exchange] { call(*route, exchange); })) {
    ApiError busy(429, "too many requests are waiting to be read", "", "queue_full");
    busy.retry_after_seconds = 1;
    exchange->respond(error_response(busy, style));
  }
}

bool App::respond_web(Exchange& exchange) const {
  const Request& request = exchange.request();
  if (request.method != "GET" && request.method != "HEAD") return false;
  const WebFile* file = find_web_file(request.path);
  if (!file) return false;
  Response response{.content_type = std::string(file->content_type)};
  response.headers = {{"cache-control", std::string(file->cache_control)}, {"etag", std::string(file->etag)}};
  for (const WebHeader& header : kWebHeaders) response.headers.emplace_back(header.name, header.value);
  if (request.header("if-none-match") == file->etag) {
    response.status = 304;
  } else if (!file->gzip.empty() && request.header("accept-encoding").find("gzip") != std::string_view::npos) {
    response.headers.emplace_back("content-encoding", "gzip");
    response.body = file->gzip;
  } else {
    response.body = file->bytes;
  }
  response.headers.emplace_back("vary", "Accept-Encoding");
  exchange.respond(response);
  return true;
}

void App::call(const Route& route, const std::shared_ptr<Exchange>& exchange) {
  try {
    route.endpoint(service_, exchange);
  } catch (...) {
    exchange->respond(error_response(to_api_error(std::current_exception()), route.style));
  }
}

void App::finished(const Request& request, const Outcome& outcome) {
  std::string methods;
  const Route* route = find(request, methods);
  counts_.add(route ? route->path : find_web_file(request.path) ? "web" : "other", outcome);
  if (!options_.access_log) return;
  io::json::object line{{"time", wall_seconds()},
                        {"peer", request.peer},
                        {"method", request.method},
                        {"path", valid_utf8(request.path)},
                        {"status", outcome.status != 0 ? outcome.status
                                   : outcome.cut       ? 503
                                                       : 499},
                        {"ms", outcome.seconds * 1e3},
                        {"bytes_in", request.body.size()},
                        {"bytes_out", outcome.bytes_sent}};
  if (outcome.client_gone) line["client_gone"] = true;
  // A call with several prompts is several requests of the engine, and notes each key as often.
  std::map<std::string, int64_t> sums;
  for (const auto& [key, value] : outcome.notes) sums[key] += value;
  if (sums.erase("shutdown") > 0 || outcome.cut) line["shutdown"] = true;
  for (const auto& [key, value] : sums) line[key] = value;
  options_.access_log(io::write_json(line, io::JsonStyle::kPython));
}

void App::cut() {
  const ApiError error(503, "the server is shutting down: the answer was not finished", "", "shutdown");
  for (const engine::RequestId request : service_.running->cut(error)) service_.model.engine->cancel(request);
}

void App::drain() {
  draining_ = true;
  http_->drain();
}

}  // namespace minimax::server
