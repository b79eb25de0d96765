// Records of problems and answers from anybody: errors, but never a crash. Programs are not run.
#include <string_view>

#include "core/error.h"
#include "rl/dialogue/tools.h"
#include "rl/problem.h"
#include "rl/verifier.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace minimax;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t cut = text.find('\n');
  const std::string_view record = text.substr(0, cut), answer = cut == text.npos ? "" : text.substr(cut + 1);
  try {
    const io::json::value root = io::parse_json(record, "problem", {.max_bytes = 1 << 16, .max_depth = 16});
    const rl::Problem problem = rl::problem_from_json(io::JsonField(root, "problem"));
    if (problem.verifier.name != "code") rl::verify(problem, {.text = answer});
    rl::ToolWorld world(problem.gold);
    for (const char* tool : {"calculator", "convert", "get", "set", "remove", "add_event", "list_events"})
      world.call(tool, answer);
  } catch (const Error&) {
  }
  return 0;
}
