#include "rl/external/external_verifier.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "rl/answer.h"

namespace minimax::rl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostAnswer = 1 << 20;

struct Url {
  std::string host, port, path;
};

Url parse_url(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  MM_CHECK(url.starts_with(kScheme), "verifier: url \"", url, "\", expected http://host[:port]/path");
  std::string rest = url.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  Url out{.host = rest.substr(0, slash), .port = "80", .path = slash < rest.size() ? rest.substr(slash) : "/"};
  if (const size_t colon = out.host.rfind(':'); colon != std::string::npos) {
    out.port = out.host.substr(colon + 1);
    out.host.resize(colon);
  }
  MM_CHECK(!out.host.empty() && !out.port.empty() && out.port.find_first_not_of("0123456789") == std::string::npos,
           "verifier: url \"", url, "\", expected http://host[:port]/path");
  return out;
}

[[noreturn]] void fail(const std::string& why) {
  throw Error(ErrorKind::kIo, why);
}

/// A file descriptor with a deadline on what is done with it.
class Stream {
 public:
  explicit Stream(int fd = -1) : fd_(fd) {
    if (fd_ >= 0) ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
  }
  Stream(Stream&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Stream() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  void write_all(std::string_view text, Clock::time_point deadline) {
    while (!text.empty()) {
      wait(POLLOUT, deadline);
      const ssize_t now =
          is_socket_ ? ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) : ::write(fd_, text.data(), text.size());
      if (now < 0 && errno != EAGAIN && errno != EINTR) fail("it takes no more input");
      if (now > 0) text.remove_prefix(static_cast<size_t>(now));
    }
  }
  /// Empty at the end.
  std::string read_some(Clock::time_point deadline) {
    for (;;) {
      wait(POLLIN, deadline);
      char buffer[16384];
      const ssize_t now = ::read(fd_, buffer, sizeof buffer);
      if (now >= 0) return {buffer, static_cast<size_t>(now)};
      if (errno != EAGAIN && errno != EINTR) fail("its output cannot be read");
    }
  }
  void wait(short what, Clock::time_point deadline) {
    const double left = std::chrono::duration<double>(deadline - Clock::now()).count();
    pollfd polled{fd_, what, 0};
    if (left <= 0 || ::poll(&polled, 1, static_cast<int>(std::ceil(left * 1000))) == 0) fail("timeout");
  }
  void is_socket() { is_socket_ = true; }

 private:
  int fd_ = -1;
  bool is_socket_ = false;
};

std::string post(const Url& url, const std::string& body, Clock::time_point deadline) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found) != 0) fail("no such host: " + url.host);
  Stream stream;
  for (const addrinfo* at = found; at && !stream.open(); at = at->ai_next) {
    Stream tried(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol));
    if (!tried.open()) continue;
    if (::connect(tried.fd(), at->ai_addr, at->ai_addrlen) != 0) {
      if (errno != EINPROGRESS) continue;
      tried.wait(POLLOUT, deadline);
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(tried.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) continue;
    }
    stream = std::move(tried);
  }
  ::freeaddrinfo(found);
  if (!stream.open()) fail(cat("no connection to ", url.host, ":", url.port));
  stream.is_socket();
  stream.write_all(
      cat("POST ", url.path, " HTTP/1.0\r\nHost: ", url.host,
          "\r\nContent-Type: application/json\r\nContent-Length: ", body.size(), "\r\nConnection: close\r\n\r\n", body),
      deadline);
  std::string answer;
  for (std::string more = stream.read_some(deadline); !more.empty(); more = stream.read_some(deadline)) {
    answer += more;
    if (answer.size() > kMostAnswer) fail("its answer is too long");
  }
  const size_t head = answer.find("\r\n\r\n");
  const size_t space = answer.find(' ');
  if (!answer.starts_with("HTTP/1.") || head == std::string::npos || space == std::string::npos)
    fail("its answer is no HTTP");
  if (answer.substr(space + 1, 3) != "200") fail("HTTP status " + answer.substr(space + 1, 3));
  return answer.substr(head + 4);
}

}  // namespace

