// Verifiers in processes of their own, so that one that hangs or crashes on what a model wrote costs one score.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "rl/external/program_pool.h"
#include "rl/problem.h"

namespace minimax::rl {

/// Scores an attempt with all of its turns: what Episode says of the last one after the earlier ones were played to it.
Score score_attempt(const Problem& problem, const Attempt& attempt);

/// What a worker is: answers lines until their end. A line is {"problem": the record, "text": the last turn,
/// "finished": bool (true), "earlier": turns before it ([])}, an answer the score as a JSON object (to_json). What
/// `score` throws is a score without a value and the reason. A score that takes more processor time than the problem's
/// limits.wall_seconds ends the process by a signal, and so does one that takes more memory than a worker may have.
void answer_score_requests(std::istream& in, std::ostream& out,
                           const std::function<Score(const Problem&, const Attempt&)>& score = score_attempt);

/// Scores by workers: programs that speak as answer_score_requests does. May be used from several threads.
class VerifierWorkers {
 public:
  /// command: of a worker; `count` of them stay. Starts nothing yet.
  VerifierWorkers(std::vector<std::string> command, int64_t count) : pool_(std::move(command), count) {}

  /// As score_attempt in another process. A worker that ends or says nothing for ten minutes longer than it may makes a
  /// score without a value, and "timeout" or the reason in `why`; another one is started for the next attempt.
  Score score(const Problem& problem, const Attempt& attempt);

 private:
  ProgramPool pool_;
};

}  // namespace minimax::rl
