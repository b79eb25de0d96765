#include "server/api/service.h"

#include "io/json.h"
#include "server/api/writer_group.h"

namespace minimax::server {
namespace {

// A prompt may be a million ids. An element of an array takes some 30 bytes.
constexpr int64_t kMaxValues = 4'000'000;

}  // namespace

void RunningRequests::add(const std::string& id, engine::RequestId request, const std::shared_ptr<Job>& job) {
  std::optional<ApiError> cut;
  {
    const std::lock_guard lock(mutex_);
    requests_.emplace(id, Running{request, job});
    cut = cut_;
  }
  if (cut) job->abort(*cut);
}

std::vector<engine::RequestId> RunningRequests::cut(const ApiError& error) {
  std::vector<engine::RequestId> requests;
  std::vector<std::shared_ptr<Job>> jobs;
  {
    const std::lock_guard lock(mutex_);
    cut_ = error;
    for (const auto& [id, running] : requests_) {
      requests.push_back(running.request);
      if (auto job = running.job.lock()) jobs.push_back(std::move(job));
    }
  }
  for (const auto& job : jobs) job->abort(error);
  return requests;
}

void RunningRequests::remove(const std::string& id, engine::RequestId request) {
  const std::lock_guard lock(mutex_);
  for (auto [at, end] = requests_.equal_range(id); at != end; ++at)
    if (at->second.request == request) return (void)requests_.erase(at);
}

std::vector<engine::RequestId> RunningRequests::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  std::vector<engine::RequestId> found;
  for (auto [at, end] = requests_.equal_range(id); at != end; ++at) found.push_back(at->second.request);
  return found;
}

io::json::value read_body(const Exchange& exchange, const Service& service) {
  const std::string& body = exchange.request().body;
  if (body.empty()) throw ApiError(400, "the request has no body, expected a JSON object");
  io::json::value root = io::parse_json(body, "request",
                                        {.max_bytes = service.max_body_bytes,
                                         .max_depth = 100,
                                         .max_values = kMaxValues,
                                         .duplicate_keys = io::DuplicateKeys::kKeepLast});
  if (!root.is_object()) throw ApiError(400, "the request's body is not a JSON object");
  return root;
}

namespace {

// In the table of running requests from its start to its end. The engine may be done before the start has returned:
// then the end finds no id yet, and the start must not enter one.
class Entry {
 public:
  Entry(std::shared_ptr<RunningRequests> table, std::string id) : table_(std::move(table)), id_(std::move(id)) {}

  void started(engine::RequestId request, const std::shared_ptr<Job>& job) {
    const std::lock_guard lock(mutex_);
    request_ = request;
    if (!over_) table_->add(id_, request, job);
  }
  void over() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    if (request_) table_->remove(id_, *request_);
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<RunningRequests> table_;
  const std::string id_;
  std::optional<engine::RequestId> request_;
  bool over_ = false;
};

engine::RequestId submit(Service& service, AnswerSpec spec, std::unique_ptr<AnswerWriter> writer,
                         const std::shared_ptr<Exchange>& exchange, const std::string& id) {
  const auto job = std::make_shared<Job>(service.model, std::move(spec), std::move(writer), exchange);
  const auto entry = std::make_shared<Entry>(service.running, id);
  const engine::RequestId request = job->start([entry](const engine::Usage&) { entry->over(); });
  entry->started(request, job);
  return request;
}

}  // namespace

void start_job(Service& service, AnswerSpec spec, std::unique_ptr<AnswerWriter> writer,
               const std::shared_ptr<Exchange>& exchange, const std::string& id) {
  const engine::RequestId request = submit(service, std::move(spec), std::move(writer), exchange, id);
  exchange->on_gone([engine = service.model.engine, request] { engine->cancel(request); });
}

void start_jobs(Service& service, std::vector<AnswerSpec> specs, std::unique_ptr<AnswerWriter> writer,
                const std::shared_ptr<Exchange>& exchange, const std::string& id) {
  if (specs.size() == 1) return start_job(service, std::move(specs[0]), std::move(writer), exchange, id);
  const auto count = static_cast<int64_t>(specs.size());
  const auto group = std::make_shared<WriterGroup>(std::move(writer), count, specs[0].request.n);
  std::vector<engine::RequestId> requests;
  const auto cancel = [engine = service.model.engine](const std::vector<engine::RequestId>& all) {
    for (const engine::RequestId request : all) engine->cancel(request);
  };
  try {
    for (int64_t index = 0; index < count; ++index)
      requests.push_back(
          submit(service, std::move(specs[static_cast<size_t>(index)]), group->member(index), exchange, id));
  } catch (...) {
    group->abandon();
    cancel(requests);
    throw;
  }
  group->open();
  exchange->on_gone([cancel, requests] { cancel(requests); });
}

void respond_json(Exchange& exchange, const io::json::value& value) {
  exchange.respond({.body = io::write_json(value)});
}

}  // namespace minimax::server
