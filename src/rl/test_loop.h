// Engine, trainer, curriculum and loop over a tiny policy, for tests of the loop.
#pragma once

#include <utility>

#include "rl/policy_trainer.h"
#include "rl/test_policy.h"

namespace minimax::rl::test {

inline train::TrainerOptions loss_options(const train::PolicyLoss& loss) {
  train::TrainerOptions options;
  options.pass.policy = loss;
  return options;
}

inline PolicyOptions small_options(double rate) {
  PolicyOptions options;
  options.prompts_per_batch = 4;
  options.minibatches = 2;
  options.schedule = {.peak = rate};
  options.windows = {10};
  options.rollback_after = 0;
  options.pass_tokens = 256;
  return options;
}

inline RolloutOptions small_rollout() {
  RolloutOptions options;
  options.group_size = 4;
  options.scorer = score_by_bytes;
  return options;
}

/// Engine, trainer, curriculum and loop together.
struct Loop {
  explicit Loop(PolicyOptions options, const train::PolicyLoss& loss = train::PolicyLoss::cispo(),
                RolloutOptions rollout = small_rollout())
      : policy(loss_options(loss)),
        curriculum(additions()),
        trainer(policy.engine, policy.trainer, policy.tokenizer, curriculum, std::move(rollout), std::move(options)) {}

  Policy policy;
  Curriculum curriculum;
  PolicyTrainer trainer;
};

}  // namespace minimax::rl::test
