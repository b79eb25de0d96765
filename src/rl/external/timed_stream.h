// TimedStream: a file descriptor with a deadline on what is done with it.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace minimax::rl {

/// Longest answer that is read from anybody outside.
constexpr size_t kMostAnswer = 1 << 20;

/// Owns the descriptor. Everything that cannot be done in time throws kIo "timeout".
class TimedStream {
 public:
  using Clock = std::chrono::steady_clock;

  explicit TimedStream(int fd = -1);
  TimedStream(TimedStream&& other) noexcept : fd_(std::exchange(other.fd_, -1)), is_socket_(other.is_socket_) {}
  TimedStream& operator=(TimedStream&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(is_socket_, other.is_socket_);
    return *this;
  }
  ~TimedStream();

  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  /// Writes without SIGPIPE from now on; a pipe's writer must block that signal.
  void is_socket() { is_socket_ = true; }

  void write_all(std::string_view text, Clock::time_point deadline);
  /// What there is; empty at the end.
  std::string read_some(Clock::time_point deadline);
  /// Until poll() says `what`.
  void wait(short what, Clock::time_point deadline);

 private:
  int fd_ = -1;
  bool is_socket_ = false;
};

}  // namespace minimax::rl
