// ProgramPool: programs that answer lines, kept running from one question to the next.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace minimax::rl {

/// Each program gets a line on its stdin and answers with one on its stdout. They start when they are needed, each in a
/// process group of its own (Ctrl-C ends our run in order, and them with us), and are killed with this object. May be
/// used from several threads, each of which has a program to itself meanwhile.
class ProgramPool {
 public:
  /// command: program and arguments, found in PATH. `keep`: so many stay when nobody asks.
  ProgramPool(std::vector<std::string> command, int64_t keep);
  ~ProgramPool();

  /// Throws kIo that says why when the program cannot be started, ends ("it ended", "it ended by signal 11"), says too
  /// much, or takes longer than that ("timeout"); it is killed then, and another one started for the next question.
  std::string ask(const std::string& line, double timeout_seconds);

 private:
  class Program;

  std::vector<std::string> command_;
  int64_t keep_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Program>> idle_;
};

}  // namespace minimax::rl
