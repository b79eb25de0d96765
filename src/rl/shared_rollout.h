// Rollouts by several processes: each samples its share of the problems, and all get everything.
#pragma once

#include "comm/process_group.h"
#include "rl/rollout.h"

namespace minimax::rl {

/// roll_out() with the problems shared out among the processes of `group` (null: this one does all). Every process
/// passes the same arguments and gets the same groups: those of one process alone, for a sample depends on weights and
/// random numbers of its own and not on its company. Of `report` the seconds are this process's, its waiting apart.
std::vector<Group> roll_out_shared(engine::Engine& engine, const text::Tokenizer& tokenizer,
                                   std::span<const Problem> problems, const RolloutOptions& options, int64_t round,
                                   comm::ProcessGroup* group, RolloutReport* report = nullptr);

}  // namespace minimax::rl