/// A running program.
class ExternalVerifier::Worker {
 public:
  explicit Worker(const std::vector<std::string>& command) {
    int in[2], out[2];
    MM_CHECK_KIND(kIo, ::pipe2(in, O_CLOEXEC) == 0, "verifier: cannot make a pipe");
    Stream in_read(in[0]), in_write(in[1]);
    MM_CHECK_KIND(kIo, ::pipe2(out, O_CLOEXEC) == 0, "verifier: cannot make a pipe");
    Stream out_read(out[0]), out_write(out[1]);
    // The program's own ends block as usual.
    ::fcntl(in[0], F_SETFL, 0);
    ::fcntl(out[1], F_SETFL, O_WRONLY);
    std::vector<std::string> words = command;
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    // A group of its own: Ctrl-C ends our run in order, and it with us.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int error = ::posix_spawnp(&process_, arguments[0], &actions, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) {
      process_ = -1;
      fail(cat(command[0], " cannot be started: ", std::strerror(error)));
    }
    to_ = std::move(in_write);
    from_ = std::move(out_read);
  }
  ~Worker() {
    if (process_ <= 0) return;
    ::kill(-process_, SIGKILL);
    while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  std::string ask(const std::string& line, Clock::time_point deadline) {
    sigset_t pipe, before;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);  // of this thread; a broken pipe is an error of write()
    try {
      to_.write_all(line + "\n", deadline);
    } catch (const Error&) {
      const timespec now{};
      while (sigtimedwait(&pipe, nullptr, &now) > 0) {
      }
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      throw;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    while (buffer_.find('\n') == std::string::npos) {
      const std::string more = from_.read_some(deadline);
      if (more.empty()) fail("it ended");
      buffer_ += more;
      if (buffer_.size() > kMostAnswer) fail("its answer is too long");
    }
    const size_t end = buffer_.find('\n');
    std::string answer = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    return answer;
  }

 private:
  pid_t process_ = -1;
  Stream to_, from_;
  std::string buffer_;
};

ExternalVerifier::ExternalVerifier(ExternalOptions options) : options_(std::move(options)) {
  MM_CHECK(options_.command.empty() != options_.url.empty(), "verifier \"", options_.name,
           "\": expected a command or a url, and not both");
  if (!options_.url.empty()) parse_url(options_.url);
}

ExternalVerifier::~ExternalVerifier() = default;

std::string ExternalVerifier::ask(const std::string& line) {
  const auto deadline = Clock::now() + std::chrono::microseconds(static_cast<int64_t>(options_.timeout_seconds * 1e6));
  if (!options_.url.empty()) return post(parse_url(options_.url), line, deadline);
  std::unique_ptr<Worker> worker;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      worker = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!worker) worker = std::make_unique<Worker>(options_.command);
  std::string answer = worker->ask(line, deadline);  // one that fails is not used again
  const std::lock_guard lock(mutex_);
  if (static_cast<int64_t>(idle_.size()) < options_.workers) idle_.push_back(std::move(worker));
  return answer;
}

Score ExternalVerifier::score(const Problem& problem, const Attempt& attempt) {
  const auto begin = Clock::now();
  Score score;
  score.verifier_version = problem.verifier.version;
  const Answer answer = extract_answer(attempt.text, /*think_required=*/false);
  score.extracted = answer.text;
  try {
    io::json::object request;
    request["problem"] = to_json(problem);
    request["text"] = attempt.text;
    request["answer"] = answer.text;
    request["finished"] = attempt.finished;
    const io::json::value reply = io::parse_json(ask(io::write_json(request)), "answer of verifier " + options_.name);
    const io::JsonField field(reply, "answer of verifier " + options_.name);
    if (field["score"].has_value()) score.score = field["score"].number(-100, 100);
    score.correct = field["correct"].boolean_or(score.score && *score.score >= 1);
    score.format_ok = field["format_ok"].boolean_or(true);
    score.why = field["why"].string_or(score.correct ? "correct" : "wrong_value");
  } catch (const Error& error) {
    score = {.extracted = score.extracted, .why = error.what(), .verifier_version = score.verifier_version};
  }
  score.ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
  return score;
}

}  // namespace minimax::rl
