// App: every path of the server, from a request to its endpoint.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/api/gate.h"
#include "server/api/metrics.h"
#include "server/api/service.h"
#include "server/api/work_queue.h"
#include "server/http/http_server.h"

namespace minimax::server {

struct AppOptions {
  HttpOptions http;
  GateOptions gate;
  std::filesystem::path session_folder;
  bool vllm_metrics = false;  ///< /metrics also has vLLM's names
  bool web = true;            ///< the chat page at /
  int request_threads = 2;    ///< that parse and tokenize
  /// Gets one JSON object a request, without any text of prompt or answer.
  std::function<void(const std::string& line)> access_log;
};

class App {
 public:
  /// Listens. `model` must outlive the app and its engine, the engine the app.
  App(const ServedModel& model, AppOptions options);
  ~App();

  uint16_t port() const { return http_->port(); }
  /// Serves until stop().
  void run() { http_->run(); }
  /// Ready no longer; running requests go on. From any thread.
  void drain();
  /// What still runs ends with an error that says so. After drain(); from any thread.
  void cut();
  bool drained() const { return http_->drained(); }
  void stop() { http_->stop(); }

 private:
  using Endpoint = std::function<void(Service&, const std::shared_ptr<Exchange>&)>;
  struct Route {
    std::string method, path;  ///< a path that ends with / matches what begins with it
    Endpoint endpoint;
    bool needs_key = true;
    bool heavy = false;  ///< runs on a request thread
    ApiStyle style = ApiStyle::kOpenAi;
  };

  void add_routes();
  void handle(std::shared_ptr<Exchange> exchange);
  void finished(const Request& request, const Outcome& outcome);
  /// `methods`: those that the path takes, when the route is none of them; empty: there is no such path.
  const Route* find(const Request& request, std::string& methods) const;
  void call(const Route& route, const std::shared_ptr<Exchange>& exchange);
  bool respond_web(Exchange& exchange) const;

  Service service_;
  AppOptions options_;
  Gate gate_;
  std::vector<Route> routes_;
  RequestCounts counts_;
  std::atomic<bool> draining_{false};
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<WorkQueue> work_;  // last: ends before what its work uses
};

}  // namespace minimax::server
