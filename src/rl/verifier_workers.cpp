#include "rl/verifier_workers.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <cmath>
#include <memory>

#include "core/error.h"
#include "rl/episode.h"
#include "text/chat_output_parser.h"

namespace minimax::rl {
namespace {

/// Of a worker, not of programs in the sandbox, which have limits of their own.
constexpr rlim_t kWorkerMemory = rlim_t{4} << 30;
/// A machine may be busy; whoever hangs without computing is given up then.
constexpr double kPatience = 600;

/// Ends this process when it has computed for so long; 0: never.
void set_processor_limit(double seconds) {
  itimerval timer{};
  timer.it_value.tv_sec = static_cast<time_t>(seconds);
  timer.it_value.tv_usec = static_cast<suseconds_t>((seconds - std::floor(seconds)) * 1e6);
  ::setitimer(ITIMER_PROF, &timer, nullptr);
}

void limit_memory() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they reserve far more than they use
  rlimit limit{};
  ::getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = std::min(kWorkerMemory, limit.rlim_max);
  ::setrlimit(RLIMIT_AS, &limit);
#endif
  rlimit no_core{};
  ::setrlimit(RLIMIT_CORE, &no_core);
}

/// What programs in the sandbox may take besides, by the clock.
double sandbox_seconds(const Problem& problem) {
  if (problem.verifier.name != "code") return 0;
  try {
    const io::json::value gold(problem.gold);
    const io::JsonField field(gold, "gold");
    const double test = 2 * field["time_ms"].number_or(5000, 1, 600'000) / 1000 + 3;
    return 90 + static_cast<double>(field["tests"].size()) * (test + 10);  // compiling, each test and its checker
  } catch (const Error&) {
    return 0;  // the worker will say what is wrong with it
  }
}

Score answer_request(const std::string& line, const std::function<Score(const Problem&, const Attempt&)>& score) {
  const io::json::value request = io::parse_json(line, "request");
  const io::JsonField field(request, "request");
  const Problem problem = problem_from_json(field["problem"]);
  std::vector<std::string> earlier;
  for (int64_t at = 0; field["earlier"].has_value() && at < field["earlier"].size(); ++at)
    earlier.emplace_back(field["earlier"][at].string());
  const std::string text(field["text"].string());
  set_processor_limit(problem.limits.wall_seconds);
  return score(problem, {.text = text, .finished = field["finished"].boolean_or(true), .earlier = earlier});
}

}  // namespace

Score score_attempt(const Problem& problem, const Attempt& attempt) {
  const std::unique_ptr<Episode> episode = begin_episode(problem);
  const auto play = [&](std::string_view turn) {
    episode->reply(text::parse_output(turn, {.parse_tool_calls = !problem.tools.empty()}));
  };
  for (const std::string& turn : attempt.earlier) play(turn);
  // The last one is told to the world as well, but when it was the last for there being no turns left (rollout.cpp).
  if (attempt.finished && static_cast<int64_t>(attempt.earlier.size()) + 1 < problem.limits.max_turns)
    play(attempt.text);
  return episode->score(attempt);
}

void answer_score_requests(std::istream& in, std::ostream& out,
                           const std::function<Score(const Problem&, const Attempt&)>& score) {
  limit_memory();
  for (std::string line; std::getline(in, line);) {
    Score answer;
    try {
      answer = answer_request(line, score);
    } catch (const std::exception& error) {
      answer = {.why = cat("verifier failed: ", error.what())};
    }
    set_processor_limit(0);
    out << io::write_json(to_json(answer)) << '\n' << std::flush;
    if (!out) return;
  }
}

Score VerifierWorkers::score(const Problem& problem, const Attempt& attempt) {
  io::json::array earlier;
  for (const std::string& turn : attempt.earlier) earlier.emplace_back(turn);
  const io::json::object request{{"problem", to_json(problem)},
                                 {"text", attempt.text},
                                 {"finished", attempt.finished},
                                 {"earlier", std::move(earlier)}};
  Score score;
  try {
    const std::string answer =
        pool_.ask(io::write_json(request), kPatience + problem.limits.wall_seconds + sandbox_seconds(problem));
    const io::json::value reply = io::parse_json(answer, "answer of a verifier");
    const io::JsonField field(reply, "answer of a verifier");
    if (field["score"].has_value()) score.score = field["score"].number();
    score.correct = field["correct"].boolean();
    score.format_ok = field["format_ok"].boolean();
    score.extracted = field["extracted"].string();
    score.why = field["why"].string();
    score.ms = field["ms"].number();
    score.verifier_version = field["verifier_v"].integer();
  } catch (const Error& error) {
    const std::string why = error.what();
    const bool late = why == "timeout" || why == cat("it ended by signal ", SIGPROF);
    score = {.why = late ? "timeout" : cat("verifier failed: ", why), .verifier_version = problem.verifier.version};
  }
  return score;
}

}  // namespace minimax::rl
