#include "rl/run.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/error.h"
#include "engine/state/state_cache.h"
#include "io/atomic_file.h"
#include "model/load.h"
#include "rl/generate.h"
#include "rl/shared_rollout.h"
#include "rl/verifier.h"

namespace minimax::rl {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

io::json::object json_of(const Metrics& metrics) {
  io::json::object out;
  for (const auto& [name, value] : metrics)
    out[name] = std::isfinite(value) ? io::json::value(value) : io::json::value(std::isnan(value) ? "nan" : "inf");
  return out;
}

/// A step of the engine on a GPU costs as much for a few prompts as for many.
constexpr int64_t kGpuStepTokens = 16384, kGpuAdmitEvery = 16;

/// Room for so many sequences of this length at once, and for what the prefix cache keeps of their prompts.
int64_t memory_for(const ModelConfig& config, int64_t sequences, int64_t tokens) {
  const int64_t rounded = (tokens + kChunk - 1) / kChunk * kChunk;
  return (sequences + 2) *
         (rounded * engine::StateCache::kv_bytes_per_token(config) +
          2 * engine::StateCache::state_bytes_per_sequence(config)) *
         3 / 2;
}

std::vector<Problem> problems_of(const EvaluationRecipe& evaluation, uint64_t seed) {
  std::vector<Problem> problems;
  if (!evaluation.task.task.empty()) {
    for (int64_t at = 0; at < evaluation.count; ++at)
      problems.push_back(generate(evaluation.task.task, evaluation.task.least_level,
                                  (seed << 32) + static_cast<uint64_t>(at), Split::kHeldOut, {},
                                  evaluation.task.instructions)
                             .problem);
    return problems;
  }
  problems = read_problems(evaluation.file);
  if (static_cast<int64_t>(problems.size()) > evaluation.count) problems.resize(static_cast<size_t>(evaluation.count));
  return problems;
}

}  // namespace

ReinforcementRun::ReinforcementRun(Recipe recipe, const Context& ctx, bool resume, RlCallbacks callbacks,
                                   comm::ProcessGroup* group)
    : recipe_(std::move(recipe)),
      ctx_(ctx),
      callbacks_(std::move(callbacks)),
      group_(group),
      folder_(recipe_.output),
      tokenizer_folder_(recipe_.tokenizer.empty() ? recipe_.model.checkpoint : recipe_.tokenizer) {
  MM_CHECK(resume || !folder_.is_used(), recipe_.output.string(),
           ": a run has been here already; resume it, or name another output");
  tokenizer_ = text::Tokenizer::load(tokenizer_folder_);
  const std::vector<int64_t> checkpoints = folder_.checkpoints();
  const bool goes_on = resume && !checkpoints.empty();
  const fs::path from = goes_on ? folder_.checkpoint(checkpoints.back()) : recipe_.model.checkpoint;
  trainable_ = train::make_trainable(ctx_, load_model(from), recipe_.model.precision);
  trainer_ = std::make_unique<train::Trainer>(ctx_, trainable_, recipe_.trainer, group_);
  const ModelConfig& config = trainable_.model.config;
  const int64_t context = std::min(config.max_positions, 4096 + 2 * recipe_.policy.windows.back());
  engine_ = std::make_unique<engine::Engine>(
      trainable_.model, *ctx_.threads,
      engine::EngineOptions{
          .context = context,
          .memory_bytes = memory_for(config, recipe_.max_running, context),
          .max_running = recipe_.max_running,
          .max_waiting = int64_t{1} << 20,
          .step_tokens = std::max(recipe_.max_running, ctx_.gpu ? kGpuStepTokens : engine::EngineOptions().step_tokens),
          .admit_every = ctx_.gpu ? kGpuAdmitEvery : 1,
          .precision = ctx_.matmul_precision,
          .gpu = ctx_.gpu,
          .deterministic = ctx_.deterministic});
  for (const ExternalOptions& verifier : recipe_.verifiers)
    verifiers_.push_back(std::make_unique<ExternalVerifier>(verifier));
  recipe_.rollout.scorer = [this](const Problem& problem, const Attempt& attempt) -> std::optional<Score> {
    for (const auto& verifier : verifiers_)
      if (verifier->name() == problem.verifier.name) return verifier->score(problem, attempt);
    return std::nullopt;
  };
  check_verifiers();
  curriculum_ = std::make_unique<Curriculum>(recipe_.problems);
  policy_ =
      std::make_unique<PolicyTrainer>(*engine_, *trainer_, *tokenizer_, *curriculum_, recipe_.rollout, recipe_.policy);
  if (goes_on) this->resume();
  if (!writes()) return;
  if (!goes_on) forget_after(-1);  // step 0 is the evaluation before training
  io::write_file(folder_.path() / "recipe.toml", recipe_.source);
  io::write_file(folder_.path() / "run.json",
                 io::write_json(io::json::object{{"kind", "rl"},
                                                 {"seed", recipe_.seed},
                                                 {"steps", recipe_.batches},
                                                 {"group_size", recipe_.rollout.group_size},
                                                 {"prompts", recipe_.policy.prompts_per_batch},
                                                 {"minibatches", recipe_.policy.minibatches},
                                                 {"checkpoint", recipe_.model.checkpoint.string()},
                                                 {"vocab", config.vocab}},
                                io::JsonStyle::kPretty) +
                     "\n");
  if (recipe_.tensorboard)
    board_ = std::make_unique<train::TensorBoard>(folder_.path() / "tensorboard", seconds_since_1970());
}

