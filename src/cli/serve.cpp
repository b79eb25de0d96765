#include "cli/serve.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>

#include "cli/built_in.h"
#include "cli/common_flags.h"
#include "cli/device.h"
#include "cli/host_model.h"
#include "cli/input.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "cpu/isa.h"
#include "engine/engine.h"
#include "model/placement.h"
#include "server/api/answer_writer.h"
#include "server/api/constraint.h"
#include "server/app.h"

namespace minimax::cli {
namespace {

namespace fs = std::filesystem;

// Tells systemd, when it is listening (Type=notify). The protocol is one datagram.
void notify_manager(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (!path || !*path) return;
  sockaddr_un address{.sun_family = AF_UNIX};
  const size_t length = std::strlen(path);
  if (length >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return;
  sendto(descriptor, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
         static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
  close(descriptor);
}

// One line a request, from the server's threads.
class AccessLog {
 public:
  explicit AccessLog(const std::string& where) {
    if (where == "off") return;
    file_ = where == "-" ? stderr : std::fopen(where.c_str(), "ae");
    MM_CHECK_KIND(kIo, file_, "cannot write the access log ", where, ": ", std::strerror(errno));
  }
  ~AccessLog() {
    if (file_ && file_ != stderr) std::fclose(file_);
  }
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  bool on() const { return file_ != nullptr; }
  void write(const std::string& line) {
    const std::lock_guard lock(mutex_);
    std::fputs((line + "\n").c_str(), file_);
    std::fflush(file_);
  }

 private:
  std::mutex mutex_;
  std::FILE* file_ = nullptr;
};

bool is_loopback(const std::string& host) {
  return host == "localhost" || host.starts_with("127.") || host == "::1";
}

engine::EngineOptions engine_options(const ServeOptions& options, const ModelConfig& config,
                                     const text::Tokenizer& tokenizer, cuda::Gpu* gpu) {
  engine::EngineOptions engine;
  if (options.model.context_size > 0) engine.context = options.model.context_size;
  engine.context = std::min(engine.context, config.max_positions);
  if (!options.memory.empty()) engine.memory_bytes = parse_bytes(options.memory, "--memory", "serve");
  engine.max_running = options.max_running;
  engine.max_waiting = options.max_waiting;
  engine.max_sessions = options.max_sessions;
  engine.step_tokens = std::max(options.step_tokens, options.max_running);  // a step has a token for every answer
  engine.prefix_cache = options.prefix_cache;
  engine.speculation.max_drafts = options.drafts;
  engine.thinking = std::make_shared<engine::ThinkingFormat>(engine::thinking_format(tokenizer));
  engine.precision = precision_of(options.model, gpu);
  engine.kv_precision = options.model.kv_precision;
  engine.gpu = gpu;
  engine.deterministic = options.model.deterministic;
  engine.spill_folder = options.spill_folder;
  if (!options.spill.empty()) engine.spill_bytes = parse_bytes(options.spill, "--spill", "serve");
  return engine;
}

server::ServedModel served_model(const ServeOptions& options, const ModelConfig& config,
                                 const text::Tokenizer& tokenizer) {
  server::ServedModel served{.names = options.names,
                             .any_name = options.any_name,
                             .tokenizer = tokenizer,
                             .constraints = std::make_shared<server::Constraints>(tokenizer, config.vocab),
                             .sampling = options.sampling.params};
  if (served.names.empty()) served.names = {fs::canonical(options.model.model).filename().string()};
  const std::string& chosen = options.chat_template;
  served.chat = {.keep_reasoning = options.keep_reasoning, .keep_all_text = true};
  if (chosen == "auto")
    served.prompt_template = text::PromptTemplate::load(options.model.model, tokenizer);
  else if (chosen == "official" || chosen == "tools")
    served.chat.chat_template = text::parse_chat_template(chosen);
  else
    served.prompt_template = text::PromptTemplate::from_file(chosen, tokenizer);
  if (!options.system.empty()) served.chat.default_system_prompt = options.system;
  if (options.sampling.max_tokens > 0) served.max_answer_tokens = options.sampling.max_tokens;
  served.max_thinking_tokens = options.max_thinking_tokens;
  served.created = server::unix_seconds();
  if (options.reasoning_field == "reasoning_content")
    served.reasoning_fields = server::ReasoningFields::kReasoningContent;
  if (options.reasoning_field == "reasoning") served.reasoning_fields = server::ReasoningFields::kReasoning;

  std::vector<int32_t>& stops = served.stop_ids;
  stops.assign(served.tokenizer.stop_ids().begin(), served.tokenizer.stop_ids().end());
  for (const int64_t id : config.eos) stops.push_back(static_cast<int32_t>(id));
  std::sort(stops.begin(), stops.end());
  stops.erase(std::unique(stops.begin(), stops.end()), stops.end());
  for (int64_t id = 0; id < config.vocab; ++id) {
    const auto token = static_cast<int32_t>(id);
    if (!served.tokenizer.is_ordinary(token) && !std::binary_search(stops.begin(), stops.end(), token))
      served.banned.push_back(token);
  }
  return served;
}

server::AppOptions app_options(const ServeOptions& options, AccessLog& log) {
  server::AppOptions app;
  app.http.host = options.host;
  app.http.port = static_cast<uint16_t>(options.port);
  app.http.tls_certificate = options.tls_certificate;
  app.http.tls_key = options.tls_key;
  app.http.max_connections = options.max_connections;
  app.http.max_body_bytes = options.max_body_mb << 20;
  app.gate.keys = options.api_keys;
  if (!options.api_key_file.empty())
    for (std::string& key : server::Gate::read_keys(options.api_key_file)) app.gate.keys.push_back(std::move(key));
  app.gate.cors_origins = options.cors_origins;
  app.gate.allowed_hosts = options.allowed_hosts;
  app.gate.local_only = is_loopback(options.host);
  app.session_folder = options.session_folder;
  app.vllm_metrics = options.vllm_metrics;
  app.web = options.web;
  if (log.on()) app.access_log = [&log](const std::string& line) { log.write(line); };
  return app;
}

// Signals are taken by one thread that waits for them; call before any other thread starts.
sigset_t hold_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return set;
}

// For the last events to reach their clients.
constexpr std::chrono::seconds kFarewell{2};

// The first signal: nothing new, and what runs has `grace` seconds; the second, or the end of them: what still runs is
// told so, and then the end.
void serve_until_signal(server::App& app, const sigset_t& signals, double grace, Terminal& terminal) {
  std::atomic<bool> over{false};
  std::thread watcher([&] {
    using Clock = std::chrono::steady_clock;
    std::optional<Clock::time_point> end;
    bool cut = false;
    while (!over) {
      const timespec tick{.tv_sec = 0, .tv_nsec = 50'000'000};
      const bool asked = sigtimedwait(&signals, nullptr, &tick) > 0;
      if (asked && !end) {
        notify_manager("STOPPING=1");
        terminal.info("shutting down: finishing what runs; once more to stop at once");
        app.drain();
        end = Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(grace * 1e3));
      } else if (end && app.drained()) {
        return app.stop();
      } else if (end && (asked || Clock::now() > *end)) {
        if (cut) return app.stop();
        cut = true;
        app.cut();
        end = Clock::now() + kFarewell;
      }
    }
  });
  app.run();
  over = true;
  watcher.join();
}

constexpr int kLastSteps = 4;
constexpr std::string_view kSessionExtension = ".session";

// Sessions outlive the server: what was saved at the end of the last one is there again.
void restore_sessions(engine::Engine& engine, const std::string& folder, Terminal& terminal) {
  if (folder.empty()) return;
  fs::create_directories(folder);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != kSessionExtension) continue;
    try {
      engine.load_session(entry.path());
    } catch (const Error& error) {
      terminal.warn(fmt::format("{}: not restored: {}", entry.path().string(), error.what()));
    }
  }
}

