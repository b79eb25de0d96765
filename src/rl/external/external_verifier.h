// Verifiers of somebody else's: a program that answers lines, or an HTTP endpoint.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rl/external/program_pool.h"
#include "rl/problem.h"

namespace minimax::rl {

struct ExternalOptions {
  std::string name;                  ///< that problems give as their verifier
  std::vector<std::string> command;  ///< program and arguments, found in PATH; empty: `url`
  std::string url;                   ///< http://host[:port]/path
  double timeout_seconds = 30;       ///< of an answer
  int64_t workers = 2;               ///< programs, or connections, at a time
};

/// The protocol (docs/rl.md). A program gets one JSON object on a line of its stdin and answers with one on a line of
/// its stdout; an endpoint gets it by POST and answers with one. We say
///   {"problem": the record, "text": what the model wrote, "answer": what follows its thinking, "finished": bool}
/// and expect
///   {"score": number or null, "correct": bool (score >= 1 when absent), "format_ok": bool (true), "why": text}
/// Anything else, a timeout and a program that ends make a score without a value; the program is started again for the
/// next attempt. May be used from several threads.
class ExternalVerifier {
 public:
  /// Starts nothing yet. Throws kInvalidArgument when there is neither command nor url, or the url is none of that
  /// form.
  explicit ExternalVerifier(ExternalOptions options);
  ~ExternalVerifier();

  const std::string& name() const { return options_.name; }
  Score score(const Problem& problem, const Attempt& attempt);

 private:
  std::string ask(const std::string& line);

  ExternalOptions options_;
  std::unique_ptr<ProgramPool> programs_;  // null: an endpoint
};

}  // namespace minimax::rl
