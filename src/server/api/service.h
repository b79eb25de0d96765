// Service: what the endpoints share while the server runs, and the way a request takes through them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "io/json_fwd.h"
#include "server/api/api_error.h"
#include "server/api/job.h"
#include "server/api/served_model.h"
#include "server/http/exchange.h"
#include "server/openai/response_store.h"

namespace minimax::server {

/// Requests in the engine by the id that their client knows.
class RunningRequests {
 public:
  void add(const std::string& id, engine::RequestId request, const std::shared_ptr<Job>& job);
  void remove(const std::string& id, engine::RequestId request);
  std::vector<engine::RequestId> find(const std::string& id) const;
  /// All of them, and those that are added later, end with this error, at once and whatever the engine does. Returns
  /// those that were there.
  std::vector<engine::RequestId> cut(const ApiError& error);

 private:
  struct Running {
    engine::RequestId request;
    std::weak_ptr<Job> job;
  };
  mutable std::mutex mutex_;
  std::multimap<std::string, Running> requests_;
  std::optional<ApiError> cut_;
};

struct Service {
  const ServedModel& model;
  std::filesystem::path session_folder;  ///< empty: sessions stay in memory
  int64_t max_body_bytes = 32 << 20;
  // Shared with the requests that run: the engine may outlive the service.
  std::shared_ptr<RunningRequests> running = std::make_shared<RunningRequests>();
  std::shared_ptr<ResponseStore> responses = std::make_shared<ResponseStore>();
};

/// The body as JSON. Throws ApiError or kInvalidArgument for one that is none.
io::json::value read_body(const Exchange& exchange, const Service& service);

/// Sends requests on their way; they are cancelled when the client leaves. `id` is what it knows them by. Throws as
/// Engine::submit does, and then none is on its way.
void start_job(Service& service, AnswerSpec spec, std::unique_ptr<AnswerWriter> writer,
               const std::shared_ptr<Exchange>& exchange, const std::string& id);
void start_jobs(Service& service, std::vector<AnswerSpec> specs, std::unique_ptr<AnswerWriter> writer,
                const std::shared_ptr<Exchange>& exchange, const std::string& id);

/// Answers with a JSON value.
void respond_json(Exchange& exchange, const io::json::value& value);

}  // namespace minimax::server
