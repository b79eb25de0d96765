// Verifiers: from a problem and what the model wrote to a score.
#pragma once

#include <string_view>

#include "rl/problem.h"

namespace minimax::rl {

/// A task's name, math, code, or tool_dialogue.
bool is_built_in_verifier(std::string_view name);

/// Scores an attempt by the verifier that the problem names. A pure function of its arguments but for verifiers that
/// run programs. Right and in form: 1; else 0. An attempt that was cut off has no answer. Params of the spec:
///   "think": "required" (default) or "optional"
/// Throws kInvalidArgument for a verifier that does not exist and for gold that it cannot read: errors of the problem,
/// not of the attempt.
Score verify(const Problem& problem, const Attempt& attempt);

}  // namespace minimax::rl
