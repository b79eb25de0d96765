// Episode: what happens between the model's turns of one attempt at a problem, and its score at the end.
#pragma once

#include <memory>
#include <vector>

#include "rl/problem.h"
#include "text/chat_output.h"

namespace minimax::rl {

/// One attempt. Not thread-safe; different attempts share nothing.
class Episode {
 public:
  virtual ~Episode() = default;
  /// What the model is told after a turn (results of its tool calls, the user's next words); nothing: it is over.
  virtual std::vector<text::Message> reply(const text::ParsedOutput& turn) = 0;
  /// After the last turn, which is `last`. What it throws is the problem's or the verifier's fault, not the attempt's.
  virtual Score score(const Attempt& last) = 0;
};

/// Tool dialogues get their simulator, all other problems one turn and their verifier. The problem must outlive it.
std::unique_ptr<Episode> begin_episode(const Problem& problem);

}  // namespace minimax::rl
