// The one error type of the library, and the checks that raise it.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace minimax {

/// What kind of failure, for whoever must map it onward (exit code, HTTP status).
enum class ErrorKind { kInvalidArgument, kNotFound, kOutOfMemory, kIo, kDevice, kInternal };

std::string_view to_string(ErrorKind kind);

/// An error with a message that names the thing, the value found and the value expected.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// Joins its arguments as text, each by its operator<<.
template <typename... Parts>
std::string cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

}  // namespace minimax

// Always on: for what a caller or a file can get wrong. The message is built only on failure.
#define MM_CHECK(cond, ...) MM_CHECK_KIND(kInvalidArgument, cond, __VA_ARGS__)
#define MM_CHECK_KIND(kind, cond, ...)                                                 \
  do {                                                                                 \
    if (!(cond)) [[unlikely]]                                                          \
      throw ::minimax::Error(::minimax::ErrorKind::kind, ::minimax::cat(__VA_ARGS__)); \
  } while (0)
