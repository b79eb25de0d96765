// Dialogues with tools: problems of several turns, whose end is a state of the world and what the user was told.
#pragma once

#include <cstdint>
#include <memory>

#include "rl/episode.h"
#include "rl/tasks/task.h"

namespace minimax::rl {

/// A dialogue of a level, 1 to kLevels: one call; a sum of two stored numbers; the same stored; a conversion and an
/// event as well; and two requests of the user, one after the other. Deterministic as make_problem is. The verifier is
/// "tool_dialogue"; gold: {"state": at the end, "says": what each answer must end with, "user": the user's next words}.
struct GeneratedDialogue {
  Problem problem;
  std::vector<text::Message> solution;  ///< calls, their results, answers
};
GeneratedDialogue make_dialogue(int64_t level, uint64_t seed, Split split);

/// Runs the tools on a world of its own and speaks the user's part. A turn with calls gets their results, calls that
/// are no JSON an error; a turn without is an answer. Right: the world is as it should be, and the last word or number
/// of each answer is what the user asked for. In form: no call was broken.
std::unique_ptr<Episode> begin_dialogue(const Problem& problem);

}  // namespace minimax::rl