void save_sessions(engine::Engine& engine, const std::string& folder, Terminal& terminal) {
  if (folder.empty()) return;
  for (const engine::SessionInfo& session : engine.sessions()) {
    try {
      engine.save_session(session.name, fs::path(folder) / (session.name + std::string(kSessionExtension)));
    } catch (const Error& error) {
      terminal.warn(fmt::format("session {}: not saved: {}", session.name, error.what()));
    }
  }
}

}  // namespace

int run_verb(const ServeOptions& options, Session& session) {
  check_model_folder(options.model.model);
  const sigset_t signals = hold_signals();
  Terminal& terminal = session.terminal;
  const fs::path folder = options.model.model;
  terminal.progress(fmt::format("loading {}…", fs::canonical(folder).filename().string()));
  ThreadPool threads(session.global.threads);
  const std::unique_ptr<cuda::Gpu> gpu = open_device(options.model);
  const Context placing{.device = gpu ? Device::kCuda : Device::kCpu,
                        .gpu = gpu.get(),
                        .threads = &threads,
                        .matmul_precision = precision_of(options.model, gpu.get())};
  const MiniMaxM1 model = place_model(placing, load_host_model(options.model, folder, threads));
  for (const std::string& warning : model.config.warnings) terminal.warn(warning);
  const text::Tokenizer tokenizer = text::Tokenizer::load(folder);
  server::ServedModel served = served_model(options, model.config, tokenizer);  // requests that run look at it
  for (const std::string& doubt : served.prompt_template.doubts())
    terminal.warn(fmt::format("chat template, {}: conversations that reach it will fail", doubt));
  engine::Engine engine(model, threads, engine_options(options, model.config, tokenizer, gpu.get()));
  AccessLog log(options.access_log);
  served.engine = &engine;
  server::App app(served, app_options(options, log));
  restore_sessions(engine, options.session_folder, terminal);
  engine.start();
  terminal.clear_progress();
  if (!is_loopback(options.host) && options.api_keys.empty() && options.api_key_file.empty())
    terminal.warn(
        fmt::format("{} can be reached from other machines, and no key is asked for: whoever gets there may "
                    "use this server (--api-key, --api-key-file)",
                    options.host));
  const bool wide = options.host.find(':') != std::string::npos;
  terminal.print_line(fmt::format("serving at {}://{}{}{}:{}", options.tls_key.empty() ? "http" : "https",
                                  wide ? "[" : "", options.host, wide ? "]" : "", app.port()));
  terminal.flush();
  notify_manager("READY=1");
  serve_until_signal(app, signals, options.shutdown_seconds, terminal);
  engine.stop();
  // What was still running was cancelled: a step ends it where it is, and its session keeps that.
  for (int steps = 0; steps < kLastSteps && engine.step();) ++steps;
  save_sessions(engine, options.session_folder, terminal);
  return 0;
}

