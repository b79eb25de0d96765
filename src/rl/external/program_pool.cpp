#include "rl/external/program_pool.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "rl/external/timed_stream.h"

namespace minimax::rl {
namespace {

using Clock = TimedStream::Clock;

[[noreturn]] void fail(const std::string& why) {
  throw Error(ErrorKind::kIo, why);
}

/// While it lives a broken pipe is an error of this thread's write(), not a signal.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoPipeSignal() {
    const timespec now{};
    while (sigtimedwait(&pipe_, nullptr, &now) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoPipeSignal(const NoPipeSignal&) = delete;
  NoPipeSignal& operator=(const NoPipeSignal&) = delete;

 private:
  sigset_t pipe_, before_;
};

}  // namespace

class ProgramPool::Program {
 public:
  explicit Program(const std::vector<std::string>& command) {
    int in[2], out[2];
    MM_CHECK_KIND(kIo, ::pipe2(in, O_CLOEXEC) == 0, "verifier: cannot make a pipe");
    TimedStream in_read(in[0]), in_write(in[1]);
    MM_CHECK_KIND(kIo, ::pipe2(out, O_CLOEXEC) == 0, "verifier: cannot make a pipe");
    TimedStream out_read(out[0]), out_write(out[1]);
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
  ~Program() { end(); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string ask(const std::string& line, Clock::time_point deadline) {
    {
      const NoPipeSignal quiet;
      to_.write_all(line + "\n", deadline);
    }
    while (buffer_.find('\n') == std::string::npos) {
      const std::string more = from_.read_some(deadline);
      if (more.empty()) {
        const int signal = end();
        fail(signal ? cat("it ended by signal ", signal) : "it ended");
      }
      buffer_ += more;
      if (buffer_.size() > kMostAnswer) fail("its answer is too long");
    }
    const size_t end = buffer_.find('\n');
    std::string answer = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    return answer;
  }

 private:
  /// Kills it. Returns the signal by which it had ended before, or 0.
  int end() {
    if (process_ <= 0) return 0;
    ::kill(-process_, SIGKILL);
    int status = 0;
    while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
    process_ = -1;
    return WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL ? WTERMSIG(status) : 0;
  }

  pid_t process_ = -1;
  TimedStream to_, from_;
  std::string buffer_;
};

ProgramPool::ProgramPool(std::vector<std::string> command, int64_t keep) : command_(std::move(command)), keep_(keep) {
  MM_CHECK(!command_.empty(), "verifier: no command");
}

ProgramPool::~ProgramPool() = default;

std::string ProgramPool::ask(const std::string& line, double timeout_seconds) {
  const auto deadline = Clock::now() + std::chrono::microseconds(static_cast<int64_t>(timeout_seconds * 1e6));
  std::unique_ptr<Program> program;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      program = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!program) program = std::make_unique<Program>(command_);
  std::string answer = program->ask(line, deadline);  // one that fails is not used again
  const std::lock_guard lock(mutex_);
  if (static_cast<int64_t>(idle_.size()) < keep_) idle_.push_back(std::move(program));
  return answer;
}

}  // namespace minimax::rl
