#include "rl/recipe.h"

#include "core/error.h"
#include "io/file.h"
#include "rl/answer.h"
#include "rl/generate.h"
#include "rl/tasks/task.h"
#include "train/recipe_table.h"

namespace minimax::rl {
namespace {

namespace fs = std::filesystem;
using train::RecipeTable;

constexpr int64_t kMany = int64_t{1} << 40;

fs::path under(const fs::path& base, const std::string& path) {
  return fs::path(path).is_absolute() ? fs::path(path) : base / path;
}

TaskSource read_task(RecipeTable& table) {
  TaskSource source;
  source.task = table.text("task").value_or("");
  if (!can_generate(source.task))
    table.fail(cat("names task \"", source.task, "\", which is not in `minimax train data --list`"));
  source.instructions = table.boolean("instructions").value_or(false);
  return source;
}

void read_problems(RecipeTable table, const fs::path& base, CurriculumOptions& problems) {
  for (RecipeTable& task : table.tables("task")) {
    TaskSource source = read_task(task);
    source.least_level = task.integer("least_level", 1, kLevels).value_or(1);
    source.most_level =
        task.integer("most_level", source.least_level, kLevels).value_or(std::max(source.least_level, kLevels - 1));
    source.weight = task.number("weight", 1e-6, 1e6).value_or(1);
    task.done();
    problems.tasks.push_back(source);
  }
  for (RecipeTable& file : table.tables("file")) {
    const auto path = file.text("path");
    if (!path) file.fail("has no path");
    problems.files.push_back({under(base, *path), file.number("weight", 1e-6, 1e6).value_or(1)});
    file.done();
  }
  problems.raise_above = table.number("raise_above", 0, 1).value_or(problems.raise_above);
  problems.lower_below = table.number("lower_below", 0, 1).value_or(problems.lower_below);
  problems.judge_after = table.integer("judge_after", 1, kMany).value_or(problems.judge_after);
  problems.easier = table.number("easier", 0, 1).value_or(problems.easier);
  if (problems.tasks.empty() && problems.files.empty())
    table.fail("has neither [[problems.task]] nor [[problems.file]]");
  table.done();
}

void read_rollout(RecipeTable table, RolloutOptions& rollout, PolicyOptions& policy, int64_t& max_running) {
  policy.prompts_per_batch = table.integer("prompts", 1, kMany).value_or(policy.prompts_per_batch);
  rollout.group_size = table.integer("group_size", 2, 4096).value_or(rollout.group_size);
  if (const auto window = table.integer("window", 1, kMany)) policy.windows = {*window};
  if (const auto windows = table.text("windows")) {  // "40960 49152 57344"
    policy.windows.clear();
    for (const std::string_view word : split_words(*windows)) {
      const auto window = parse_integer(word);
      if (!window || *window < 1) table.fail("windows", cat("has \"", word, "\", expected a number of tokens"));
      policy.windows.push_back(*window);
    }
  }
  policy.settle_over = table.integer("settle_over", 2, kMany).value_or(policy.settle_over);
  policy.settle_within = table.number("settle_within", 0, 1).value_or(policy.settle_within);
  policy.settle_share = table.number("settle_share", 0, 1).value_or(policy.settle_share);
  policy.dynamic_sampling = table.boolean("dynamic_sampling").value_or(policy.dynamic_sampling);
  policy.max_tries = table.number("max_tries", 1, 1000).value_or(policy.max_tries);
  policy.min_groups = table.integer("min_groups", 1, kMany).value_or(policy.min_groups);
  rollout.loop_guard.tokens = table.integer("repetition_stop", 0, kMany).value_or(3000);
  rollout.loop_guard.probability = static_cast<float>(table.number("repetition_probability", 0, 1).value_or(0.99));
  rollout.scoring_threads = static_cast<int>(table.integer("scoring_threads", 1, 256).value_or(2));
  max_running = table.integer("max_running", 1, 65536).value_or(max_running);
  table.done();
}

void read_reward(RecipeTable table, RewardOptions& reward) {
  reward.format = table.number("format", 0, 1).value_or(reward.format);
  reward.overlong_tokens = table.integer("overlong_tokens", 0, kMany).value_or(reward.overlong_tokens);
  reward.overlong_weight = table.number("overlong_weight", 0, 100).value_or(reward.overlong_weight);
  reward.wrong = table.number("wrong", -10, 0).value_or(reward.wrong);
  table.done();
}

void read_loss(RecipeTable table, train::PolicyLoss& loss, PolicyOptions& policy) {
  const std::string preset = table.choice("preset", {"reinforce", "grpo", "dapo", "cispo"}).value_or("cispo");
  loss = preset == "reinforce" ? train::PolicyLoss::reinforce()
         : preset == "grpo"    ? train::PolicyLoss::grpo()
         : preset == "dapo"    ? train::PolicyLoss::dapo()
                               : train::PolicyLoss::cispo();
  loss.ratio_max = table.number("ratio_max", 0, 1e9).value_or(loss.ratio_max);
  loss.ratio_min = table.number("ratio_min", 0, 1).value_or(loss.ratio_min);
  loss.mask_low = table.number("mask_low", 0, 1e9).value_or(loss.mask_low);
  loss.mask_high = table.number("mask_high", 0, 1e9).value_or(loss.mask_high);
  loss.dual_clip = table.number("dual_clip", 1, 1e9).value_or(loss.dual_clip);
  if (const auto normalizer = table.choice("normalizer", {"token", "group", "sample", "length", "mixed"}))
    loss.normalizer = *normalizer == "token"    ? train::Normalizer::kToken
                      : *normalizer == "group"  ? train::Normalizer::kGroup
                      : *normalizer == "sample" ? train::Normalizer::kSample
                      : *normalizer == "length" ? train::Normalizer::kLength
                                                : train::Normalizer::kMixed;
  loss.token_share = table.number("token_share", 0, 1).value_or(loss.token_share);
  loss.max_tokens = policy.windows.back();
  if (const auto scale = table.choice("advantage_scale", {"group", "batch", "none"}))
    policy.advantages.scale = *scale == "group"   ? train::AdvantageScale::kGroup
                              : *scale == "batch" ? train::AdvantageScale::kBatch
                                                  : train::AdvantageScale::kNone;
  policy.mask_truncated = table.boolean("mask_truncated").value_or(policy.mask_truncated);
  if (const auto anchor = table.choice("anchor", {"old", "rollout"}))
    policy.anchor = *anchor == "old" ? Anchor::kOld : Anchor::kRollout;
  policy.importance_cap = table.number("importance_cap", 0, 1e9).value_or(policy.importance_cap);
  policy.router_replay = table.boolean("router_replay").value_or(policy.router_replay);
  policy.most_mean_dlogp = table.number("most_mean_dlogp", 0, 1e9).value_or(policy.most_mean_dlogp);
  policy.least_pearson = table.number("least_pearson", -1, 1).value_or(policy.least_pearson);
  table.done();
}

ExternalOptions read_verifier(RecipeTable table) {
  ExternalOptions verifier;
  verifier.name = table.text("name").value_or("");
  if (verifier.name.empty()) table.fail("has no name, by which problems ask for it");
  if (const auto command = table.text("command"))
    for (const std::string_view word : split_words(*command)) verifier.command.emplace_back(word);
  verifier.url = table.text("url").value_or("");
  if (verifier.command.empty() == verifier.url.empty()) table.fail("must have a command or a url, and not both");
  verifier.timeout_seconds = table.number("timeout", 0.001, 3600).value_or(verifier.timeout_seconds);
  verifier.workers = table.integer("workers", 1, 256).value_or(verifier.workers);
  table.done();
  return verifier;
}

EvaluationRecipe read_evaluation(RecipeTable table, const fs::path& base) {
  EvaluationRecipe evaluation;
  if (const auto path = table.text("path")) {
    evaluation.file = under(base, *path);
    evaluation.name = evaluation.file.stem().string();
  } else {
    evaluation.task = read_task(table);
    evaluation.task.least_level = table.integer("level", 1, kLevels).value_or(1);
    evaluation.name = cat(evaluation.task.task, ".", evaluation.task.least_level);
  }
  evaluation.name = table.text("name").value_or(evaluation.name);
  evaluation.count = table.integer("count", 1, 1'000'000).value_or(evaluation.count);
  evaluation.samples = table.integer("samples", 0, 4096).value_or(0);
  table.done();
  return evaluation;
}

}  // namespace

Recipe read_recipe(const fs::path& file) {
  const toml::table toml = train::read_toml(file.string());
  RecipeTable root(toml, file.string(), "");
  const fs::path base = file.has_parent_path() ? file.parent_path() : fs::path(".");
  Recipe recipe;
  recipe.source = io::read_file(file);
  recipe.seed = static_cast<uint64_t>(root.integer("seed", 0).value_or(1));
  if (const auto output = root.text("output")) recipe.output = under(base, *output);
  if (const auto folder = root.text("tokenizer")) recipe.tokenizer = under(base, *folder);
  recipe.model = train::read_model(root.table("model"), base);
  if (recipe.model.checkpoint.empty()) root.fail("has no model.checkpoint, which reinforcement learning starts from");
  recipe.batches = root.integer("batches", 1, kMany).value_or(recipe.batches);
  read_problems(root.table("problems"), base, recipe.problems);
  read_rollout(root.table("rollout"), recipe.rollout, recipe.policy, recipe.max_running);
  read_reward(root.table("reward"), recipe.policy.reward);
  read_loss(root.table("loss"), recipe.trainer.pass.policy, recipe.policy);

  RecipeTable updates = root.table("updates");
  recipe.policy.minibatches = updates.integer("minibatches", 1, kMany).value_or(recipe.policy.minibatches);
  recipe.policy.epochs = updates.integer("epochs", 1, 1000).value_or(recipe.policy.epochs);
  recipe.policy.pass_tokens = updates.integer("pass_tokens", 1, kMany).value_or(recipe.policy.pass_tokens);
  recipe.policy.schedule.peak = updates.number("rate", 0, 10).value_or(1e-4);
  recipe.policy.schedule.warmup_steps = updates.integer("warmup", 0, kMany).value_or(40);
  recipe.policy.schedule.total_steps = recipe.batches * recipe.policy.minibatches * recipe.policy.epochs;
  const std::string decay = updates.choice("decay", {"constant", "cosine"}).value_or("constant");
  recipe.policy.schedule.decay = decay == "cosine" ? train::Decay::kCosine : train::Decay::kConstant;
  recipe.policy.schedule.final_share = updates.number("final_share", 0, 1).value_or(0.1);
  recipe.policy.rollback_share = updates.number("rollback_share", 0, 1).value_or(recipe.policy.rollback_share);
  recipe.policy.rollback_after = updates.integer("rollback_after", 0, kMany).value_or(recipe.policy.rollback_after);
  recipe.policy.gradient_histogram = updates.boolean("gradient_histogram").value_or(false);
  updates.done();
  train::read_optimizer(root.table("optimizer"), recipe.trainer);

  for (RecipeTable& table : root.tables("verifier")) recipe.verifiers.push_back(read_verifier(table));
  for (RecipeTable& table : root.tables("evaluate")) recipe.evaluations.push_back(read_evaluation(table, base));
  recipe.evaluate_every = root.integer("evaluate_every", 1, kMany).value_or(recipe.evaluate_every);
  RecipeTable checkpoints = root.table("checkpoints");
  recipe.checkpoint_every = checkpoints.integer("every", 1, kMany).value_or(0);
  recipe.keep_last = checkpoints.integer("keep_last", 1, 1'000'000).value_or(recipe.keep_last);
  checkpoints.done();
  recipe.audit_share = root.number("audit_share", 0, 1).value_or(recipe.audit_share);
  recipe.tensorboard = root.boolean("tensorboard").value_or(false);
  root.done();
  recipe.policy.seed = recipe.problems.seed = recipe.seed;
  return recipe;
}

}  // namespace minimax::rl
