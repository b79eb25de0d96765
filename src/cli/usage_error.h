// UsageError: the person asked for something the program does not understand (exit code 2).
#pragma once

#include <stdexcept>
#include <string>

namespace minimax::cli {

class UsageError : public std::runtime_error {
 public:
  /// `verb`: whose --help would tell more; empty for the program's.
  explicit UsageError(const std::string& message, std::string verb = "")
      : std::runtime_error(message), verb_(std::move(verb)) {}
  const std::string& verb() const { return verb_; }

 private:
  std::string verb_;
};

}  // namespace minimax::cli
