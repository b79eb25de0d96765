// Recipe of a reinforcement-learning run, read from TOML.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "rl/curriculum.h"
#include "rl/external/external_verifier.h"
#include "rl/policy_trainer.h"
#include "rl/rollout.h"
#include "train/recipe.h"

namespace minimax::rl {

/// [[evaluate]]: held-out problems of a task, or a file of problems.
struct EvaluationRecipe {
  std::string name;
  TaskSource task;  ///< level: least_level; task empty: `file`
  std::filesystem::path file;
  int64_t count = 100;  ///< problems
  int64_t samples = 0;  ///< attempts at temperature 1 for each, besides the greedy one
};

struct Recipe {
  uint64_t seed = 1;
  train::ModelRecipe model;         ///< a checkpoint: reinforcement learning starts from a model that can do something
  std::filesystem::path tokenizer;  ///< folder; empty: the checkpoint's
  CurriculumOptions problems;
  RolloutOptions rollout;
  PolicyOptions policy;
  train::TrainerOptions trainer;
  std::vector<ExternalOptions> verifiers;  ///< [[verifier]]: only the recipe may name programs to run
  std::vector<EvaluationRecipe> evaluations;
  int64_t batches = 100;         ///< of the run
  int64_t evaluate_every = 10;   ///< batches
  int64_t max_running = 64;      ///< sequences the engine works on at once
  std::filesystem::path output;  ///< run folder
  int64_t checkpoint_every = 0;  ///< batches; 0: at the end only
  int64_t keep_last = 2;
  double audit_share = 0.01;  ///< of attempts that are written out in full, so that people can look at rewards
  bool tensorboard = false;
  std::string source;  ///< the TOML itself
};

/// Paths are relative to the recipe's folder. Every key must be known. Throws as train::read_recipe.
Recipe read_recipe(const std::filesystem::path& file);

}  // namespace minimax::rl