void ReinforcementRun::check_verifiers() const {
  std::vector<fs::path> files;
  for (const FileSource& source : recipe_.problems.files) files.push_back(source.path);
  for (const EvaluationRecipe& evaluation : recipe_.evaluations)
    if (evaluation.task.task.empty()) files.push_back(evaluation.file);
  for (const fs::path& file : files)
    for (const Problem& problem : read_problems(file)) {
      const std::string& name = problem.verifier.name;
      const bool known =
          is_built_in_verifier(name) || std::any_of(verifiers_.begin(), verifiers_.end(),
                                                    [&](const auto& verifier) { return verifier->name() == name; });
      MM_CHECK(known, file.string(), ": problem ", problem.id, " asks for verifier \"", name,
               "\", which is neither built in nor a [[verifier]] of the recipe");
    }
}

void ReinforcementRun::note(const std::string& text) const {
  if (callbacks_.note) callbacks_.note(text);
}

void ReinforcementRun::resume() {
  const int64_t newest = folder_.checkpoints().back();
  const fs::path folder = folder_.checkpoint(newest), file = folder / "trainer.json";
  train::load_optimizer(ctx_, trainable_, trainer_->optimizer(), folder);
  const io::json::value value = io::read_json_file(file);
  const io::JsonField root(value, file.string());
  trainer_->optimizer().set_steps(root["optimizer_steps"].integer(0));
  for (int64_t i = 0; i < root["recent_norms"].size(); ++i)
    trainer_->recent_norms().push_back(root["recent_norms"][i].number());
  policy_->restore(root["policy"]);
  policy_->load_good_weights(folder);
  if (root["best_batch"].has_value()) {
    best_batch_ = root["best_batch"].integer(0);
    best_score_ = root["best_score"].number();
  }
  note(cat("going on after batch ", policy_->batches()));
  if (writes()) forget_after(policy_->batches());
}

void ReinforcementRun::forget_after(int64_t batch) {
  folder_.forget_after(batch);
  for (const char* name : {"updates.jsonl", "attempts.jsonl"}) {
    const fs::path file = folder_.path() / name;
    if (!fs::exists(file)) continue;
    std::string kept;
    for (const io::json::value& line : train::read_jsonl(file))
      if (line.at("step").to_number<int64_t>() <= batch) kept += io::write_json(line) + "\n";
    io::write_file(file, kept);
  }
}

bool ReinforcementRun::asked_to_stop() const {
  double asked[] = {callbacks_.stop && callbacks_.stop() ? 1.0 : 0.0};
  if (group_) group_->all_reduce_sum(std::span<double>(asked));
  return asked[0] > 0;
}

void ReinforcementRun::save() {
  folder_.save(policy_->batches(), [&](const fs::path& folder) {
    train::save_model(ctx_, trainable_.model, folder, tokenizer_folder_);
    train::save_optimizer(ctx_, trainable_, trainer_->optimizer(), folder);
    policy_->save_good_weights(folder);
    io::json::array norms;
    for (const double norm : trainer_->recent_norms()) norms.emplace_back(norm);
    io::json::object state{{"optimizer_steps", trainer_->optimizer().steps()}, {"recent_norms", norms}};
    state["policy"] = policy_->state();
    state["best_batch"] = best_batch_ ? io::json::value(*best_batch_) : io::json::value(nullptr);
    state["best_score"] = best_score_;
    io::write_file(folder / "trainer.json", io::write_json(state, io::JsonStyle::kPretty) + "\n");
  });
  folder_.prune(recipe_.keep_last, best_batch_);
}

