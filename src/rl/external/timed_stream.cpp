#include "rl/external/timed_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "core/error.h"

namespace minimax::rl {

TimedStream::TimedStream(int fd) : fd_(fd) {
  if (fd_ >= 0) ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
}

TimedStream::~TimedStream() {
  if (fd_ >= 0) ::close(fd_);
}

void TimedStream::write_all(std::string_view text, Clock::time_point deadline) {
  while (!text.empty()) {
    wait(POLLOUT, deadline);
    const ssize_t now =
        is_socket_ ? ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) : ::write(fd_, text.data(), text.size());
    if (now < 0 && errno != EAGAIN && errno != EINTR) throw Error(ErrorKind::kIo, "it takes no more input");
    if (now > 0) text.remove_prefix(static_cast<size_t>(now));
  }
}

std::string TimedStream::read_some(Clock::time_point deadline) {
  for (;;) {
    wait(POLLIN, deadline);
    char buffer[16384];
    const ssize_t now = ::read(fd_, buffer, sizeof buffer);
    if (now >= 0) return {buffer, static_cast<size_t>(now)};
    if (errno != EAGAIN && errno != EINTR) throw Error(ErrorKind::kIo, "its output cannot be read");
  }
}

void TimedStream::wait(short what, Clock::time_point deadline) {
  const double left = std::chrono::duration<double>(deadline - Clock::now()).count();
  pollfd polled{fd_, what, 0};
  // A day at a time: poll() counts milliseconds in an int.
  const int milliseconds = static_cast<int>(std::ceil(std::min(left, 86400.0) * 1000));
  if (left <= 0 || ::poll(&polled, 1, milliseconds) == 0) throw Error(ErrorKind::kIo, "timeout");
}

}  // namespace minimax::rl