Command define_serve() {
  auto options = std::make_shared<ServeOptions>();
  Command command{
      .name = "serve",
      .summary = "an HTTP server that OpenAI's clients can use, with a chat page",
      .usage = "[MODEL] [flags]",
      .description =
          "Answers /v1/chat/completions, /v1/completions, /v1/responses, /v1/messages and more "
          "(docs/server.md); the chat page is at /. SIGTERM or Ctrl-C finishes what runs, then ends.",
      .arguments = {{"MODEL", "folder with config.json, *.safetensors and tokenizer files; or nano",
                     ValueKind::kFolder}},
      .examples = {{"minimax serve MODEL", "at http://127.0.0.1:8080, for this machine only"},
                   {"minimax serve MODEL --host 0.0.0.0 --api-key-file keys.txt --tls-cert c.pem --tls-key k.pem"}},
      .run = [options](Command& self, Session& session) {
        if (options->model.model.empty() && self.words.empty()) options->model.model = kBuiltInModel;
        options->model.model = take_model(self, options->model.model);
        return run_verb(*options, session);
      }};
  ServeOptions& o = *options;
  command.group("Server");
  command.text("--host", o.host, "ADDRESS", "listen here; 0.0.0.0 for every interface", ValueKind::kText, "127.0.0.1");
  command.number("-p,--port", o.port, "N", "0 for any free one", "8080", 0, 65535);
  command.text("--api-key", o.api_keys, "KEY", "clients must give this key; may be given several times");
  command.text("--api-key-file", o.api_key_file, "FILE", "keys, one a line", ValueKind::kFile);
  command.text("--tls-cert,--ssl-cert-file,--ssl-certfile", o.tls_certificate, "FILE", "certificate chain in PEM",
               ValueKind::kFile);
  command.text("--tls-key,--ssl-key-file,--ssl-keyfile", o.tls_key, "FILE", "its private key in PEM", ValueKind::kFile);
  command.text("--cors-origin", o.cors_origins, "ORIGIN",
               "whose pages may use the server, as https://chat.example; may be given several times");
  command.text("--allowed-host", o.allowed_hosts, "NAME",
               "a name the server goes by behind a proxy; may be given several times");
  command.negative_flag("--no-web", o.web, "no chat page at /");
  command.text("--access-log", o.access_log, "FILE", "one JSON line a request, without texts; - for stderr, or off",
               ValueKind::kFile, "-");
  command.flag("--vllm-metrics", o.vllm_metrics, "/metrics has vLLM's names too");
  command.number("--max-connections", o.max_connections, "N", "open at a time", "10000", 1, 1000000);
  command.number("--max-body-mb", o.max_body_mb, "N", "largest request", "32", 1, 4096);
  command.number("--shutdown-seconds", o.shutdown_seconds, "S", "for running requests after SIGTERM", "30", 0);

  command.group("Requests");
  command.text("--name,--served-model-name,--alias", o.names, "NAME",
               "what the model is called; may be given several times", ValueKind::kText, "the folder's name");
  command.negative_flag("--strict-name", o.any_name, "refuse requests for a model of another name");
  command.number("--max-running,--max-num-seqs,--parallel", o.max_running, "N", "answers in a batch", "16", 1, 65536);
  command.number("--max-waiting", o.max_waiting, "N", "requests that may wait; more get 429", "256", 0, 1000000);
  command.number("--step-tokens,--max-num-batched-tokens,--batch-size", o.step_tokens, "N",
                 "tokens of one forward pass", "512", 1, 1 << 20);
  command.text("--memory", o.memory, "SIZE", "for caches of running and past requests, as 8GB", ValueKind::kText,
               "two full contexts");
  command.negative_flag("--no-prefix-cache", o.prefix_cache, "compute every prompt from its start");
  command.text("--spill-folder", o.spill_folder, "FOLDER", "cached prefixes that leave memory go here",
               ValueKind::kFolder);
  command.text("--spill", o.spill, "SIZE", "at most so much of them, as 100GB");
  command.text("--session-folder,--slot-save-path", o.session_folder, "FOLDER", "where /v1/sessions saves",
               ValueKind::kFolder);
  command.number("--max-sessions", o.max_sessions, "N", "kept in memory; the one used longest ago gives way", "1000", 1,
                 1000000);
  command.number("--drafts", o.drafts, "N", "speculate up to N tokens by prompt lookup; changes no token", "0: off", 0,
                 64);

  command.group("Chat");
  command.text("--chat-template", o.chat_template, "NAME",
               "official or tools, which are MiniMax-M1's, or a file with a Jinja template", ValueKind::kFile,
               "the model folder's");
  command.text("--system", o.system, "TEXT", "system prompt of conversations without one");
  command.number("--max-thinking-tokens,--reasoning-budget", o.max_thinking_tokens, "N",
                 "longest thinking; 0 for none, -1 for no limit", "-1", -1);
  command.flag("--keep-reasoning,--reasoning-preserve", o.keep_reasoning,
               "the thinking of earlier turns stays in the prompt");
  command.choice<std::string>(
      "--reasoning-field", o.reasoning_field, "NAME", "where answers tell their thinking",
      {{"both", "both"}, {"reasoning_content", "reasoning_content"}, {"reasoning", "reasoning"}}, "both");
  add_sampling_flags(command, o.sampling);
  add_model_flags(command, o.model);
  return command;
}

}  // namespace minimax::cli
