// Task: a generator of problems with a solver's thinking trace, and the rules that tell a right answer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/rng.h"
#include "rl/problem.h"

namespace minimax::rl {

/// Every task has five levels: 1 is where a warm-up starts, 2 to 4 walk through the main range, 5 is the stretch that
/// is kept out of training to see whether what was learned carries.
constexpr int64_t kLevels = 5;

struct TraceOptions {
  /// Share of traces, of the tasks that know how, with a slip, the word "wait" and its correction: rare tokens at
  /// forks, which CISPO is meant to keep alive.
  double slips = 0;
};

struct Instance {
  std::string prompt;
  std::string thinking;
  std::string answer;     ///< one right answer
  io::json::object gold;  ///< for check(); never shown to the model
};

struct Verdict {
  bool correct = false;
  std::string why = {};  ///< one word
};

struct Task {
  std::string_view name;
  std::string_view summary;       ///< one line for people
  std::string_view instructions;  ///< for a model that does not know the task: what to do and in what form to answer
  /// Level 1 to kLevels. The same for the same level and place of `rng`.
  Instance (*make)(int64_t level, Rng& rng, const TraceOptions& options);
  /// The answer alone, trimmed, at most kMaxAnswer bytes. A pure function, in time linear in the answer for all
  /// practical purposes; throws nothing for any answer. Checks the rules where several answers are right.
  Verdict (*check)(const io::json::object& gold, std::string_view answer);
};

constexpr int64_t kMaxAnswer = 4096;

/// The sixteen, in a fixed order.
std::span<const Task> tasks();
/// Null when there is none of that name.
const Task* find_task(std::string_view name);

struct GeneratedProblem {
  Problem problem;
  std::string thinking;  ///< of the supervised trace
  std::string answer;
};

/// A problem of a task: the same bits for the same task, level, seed and split on every machine. `instructions` puts
/// the task's instructions before it as a system message. Throws kInvalidArgument for a level out of range.
GeneratedProblem make_problem(const Task& task, int64_t level, uint64_t seed, Split split,
                              const TraceOptions& options = {}, bool instructions = false);

}  // namespace minimax::rl
