// Problems by name: the sixteen tasks and tool dialogues, with the turns of a supervised solution.
#pragma once

#include <string_view>
#include <vector>

#include "rl/problem.h"
#include "rl/tasks/task.h"

namespace minimax::rl {

struct Generated {
  Problem problem;
  std::vector<text::Message> solution;  ///< what a solver says, with tool calls and their results
};

/// A task of tasks(), or tool_dialogue.
bool can_generate(std::string_view name);
std::vector<std::string_view> generator_names();

/// As make_problem and make_dialogue, which have no instructions or slips of their own for dialogues. Throws
/// kInvalidArgument for an unknown name and a level out of range.
Generated generate(std::string_view name, int64_t level, uint64_t seed, Split split, const TraceOptions& options = {},
                   bool instructions = false);

}  // namespace minimax::rl
