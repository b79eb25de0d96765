#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "engine/scheduler.h"

namespace minimax::engine {
namespace {

void check_ids(const char* what, std::span<const int32_t> ids, int64_t vocab) {
  for (const int32_t id : ids) MM_CHECK(id >= 0 && id < vocab, what, " ", id, ", expected 0 to ", vocab - 1);
}

/// What can be said of a request before it waits its turn.
void validate(const Request& request, const EngineOptions& options, int64_t vocab, int64_t max_tokens) {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  MM_CHECK(prompt > 0, "the prompt is empty, expected at least one token");
  check_ids("prompt id", request.prompt, vocab);
  check_ids("stop id", request.stop_ids, vocab);
  check_ids("banned id", request.banned, vocab);
  request.sampling.validate(vocab);
  const int64_t answer = request.max_tokens == 0 ? 0 : 1;
  MM_CHECK(prompt + answer <= max_tokens, "the prompt has ", prompt, " tokens, the context holds ", max_tokens,
           " with the answer");
  MM_CHECK(request.n >= 1 && request.n <= 1024, "n is ", request.n, ", expected 1 to 1024");
  MM_CHECK(request.best_of == 0 || (request.best_of >= request.n && request.best_of <= 1024), "best_of is ",
           request.best_of, ", expected 0, or n = ", request.n, " to 1024");
  MM_CHECK(request.prompt_logprobs <= vocab, "prompt_logprobs is ", request.prompt_logprobs, ", expected at most ",
           vocab);
  MM_CHECK(request.deadline_seconds >= 0, "deadline_seconds is ", request.deadline_seconds, ", expected at least 0");
  MM_CHECK(request.loop_guard.tokens >= 0, "loop_guard.tokens is ", request.loop_guard.tokens, ", expected at least 0");
  MM_CHECK(request.session.empty() || (options.prefix_cache && request.use_cache), "session \"", request.session,
           "\" without the prefix cache, expected it to be on");
  MM_CHECK(request.max_thinking_tokens < 0 || options.thinking, "max_thinking_tokens is ", request.max_thinking_tokens,
           ", but this engine does not know how its model marks thinking");
}

void validate(const EngineOptions& options) {
  MM_CHECK(options.context >= 1, "context is ", options.context, ", expected at least 1");
  MM_CHECK(options.memory_bytes >= 0, "memory_bytes is ", options.memory_bytes, ", expected at least 0");
  MM_CHECK(options.spill_bytes >= 0, "spill_bytes is ", options.spill_bytes, ", expected at least 0");
  MM_CHECK(options.admit_every >= 1, "admit_every is ", options.admit_every, ", expected at least 1");
  MM_CHECK(options.max_running >= 1, "max_running is ", options.max_running, ", expected at least 1");
  MM_CHECK(options.max_waiting >= 1, "max_waiting is ", options.max_waiting, ", expected at least 1");
  MM_CHECK(options.max_sessions >= 1, "max_sessions is ", options.max_sessions, ", expected at least 1");
  MM_CHECK(options.step_tokens >= options.max_running, "step_tokens is ", options.step_tokens,
           ", expected at least max_running, ", options.max_running);
  const Speculation& speculation = options.speculation;
  MM_CHECK(speculation.max_drafts >= 0 && speculation.min_match >= 1 && speculation.max_match >= speculation.min_match,
           "speculation of ", speculation.max_drafts, " tokens after matches of ", speculation.min_match, " to ",
           speculation.max_match, ", expected at least 0, 1 and the same");
  MM_CHECK(options.snapshots.every_tokens >= 0, "snapshots.every_tokens is ", options.snapshots.every_tokens,
           ", expected at least 0");
}

}  // namespace

/// Three parties: callers leave requests and wishes in the mailbox; whoever steps takes them out; and those who want
/// the engine to stand still for a moment (update_weights, sessions) take the step's lock, before the next step does.
struct Engine::Impl {
  Impl(const MiniMaxM1& model, ThreadPool& threads, EngineOptions given)
      : options((validate(given), std::move(given))),
        config(model.config),
        scheduler(model, threads, options),
        max_tokens(scheduler.seats().max_tokens()) {
    publish();
  }

  bool step();
  void take_mail();
  void publish();
  void loop();
  void halt();
  template <typename Work>
  auto between_steps(const Work& work);

  const EngineOptions options;
  const ModelConfig& config;

  std::mutex stepping;  // held for a whole step; everything in `scheduler`
  Scheduler scheduler;
  const int64_t max_tokens;
  std::atomic<int> waiting_for_pause{0};

  mutable std::mutex mutex;  // everything below; never held while a step or a listener runs
  std::condition_variable wake;
  std::vector<std::unique_ptr<Job>> inbox;
  std::vector<RequestId> cancels, endings;
  std::unordered_set<RequestId> live;
  EngineStats published;
  int64_t refused = 0;
  RequestId next_id = 1;
  bool idle = true;
  bool stopping = false;
  std::thread thread;
};

bool Engine::Impl::step() {
  const std::lock_guard standing(stepping);
  take_mail();
  // Whoever submits during the pass counts those who wait behind it, and not those who have a seat in it.
  const bool worked = scheduler.step([this] { publish(); });
  publish();
  return worked;
}

void Engine::Impl::take_mail() {
  std::vector<std::unique_ptr<Job>> jobs;
  std::vector<RequestId> to_cancel, to_close;
  {
    const std::lock_guard lock(mutex);
    jobs.swap(inbox);
    published.requests_waiting += static_cast<int64_t>(jobs.size());
    to_cancel.swap(cancels);
    to_close.swap(endings);
  }
  for (auto& job : jobs) scheduler.add(std::move(job));
  for (const RequestId id : to_cancel) scheduler.cancel(id);
  for (const RequestId id : to_close) scheduler.end_thinking(id);
}

void Engine::Impl::publish() {
  EngineStats now = scheduler.stats();
  const std::vector<RequestId> ended = scheduler.take_ended();
  const std::lock_guard lock(mutex);
  for (const RequestId id : ended) live.erase(id);
  published = now;
  idle = scheduler.idle();
}

void Engine::Impl::loop() {
  for (;;) {
    {
      std::unique_lock lock(mutex);
      wake.wait(lock, [&] {
        return stopping ||
               (waiting_for_pause == 0 && (!idle || !inbox.empty() || !cancels.empty() || !endings.empty()));
      });
      if (stopping) return;
    }
    step();
  }
}

void Engine::Impl::halt() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  if (thread.joinable()) thread.join();
  const std::lock_guard lock(mutex);
  stopping = false;
}

