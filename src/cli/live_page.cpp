#include "cli/live_page.h"

#include <thread>

#include "io/file.h"
#include "server/http/http_server.h"
#include "train/report.h"

namespace minimax::cli {
namespace {

namespace fs = std::filesystem;

server::Response answer(const fs::path& run, const server::Request& request) {
  if (request.method != "GET" && request.method != "HEAD") return {.status = 405, .content_type = "text/plain"};
  const server::Headers headers = {{"cache-control", "no-store"}};
  if (request.path == "/")
    return {.content_type = "text/html; charset=utf-8", .body = train::report_page(run, true), .headers = headers};
  if (request.path == "/body")
    return {.content_type = "text/html; charset=utf-8", .body = train::report_body(run), .headers = headers};
  const fs::path metrics = run / "metrics.jsonl";
  if (request.path == "/metrics.jsonl" && fs::exists(metrics))
    return {.content_type = "application/jsonl", .body = io::read_file(metrics), .headers = headers};
  return {.status = 404, .content_type = "text/plain", .body = "not here\n"};
}

}  // namespace

struct LivePage::State {
  server::HttpServer http;
  std::thread thread;

  State(const fs::path& run, uint16_t port)
      : http({.port = port, .max_connections = 64},
             [run](const std::shared_ptr<server::Exchange>& exchange) {
               exchange->respond(answer(run, exchange->request()));
             }),
        thread([this] { http.run(); }) {}
  ~State() {
    http.stop();
    thread.join();
  }
};

LivePage::LivePage(fs::path run, uint16_t port) : state_(std::make_unique<State>(run, port)) {}
LivePage::~LivePage() = default;

uint16_t LivePage::port() const {
  return state_->http.port();
}

}  // namespace minimax::cli
