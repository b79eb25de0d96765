#include "rl/episode.h"

#include "rl/dialogue/dialogue.h"
#include "rl/verifier.h"

namespace minimax::rl {
namespace {

class SingleTurn : public Episode {
 public:
  explicit SingleTurn(const Problem& problem) : problem_(problem) {}
  std::vector<text::Message> reply(const text::ParsedOutput&) override { return {}; }
  Score score(const Attempt& last) override { return verify(problem_, last); }

 private:
  const Problem& problem_;
};

}  // namespace

std::unique_ptr<Episode> begin_episode(const Problem& problem) {
  if (problem.verifier.name == "tool_dialogue") return begin_dialogue(problem);
  return std::make_unique<SingleTurn>(problem);
}

}  // namespace minimax::rl
