#include "rl/code/code_verifier.h"

#include <charconv>
#include <cmath>

#include "core/error.h"
#include "rl/answer.h"
#include "rl/code/sandbox.h"

namespace minimax::rl {
namespace {

constexpr std::string_view kFence = "```";

// Calls the function with the arguments that stdin holds, and writes what it returns where its own prints do not reach.
constexpr std::string_view kCaller = R"(import json, os, sys
out = os.fdopen(os.dup(1), "w")
os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
call = json.loads(sys.stdin.read())
names = {"__name__": "solution"}
exec(compile(open("/work/solution.py").read(), "solution.py", "exec"), names)
out.write(json.dumps(names[call["name"]](*call["args"])))
out.close()
)";

std::optional<double> number_of(std::string_view word) {
  if (word.starts_with('+')) word.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

/// JSON numbers compare by value: 1 and 1.0 are the same.
bool same_json(const io::json::value& a, const io::json::value& b, double tolerance) {
  if (a.is_number() && b.is_number()) {
    const double x = a.to_number<double>(), y = b.to_number<double>();
    return x == y || std::abs(x - y) <= tolerance * std::max(1.0, std::abs(y));
  }
  if (a.is_array() && b.is_array()) {
    if (a.as_array().size() != b.as_array().size()) return false;
    for (size_t at = 0; at < a.as_array().size(); ++at)
      if (!same_json(a.as_array()[at], b.as_array()[at], tolerance)) return false;
    return true;
  }
  if (a.is_object() && b.is_object()) {
    if (a.as_object().size() != b.as_object().size()) return false;
    for (const auto& [key, value] : a.as_object()) {
      const auto* other = b.as_object().if_contains(key);
      if (!other || !same_json(value, *other, tolerance)) return false;
    }
    return true;
  }
  return a == b;
}

class TestRun {
 public:
  TestRun(const io::JsonField& gold, std::string code) : gold_(gold), code_(std::move(code)) {
    language_ = gold["lang"].string();
    mode_ = gold["mode"].string_or("stdio");
    if (language_ != "cpp" && language_ != "c" && language_ != "py") gold["lang"].fail("cpp, c or py");
    if (mode_ != "stdio" && mode_ != "function" && mode_ != "checker") gold["mode"].fail("stdio, function or checker");
    if (mode_ == "function" && language_ != "py") gold["lang"].fail("py, since mode is function");
    limits_.cpu_seconds = gold["time_ms"].number_or(5000, 1, 600'000) / 1000;
    // Others compute on this machine too.
    limits_.wall_seconds = 2 * limits_.cpu_seconds + 3;
    limits_.memory_bytes = gold["mem_mb"].integer_or(512, 16, 65536) << 20;
    tolerance_ = gold["float_tolerance"].number_or(0, 0, 1);
  }

  CodeReport run() {
    const io::JsonField tests = gold_["tests"];
    CodeReport report{.tests = tests.size()};
    MM_CHECK(report.tests > 0, gold_.document(), ": \"", tests.path(), "\" is empty, expected tests");
    if (!compile()) {
      report.why = "compile_error";
      return report;
    }
    for (int64_t at = 0; at < report.tests; ++at) {
      report.why = mode_ == "function" ? call(tests[at]) : pipe(tests[at]);
      if (report.why != "correct") return report;
      ++report.passed;
    }
    report.correct = true;
    return report;
  }

 private:
  bool compile() {
    if (language_ == "py") return true;
    const std::string source = language_ == "cpp" ? "program.cpp" : "program.c";
    SandboxJob job;
    job.command = {language_ == "cpp" ? "g++" : "gcc", "-O2", "-o", "program", source, "-lm"};
    if (language_ == "cpp") job.command.insert(job.command.begin() + 1, "-std=c++20");
    job.files[source] = code_;
    job.collect = "program";
    job.limits = {.cpu_seconds = 30,
                  .wall_seconds = 90,
                  .memory_bytes = int64_t{2} << 30,
                  .scratch_bytes = int64_t{128} << 20,
                  .processes = 16};
    SandboxResult compiled = run_sandboxed(job);
    MM_CHECK_KIND(kDevice,
                  !(compiled.end == SandboxResult::End::kExited && compiled.code == 1 && compiled.err.empty() &&
                    compiled.collected.empty()),
                  "code verifier: ", job.command[0], " could not be started in the sandbox");
    if (!compiled.ok() || compiled.collected.empty()) return false;
    program_ = std::move(compiled.collected);
    return true;
  }

  SandboxJob program_job() const {
    SandboxJob job;
    job.limits = limits_;
    if (language_ == "py") {
      job.command = {"python3", "-I", "solution.py"};
      job.files["solution.py"] = code_;
    } else {
      job.command = {"/work/program"};
      job.files["program"] = program_;
    }
    return job;
  }

  static std::string trouble(const SandboxResult& result) {
    if (result.end == SandboxResult::End::kWallLimit) return "timeout";
    if (result.end == SandboxResult::End::kOutputLimit) return "too_much_output";
    if (result.end == SandboxResult::End::kSignalled && result.out_of_memory) return "crash";
    // SIGXCPU and, a second later, SIGKILL come from the CPU limit.
    if (result.end == SandboxResult::End::kSignalled && (result.code == 24 || result.code == 9)) return "timeout";
    return result.ok() ? "" : "crash";
  }

  std::string pipe(const io::JsonField& test) {
    SandboxJob job = program_job();
    job.input = test["in"].string_or("");
    const SandboxResult result = run_sandboxed(job);
    if (std::string bad = trouble(result); !bad.empty()) return bad;
    if (mode_ == "stdio") return same_output(result.out, test["out"].string(), tolerance_) ? "correct" : "wrong_output";
    SandboxJob check;
    check.command = {"python3", "-I", "checker.py"};
    check.files = {{"checker.py", std::string(gold_["checker"].string())},
                   {"in", job.input},
                   {"out", std::string(test["out"].string_or(""))},
                   {"answer", result.out}};
    return run_sandboxed(check).ok() ? "correct" : "wrong_output";
  }

  std::string call(const io::JsonField& test) {
    SandboxJob job = program_job();
    job.command = {"python3", "-I", "caller.py"};
    job.files["caller.py"] = std::string(kCaller);
    job.input = io::write_json(io::json::object{{"name", gold_["name"].string()}, {"args", test["args"].array()}});
    const SandboxResult result = run_sandboxed(job);
    if (std::string bad = trouble(result); !bad.empty()) return bad;
    try {
      const io::json::value got = io::parse_json(result.out, "output", {.max_bytes = job.limits.output_bytes});
      return same_json(got, test["out"].value(), tolerance_) ? "correct" : "wrong_output";
    } catch (const Error&) {  // not JSON
      return "wrong_output";
    }
  }

  const io::JsonField& gold_;
  std::string code_, program_;
  std::string language_, mode_;
  SandboxLimits limits_;
  double tolerance_ = 0;
};

}  // namespace

std::optional<std::string> last_code_block(std::string_view text) {
  // Fences stand at the beginning of a line; the last two of them enclose the block.
  std::vector<size_t> fences;
  for (size_t line = 0; line < text.size();) {
    const size_t first = text.find_first_not_of(" \t", line);
    if (first != std::string_view::npos && text.substr(first).starts_with(kFence)) fences.push_back(line);
    const size_t next = text.find('\n', line);
    if (next == std::string_view::npos) break;
    line = next + 1;
  }
  if (fences.size() < 2) return std::nullopt;
  // An odd one at the end was opened and not closed.
  const size_t close = fences.size() % 2 == 0 ? fences.size() - 1 : fences.size() - 2;
  const size_t begin = text.find('\n', fences[close - 1]) + 1;
  return std::string(text.substr(begin, fences[close] - begin));
}

bool same_output(std::string_view got, std::string_view want, double float_tolerance) {
  const auto a = split_words(got), b = split_words(want);
  if (a.size() != b.size()) return false;
  for (size_t word = 0; word < a.size(); ++word) {
    if (a[word] == b[word]) continue;
    if (float_tolerance <= 0) return false;
    const auto x = number_of(a[word]), y = number_of(b[word]);
    if (!x || !y || std::abs(*x - *y) > float_tolerance * std::max(1.0, std::abs(*y))) return false;
  }
  return true;
}

CodeReport run_tests(const io::JsonField& gold, std::string_view answer) {
  auto code = last_code_block(answer);
  if (!code) return {.why = "no_code"};
  return TestRun(gold, std::move(*code)).run();
}

}  // namespace minimax::rl