template <typename Work>
auto Engine::Impl::between_steps(const Work& work) {
  struct Pause {
    explicit Pause(Impl& impl) : impl(impl) { ++impl.waiting_for_pause; }
    ~Pause() {
      {
        const std::lock_guard lock(impl.mutex);
        --impl.waiting_for_pause;
      }
      impl.wake.notify_all();
    }
    Impl& impl;
  };
  const Pause pause(*this);
  const std::lock_guard standing(stepping);
  struct Publish {
    ~Publish() { impl.publish(); }
    Impl& impl;
  };
  const Publish after{*this};
  return work();
}

Engine::Engine(const MiniMaxM1& model, ThreadPool& threads, EngineOptions options)
    : impl_(std::make_unique<Impl>(model, threads, std::move(options))) {}

Engine::~Engine() {
  impl_->halt();
  const std::lock_guard standing(impl_->stepping);
  impl_->take_mail();  // what never ran is cancelled with the rest by the scheduler's end
}

RequestId Engine::submit(Request request, std::shared_ptr<Listener> listener) {
  Impl& impl = *impl_;
  validate(request, impl.options, impl.config.vocab, impl.max_tokens);
  MM_CHECK(listener != nullptr, "a request needs a listener");
  auto job = std::make_unique<Job>();
  job->request = std::move(request);
  job->listener = std::move(listener);
  job->submitted = Clock::now();
  RequestId id = 0;
  {
    const std::lock_guard lock(impl.mutex);
    const int64_t waiting = impl.published.requests_waiting + static_cast<int64_t>(impl.inbox.size());
    if (waiting >= impl.options.max_waiting) {
      ++impl.refused;
      const Histogram& past = impl.published.request_seconds;
      const double each = past.total() > 0 ? past.sum() / static_cast<double>(past.total()) : 1;
      const double wait = each * static_cast<double>(waiting) / static_cast<double>(impl.options.max_running);
      throw QueueFull(cat(waiting, " requests wait already, expected fewer than ", impl.options.max_waiting),
                      std::clamp(wait, 1.0, 60.0));
    }
    id = job->id = impl.next_id++;
    // A job that shares nothing has a name of its own in the prefix cache; no caller's salt begins like that.
    const bool shared = job->request.use_cache && impl.options.prefix_cache;
    job->salt = shared ? "s" + job->request.cache_salt : cat("j", id);
    impl.live.insert(id);
    impl.inbox.push_back(std::move(job));
  }
  impl.wake.notify_all();
  return id;
}

void Engine::cancel(RequestId id) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->live.count(id) == 0) return;
    impl_->cancels.push_back(id);
  }
  impl_->wake.notify_all();
}

bool Engine::end_thinking(RequestId id) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->live.count(id) == 0) return false;
    impl_->endings.push_back(id);
  }
  impl_->wake.notify_all();
  return true;
}

bool Engine::step() {
  return impl_->step();
}

void Engine::run() {
  while (step()) {
  }
}

void Engine::start() {
  if (!impl_->thread.joinable()) impl_->thread = std::thread([this] { impl_->loop(); });
}

void Engine::stop() {
  impl_->halt();
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(impl_->mutex);
  EngineStats now = impl_->published;
  now.requests_waiting += static_cast<int64_t>(impl_->inbox.size());
  now.requests_refused = impl_->refused;
  return now;
}

const EngineOptions& Engine::options() const {
  return impl_->options;
}

const ModelConfig& Engine::config() const {
  return impl_->config;
}

int64_t Engine::max_tokens() const {
  return impl_->max_tokens;
}

void Engine::update_weights(const std::function<void()>& change, bool recompute) {
  impl_->between_steps([&] {
    change();
    impl_->scheduler.weights_changed(recompute);
  });
}

int64_t Engine::weights_version() const {
  return stats().weights_version;
}

void Engine::clear_cache() {
  impl_->between_steps([&] {
    impl_->scheduler.sessions().clear();
    impl_->scheduler.seats().prefixes().clear();
    impl_->scheduler.seats().spill().clear();
  });
}

std::vector<SessionInfo> Engine::sessions() const {
  return impl_->between_steps([&] { return impl_->scheduler.sessions().list(); });
}

bool Engine::drop_session(const std::string& name) {
  return impl_->between_steps([&] { return impl_->scheduler.sessions().drop(name); });
}

SessionInfo Engine::save_session(const std::string& name, const std::filesystem::path& path) {
  return impl_->between_steps([&] { return impl_->scheduler.sessions().save(name, path); });
}

SessionInfo Engine::load_session(const std::filesystem::path& path) {
  return impl_->between_steps([&] { return impl_->scheduler.sessions().load(path); });
}

}  // namespace minimax::engine
