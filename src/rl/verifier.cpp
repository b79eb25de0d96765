#include "rl/verifier.h"

#include <chrono>

#include "core/error.h"
#include "rl/answer.h"
#include "rl/code/code_verifier.h"
#include "rl/maths/maths_answer.h"
#include "rl/tasks/task.h"

namespace minimax::rl {
namespace {

constexpr int64_t kMaxProgram = 64 * 1024;

bool think_required(const Problem& problem) {
  const io::json::value* think = problem.verifier.params.if_contains("think");
  return !think || !think->is_string() || think->as_string() != "optional";
}

/// To at most so many bytes, between characters.
void cut(std::string& text, size_t bytes) {
  if (text.size() <= bytes) return;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  text.resize(bytes);
}

Verdict check(const Problem& problem, std::string_view answer) {
  if (problem.verifier.name == "code") {
    const io::json::value gold(problem.gold);
    const CodeReport report = run_tests(io::JsonField(gold, cat("problem ", problem.id, ": gold")), answer);
    return {report.correct, report.why};
  }
  const Task* task = find_task(problem.verifier.name);
  if (task || problem.verifier.name == "math") {
    try {
      return task ? task->check(problem.gold, answer) : check_maths(problem.gold, problem.verifier.params, answer);
    } catch (const std::exception& error) {  // Boost.JSON's, for a member that is missing or of another type
      throw Error(ErrorKind::kInvalidArgument,
                  cat("problem ", problem.id, ": gold ", io::write_json(problem.gold), " is not what verifier \"",
                      problem.verifier.name, "\" needs: ", error.what()));
    }
  }
  throw Error(ErrorKind::kInvalidArgument,
              cat("problem ", problem.id, ": verifier \"", problem.verifier.name, "\" does not exist"));
}

}  // namespace

bool is_built_in_verifier(std::string_view name) {
  return find_task(name) || name == "math" || name == "code" || name == "tool_dialogue";
}

Score verify(const Problem& problem, const Attempt& attempt) {
  const auto begin = std::chrono::steady_clock::now();
  Score score;
  score.score = 0;
  score.verifier_version = problem.verifier.version;
  const int64_t most = problem.verifier.name == "code" ? kMaxProgram : kMaxAnswer;
  const Answer answer = extract_answer(attempt.text, think_required(problem));
  score.format_ok = answer.format_ok && attempt.finished;
  score.extracted = answer.text;
  if (!attempt.finished) {
    score.why = "cut_off";
  } else if (answer.text.empty()) {
    score.why = answer.why.empty() ? "no_answer" : answer.why;
  } else if (static_cast<int64_t>(answer.text.size()) > most) {
    score.why = "too_long";
  } else {
    const Verdict verdict = check(problem, answer.text);
    score.correct = verdict.correct;
    score.why = verdict.correct && !score.format_ok ? answer.why : verdict.why;
    if (score.correct && score.format_ok) score.score = 1;
  }
  cut(score.extracted, static_cast<size_t>(most));
  score.ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  return score;
}

}  // namespace minimax::rl
