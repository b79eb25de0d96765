// The verifier "code": programs against tests that they never see.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "rl/problem.h"

namespace minimax::rl {

/// gold: {"lang": "cpp" | "c" | "py", "mode": "stdio" | "function" | "checker", "tests": [...], "time_ms", "mem_mb"}
///   stdio     tests are {"in", "out"}: stdout against "out", word by word; "float_tolerance": numbers may differ so
///   much,
///             relative or absolute
///   function  py: "name" of a function; tests are {"args": [...], "out": value}: what it returns, as JSON; tuples are
///             lists
///   checker   tests are {"in", "out"}; "checker": Python text that finds the files in, out and answer in its folder
///   and
///             exits with 0 for a right answer
/// The program is the last fenced block of the answer. It is compiled once and started afresh for each test, in the
/// sandbox, until the first failure; inputs go in and outputs come out through pipes. Right: all tests pass.
struct CodeReport {
  bool correct = false;
  std::string why;  ///< correct, no_code, compile_error, wrong_output, crash, timeout, too_much_output
  int64_t passed = 0, tests = 0;
};

/// Throws kInvalidArgument for gold that makes no sense, kDevice where there is no sandbox or no compiler.
CodeReport run_tests(const io::JsonField& gold, std::string_view answer);

/// The inside of the last ``` block, without its language line; nothing when there is none.
std::optional<std::string> last_code_block(std::string_view text);

/// Same words, or with `float_tolerance` > 0 words that are numbers so near to each other.
bool same_output(std::string_view got, std::string_view want, double float_tolerance = 0);

}  // namespace minimax::rl
