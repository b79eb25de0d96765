#include "rl/generate.h"

#include "core/error.h"
#include "rl/dialogue/dialogue.h"

namespace minimax::rl {
namespace {

constexpr std::string_view kDialogue = "tool_dialogue";

}  // namespace

bool can_generate(std::string_view name) {
  return name == kDialogue || find_task(name);
}

std::vector<std::string_view> generator_names() {
  std::vector<std::string_view> names;
  for (const Task& task : tasks()) names.push_back(task.name);
  names.push_back(kDialogue);
  return names;
}

Generated generate(std::string_view name, int64_t level, uint64_t seed, Split split, const TraceOptions& options,
                   bool instructions) {
  if (name == kDialogue) {
    GeneratedDialogue made = make_dialogue(level, seed, split);
    return {std::move(made.problem), std::move(made.solution)};
  }
  const Task* task = find_task(name);
  MM_CHECK(task, "task \"", name, "\" does not exist");
  GeneratedProblem made = make_problem(*task, level, seed, split, options, instructions);
  text::Message turn = text::text_message(text::Role::kAssistant, std::move(made.answer));
  turn.reasoning = std::move(made.thinking);
  return {std::move(made.problem), {std::move(turn)}};
}

}  // namespace minimax::rl