Metrics ReinforcementRun::evaluate() {
  Metrics out;
  double sum = 0;
  for (const EvaluationRecipe& evaluation : recipe_.evaluations) {
    const std::vector<Problem> problems = problems_of(evaluation, recipe_.seed);
    RolloutOptions options = recipe_.rollout;
    options.window = policy_->window();
    const auto score = [&](int64_t attempts, float temperature) {
      options.group_size = attempts;
      options.sampling.temperature = temperature;
      options.sampling.seed = recipe_.seed;
      double right = 0;
      // A round that training never reaches, so that no random numbers are shared with it.
      const auto groups = roll_out_shared(*engine_, *tokenizer_, problems, options, (int64_t{1} << 22) - 1, group_);
      for (const Group& group : groups) right += std::isnan(group.pass_rate()) ? 0 : group.pass_rate();
      return right / static_cast<double>(groups.size());
    };
    const double greedy = score(1, 0);
    out["heldout/" + evaluation.name + ".greedy"] = greedy;
    sum += greedy;
    if (evaluation.samples > 0) out["heldout/" + evaluation.name + ".avg"] = score(evaluation.samples, 1);
  }
  if (!recipe_.evaluations.empty()) out["heldout/reward"] = sum / static_cast<double>(recipe_.evaluations.size());
  return out;
}

void ReinforcementRun::log(const BatchReport& report) {
  const int64_t step = policy_->batches();
  io::json::object line{{"step", step}};
  for (const auto& [name, value] : json_of(report.metrics)) line[name] = value;
  if (!report.alarms.empty()) {
    io::json::array alarms;
    for (const std::string& alarm : report.alarms) alarms.emplace_back(alarm);
    line["alarms"] = std::move(alarms);
  }
  folder_.append(folder_.metrics_file(), line);
  for (const Metrics& update : report.updates) {
    io::json::object row{{"step", step}};
    for (const auto& [name, value] : json_of(update)) row[name] = value;
    folder_.append(folder_.path() / "updates.jsonl", row);
  }
  if (board_) {
    std::vector<std::pair<std::string, double>> scalars;
    for (const auto& [name, value] : report.metrics)
      if (std::isfinite(value)) scalars.emplace_back(name, value);
    board_->scalars(step, seconds_since_1970(), scalars);
  }
  Rng audit(recipe_.seed, 0x6175646974 + static_cast<uint64_t>(step));
  for (const Group& group : report.groups)
    for (const Sample& sample : group.samples) {
      if (audit.uniform() >= recipe_.audit_share) continue;
      io::json::object row{{"step", step},
                           {"id", group.problem.id},
                           {"prompt", to_json(group.problem.messages)},
                           {"text", tokenizer_->decode(std::span(sample.tokens), text::SpecialTokens::kKeep)},
                           {"finish", engine::to_string(sample.finish)},
                           {"score", to_json(sample.score)}};
      row["reward"] = std::isnan(sample.reward) ? io::json::value(nullptr) : io::json::value(sample.reward);
      folder_.append(folder_.path() / "attempts.jsonl", row);
    }
}

int64_t ReinforcementRun::run() {
  RlStatus status{.batches = recipe_.batches};
  double pace = 0;
  bool ends = policy_->batches() >= recipe_.batches;
  if (policy_->batches() == 0 && !recipe_.evaluations.empty()) {
    const Metrics before = evaluate();
    io::json::object line{{"step", 0}};
    for (const auto& [name, value] : json_of(before)) line[name] = value;
    if (writes()) folder_.append(folder_.metrics_file(), line);
    for (const auto& [name, value] : before) note(cat(name, " ", value, " before training"));
  }
  while (!ends) {
    const auto begin = Clock::now();
    BatchReport report = policy_->step();
    const int64_t done = policy_->batches();
    ends = asked_to_stop() || done >= recipe_.batches;
    if (!recipe_.evaluations.empty() && (ends || done % recipe_.evaluate_every == 0)) {
      status.held_out = evaluate();
      report.metrics.insert(status.held_out.begin(), status.held_out.end());
      const double score = status.held_out.at("heldout/reward");
      if (!best_batch_ || score > best_score_) best_batch_ = done, best_score_ = score;
    }
    if (writes()) log(report);
    status.saved = ends || (recipe_.checkpoint_every > 0 && done % recipe_.checkpoint_every == 0);
    if (writes() && status.saved) save();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    pace = pace == 0 ? seconds : 0.8 * pace + 0.2 * seconds;
    status.batch = done;
    status.seconds_left = pace * static_cast<double>(recipe_.batches - done);
    const auto value = [&](const char* name) {
      const auto at = report.metrics.find(name);
      return at == report.metrics.end() ? 0.0 : at->second;
    };
    status.reward = value("reward/mean");
    status.length = value("len/mean");
    status.entropy = value("entropy/mean");
    status.kl = value("kl/k3");
    if (callbacks_.alarm)
      for (const std::string& alarm : report.alarms) callbacks_.alarm(cat("batch ", done, ": ", alarm));
    if (callbacks_.on_batch) callbacks_.on_batch(status);
  }
  return policy_->batches();
}

}  // namespace minimax::rl
