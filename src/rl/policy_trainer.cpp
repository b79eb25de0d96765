#include "rl/policy_trainer.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "io/safetensors.h"
#include "rl/shared_rollout.h"
#include "rl/tasks/draw.h"

namespace minimax::rl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kGoodWeights = "last_good.safetensors";
constexpr const char* kGoodSteps = "optimizer_steps";

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// One sample as the trainer takes it; weights and old log-probs are set later.
train::TrainSequence sequence_of(const Sample& sample, double advantage) {
  train::TrainSequence sequence;
  sequence.tokens = sample.tokens;
  sequence.weights.assign(sample.tokens.size(), 0);
  sequence.advantages.assign(sample.tokens.size(), advantage);
  sequence.old_log_probs.assign(sample.log_probs.begin(), sample.log_probs.end());
  return sequence;
}

/// What was said of the first attempt that nobody could score.
std::string reason_without_score(std::span<const Group> groups) {
  for (const Group& group : groups)
    for (const Sample& sample : group.samples)
      if (!sample.score.score) return cat(group.problem.id, ": ", sample.score.why);
  return "";
}

Tensor copy_of(const Tensor& x) {
  const Tensor out = Tensor::empty(x.shape(), x.dtype(), x.memory());
  copy_bytes(x, out);
  return out;
}

}  // namespace

void set_advantages(std::span<Group> groups, const train::AdvantageOptions& options) {
  if (groups.empty()) return;
  const size_t size = groups.front().samples.size();
  std::vector<double> rewards;
  for (const Group& group : groups) {
    MM_CHECK(group.samples.size() == size, "group of ", group.samples.size(), " samples among groups of ", size);
    for (const Sample& sample : group.samples) rewards.push_back(sample.reward);
  }
  const std::vector<double> advantages = train::group_advantages(rewards, static_cast<int64_t>(size), options);
  size_t at = 0;
  for (Group& group : groups)
    for (Sample& sample : group.samples) sample.advantage = advantages[at++];
}

PolicyTrainer::PolicyTrainer(engine::Engine& engine, train::Trainer& trainer, const text::Tokenizer& tokenizer,
                             Curriculum& curriculum, RolloutOptions rollout, PolicyOptions options)
    : engine_(engine),
      trainer_(trainer),
      tokenizer_(tokenizer),
      curriculum_(curriculum),
      rollout_(std::move(rollout)),
      options_(std::move(options)),
      levels_(curriculum.levels()) {
  MM_CHECK(
      options_.prompts_per_batch >= 1 && options_.minibatches >= 1 && options_.epochs >= 1 && options_.max_tries >= 1,
      "prompts_per_batch ", options_.prompts_per_batch, ", minibatches ", options_.minibatches, ", epochs ",
      options_.epochs, ", max_tries ", options_.max_tries, ", expected at least 1 of each");
  MM_CHECK(!options_.windows.empty() && std::is_sorted(options_.windows.begin(), options_.windows.end()) &&
               options_.windows.front() >= 1,
           "windows must be positive and ascending");
  MM_CHECK(rollout_.group_size >= 2, "group_size ", rollout_.group_size,
           ", expected at least 2: an advantage is "
           "relative to the group");
  MM_CHECK(rollout_.sampling.temperature == 1 && rollout_.sampling.top_p == 1 && rollout_.sampling.top_k <= 0 &&
               rollout_.sampling.min_p == 0,
           "reinforcement learning samples at temperature 1 without top_p, top_k and min_p: the trainer's log-probs "
           "are those of the model itself");
  rollout_.sampling.seed = options_.seed;
}

std::vector<Group> PolicyTrainer::sample(BatchReport& report) {
  std::vector<Group> kept;
  RolloutReport cost;
  const auto most_tried = static_cast<int64_t>(options_.max_tries * static_cast<double>(options_.prompts_per_batch));
  rollout_.window = window();
  const engine::EngineStats before = engine_.stats();
  double problem_seconds = 0;
  while (static_cast<int64_t>(kept.size()) < options_.prompts_per_batch &&
         static_cast<int64_t>(report.groups.size()) < most_tried) {
    const int64_t wanted = std::min(options_.prompts_per_batch - static_cast<int64_t>(kept.size()),
                                    most_tried - static_cast<int64_t>(report.groups.size()));
    const auto begin = Clock::now();
    std::vector<Problem> problems;
    for (int64_t at = 0; at < wanted; ++at) problems.push_back(curriculum_.next());
    problem_seconds += seconds_since(begin);
    std::vector<Group> groups =
        roll_out_shared(engine_, tokenizer_, problems, rollout_, rounds_++, trainer_.group(), &cost);
    set_rewards(groups, options_.reward, window());
    for (Group& group : groups) {
      curriculum_.report(group.problem, group.pass_rate(), static_cast<int64_t>(group.samples.size()));
      if (!options_.dynamic_sampling || !group.flat()) kept.push_back(group);
      report.groups.push_back(std::move(group));
    }
    if (!options_.dynamic_sampling) break;
  }
  const engine::EngineStats after = engine_.stats();
  const auto steps = static_cast<double>(after.steps - before.steps);
  report.metrics["time/forward"] = after.forward_seconds - before.forward_seconds;
  report.metrics["rollout/steps"] = steps;
  report.metrics["rollout/tokens_per_step"] = static_cast<double>(cost.sampled_tokens) / std::max(1.0, steps);
  report.metrics["time/problems"] = problem_seconds;
  report.metrics["time/rollout"] = cost.sample_seconds;
  report.metrics["time/score"] = cost.score_seconds;
  report.metrics["time/idle"] = cost.idle_seconds;
  report.metrics["tok/s"] = static_cast<double>(cost.sampled_tokens) / std::max(1e-9, cost.sample_seconds);
  return kept;
}

std::vector<PolicyTrainer::Minibatch> PolicyTrainer::prepare(std::span<Group> groups, Mismatch& mismatch) {
  // Whole groups in an order of their own; a minibatch is a stretch of them.
  std::vector<size_t> order(groups.size());
  for (size_t at = 0; at < order.size(); ++at) order[at] = at;
  Rng rng(options_.seed, 0x73687566'00000000 + static_cast<uint64_t>(batches_));
  shuffle(rng, order);
  const auto count = static_cast<int64_t>(order.size());
  const int64_t cuts = std::min(options_.minibatches, count);
  const train::PolicyLoss& loss = trainer_.options().pass.policy;
  std::vector<Minibatch> minibatches;
  for (int64_t cut = 0; cut < cuts; ++cut) {
    std::vector<train::TrainSequence> sequences;
    std::vector<double> mask;
    std::vector<int64_t> starts = {0};
    for (int64_t at = count * cut / cuts; at < count * (cut + 1) / cuts; ++at)
      for (const Sample& sample : groups[order[static_cast<size_t>(at)]].samples) {
        const bool out = std::isnan(sample.reward) || (options_.mask_truncated && sample.cut_off());
        for (const uint8_t sampled : sample.sampled) mask.push_back(sampled && !out);
        starts.push_back(static_cast<int64_t>(mask.size()));
        sequences.push_back(sequence_of(sample, sample.advantage));
      }
    // The normaliser is that of this step, over all its passes.
    const std::vector<double> weights = train::token_weights(loss, mask, starts, rollout_.group_size);
    for (size_t at = 0; at < sequences.size(); ++at)
      std::copy(weights.begin() + starts[at], weights.begin() + starts[at + 1], sequences[at].weights.begin());
    Minibatch& minibatch = minibatches.emplace_back();
    minibatch.packs = train::pack(sequences, pass_tokens_for(sequences));
    for (size_t number = 0; number < minibatch.packs.size(); ++number) {
      if (!trainer_.is_own(number)) continue;
      train::TrainBatch& pack = minibatch.packs[number];
      // The engine's log-probs stand in old_log_probs so far.
      pack.router_replay = std::make_shared<RouterReplay>();
      pack.router_replay->measure_entropy();
      const std::vector<double> log_probs = trainer_.log_probs(pack);
      if (options_.router_replay)
        pack.router_replay->freeze();
      else
        pack.router_replay->compare();
      for (size_t row = 0; row < log_probs.size(); ++row) {
        mismatch.add(log_probs[row], static_cast<float>(pack.old_log_probs[row]));
        if (options_.importance_cap > 0)
          pack.advantages[row] *= std::min(std::exp(log_probs[row] - pack.old_log_probs[row]), options_.importance_cap);
      }
      if (options_.anchor == Anchor::kOld) pack.old_log_probs = log_probs;
    }
  }
  if (trainer_.group()) mismatch.gather(*trainer_.group());
  return minibatches;
}

/// Enough passes for every process to have one.
int64_t PolicyTrainer::pass_tokens_for(std::span<const train::TrainSequence> sequences) const {
  const int64_t processes = trainer_.group() ? trainer_.group()->size() : 1;
  int64_t tokens = 0;
  for (const train::TrainSequence& sequence : sequences) tokens += static_cast<int64_t>(sequence.tokens.size());
  return std::min(options_.pass_tokens, std::max<int64_t>(1, (tokens + processes - 1) / processes));
}

void PolicyTrainer::update(std::vector<Minibatch>& minibatches, BatchReport& report) {
  for (int64_t epoch = 0; epoch < options_.epochs; ++epoch)
    for (size_t at = 0; at < minibatches.size(); ++at) {
      const bool last = epoch + 1 == options_.epochs && at + 1 == minibatches.size();
      const train::StepMetrics metrics =
          trainer_.step(minibatches[at].packs, rate_scale_ * options_.schedule.at(updates_), [&] {
            if (last && options_.gradient_histogram) write_gradient_histogram(trainer_, report.metrics);
          });
      ++updates_;
      Metrics& row = report.updates.emplace_back();
      row["update"] = static_cast<double>(updates_);
      row["batch"] = static_cast<double>(batches_);
      write_update_metrics(metrics, row);
      if (last) write_optimizer_metrics(trainer_, metrics.rate, report.metrics);
    }
}

BatchReport PolicyTrainer::step() {
  const auto batch_begin = Clock::now();
  BatchReport report{.batch = batches_};
  std::vector<Group> groups = sample(report);
  set_advantages(groups, options_.advantages);
  write_batch_metrics(report.groups, groups, window(), report.metrics);
  const double reward = report.metrics["reward/mean"];
  report.metrics["batch"] = static_cast<double>(batches_);
  for (const auto& [task, level] : curriculum_.levels())
    report.metrics["curriculum/" + task + ".level"] = static_cast<double>(level);
  double stale = 0, stale_sum = 0, samples = 0;
  for (const Group& group : groups)
    for (const Sample& sample : group.samples) {
      const auto age = static_cast<double>(engine_.weights_version() - sample.weights_version);
      stale = std::max(stale, age);
      stale_sum += age;
      ++samples;
    }
  report.metrics["staleness/max"] = stale;
  report.metrics["staleness/mean"] = stale_sum / std::max(1.0, samples);

  if (static_cast<int64_t>(groups.size()) < options_.min_groups) {
    report.alarms.push_back(
        cat("only ", groups.size(), " of ", report.groups.size(), " groups teach anything; the batch is left out"));
    if (report.metrics["reward/mean"] < 0.5) curriculum_.widen();
  } else {
    Mismatch mismatch;
    auto begin = Clock::now();
    std::vector<Minibatch> minibatches = prepare(groups, mismatch);
    report.metrics["time/logprob"] = seconds_since(begin);
    mismatch.write(report.metrics);
    if (mismatch.pearson() < options_.least_pearson || mismatch.mean_abs_dlogp() > options_.most_mean_dlogp) {
      report.alarms.push_back(cat("engine and trainer disagree (pearson ", mismatch.pearson(), ", limit ",
                                  options_.least_pearson, "; mean difference of log-probs ", mismatch.mean_abs_dlogp(),
                                  ", limit ", options_.most_mean_dlogp, "); the batch is left out"));
    } else {
      begin = Clock::now();
      // Engine and trainer have one set of weights: all there is to sync is that cached states of the old ones are
      // forgotten. Nothing is under way.
      double updating = 0;
      engine_.update_weights(
          [&] {
            const auto first = Clock::now();
            update(minibatches, report);
            updating = seconds_since(first);
          },
          /*recompute=*/false);
      report.metrics["time/update"] = updating;
      report.metrics["time/sync"] = seconds_since(begin) - updating;
      report.trained = true;
      std::vector<std::shared_ptr<RouterReplay>> replays;
      for (const Minibatch& minibatch : minibatches)
        for (const train::TrainBatch& pack : minibatch.packs) replays.push_back(pack.router_replay);
      write_router_metrics(trainer_.model(), replays, trainer_.group(), report.metrics);
      // Of the updates: the last for the divergences, the largest of what should stay small.
      for (const auto& [name, value] : report.updates.back()) report.metrics.emplace(name, value);
      for (const char* name : {"ratio/max", "ratio/p99", "cispo/capfrac", "ppo/region_frac", "grad/norm", "kl/k3"})
        for (const Metrics& row : report.updates) report.metrics[name] = std::max(report.metrics[name], row.at(name));
    }
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  report.metrics["mem/peak"] = static_cast<double>(usage.ru_maxrss) * 1024;
  for (std::string& alarm : find_alarms(report.metrics, static_cast<double>(window()), alarms_))
    report.alarms.push_back(std::move(alarm));
  if (report.metrics["verifier/none_rate"] > 0)
    for (std::string& alarm : report.alarms)
      if (alarm.starts_with("verifiers failed")) alarm += cat(", as: ", reason_without_score(report.groups));
  report.rolled_back = roll_back_if_lost(reward);
  if (report.rolled_back)
    report.alarms.push_back(cat("reward ", reward, " stayed below ", options_.rollback_share, " of its best, ",
                                best_reward_, ": back to the last good weights, rate halved"));
  advance_stage(report.metrics);
  report.metrics["time/batch"] = seconds_since(batch_begin);
  ++batches_;
  return report;
}

void PolicyTrainer::advance_stage(const Metrics& metrics) {
  perplexities_.push_back(metrics.at("ppl/gen"));
  if (static_cast<int64_t>(perplexities_.size()) > options_.settle_over) perplexities_.erase(perplexities_.begin());
  if (stage_ + 1 >= options_.windows.size() || static_cast<int64_t>(perplexities_.size()) < options_.settle_over)
    return;
  const auto [least, most] = std::minmax_element(perplexities_.begin(), perplexities_.end());
  const bool settled = *most - *least <= options_.settle_within * *most;
  if (!settled || metrics.at("len/p99") < options_.settle_share * static_cast<double>(window())) return;
  ++stage_;
  perplexities_.clear();
}

void PolicyTrainer::keep_good_weights() {
  Good good{.optimizer_steps = trainer_.optimizer().steps()};
  for (const auto& slot : trainer_.optimizer().slots()) {
    if (slot.weight.device() != Device::kCpu) return;
    good.weights.push_back(copy_of(slot.weight));
    good.masters.push_back(copy_of(slot.master));
    good.m.push_back(copy_of(slot.m));
    good.v.push_back(copy_of(slot.v));
  }
  good_ = std::move(good);
}

bool PolicyTrainer::roll_back_if_lost(double reward) {
  if (options_.rollback_after <= 0) return false;
  const std::map<std::string, int64_t> levels = curriculum_.levels();
  const bool harder = std::any_of(levels.begin(), levels.end(), [&](const auto& task) {
    const auto before = levels_.find(task.first);
    return before != levels_.end() && task.second > before->second;
  });
  levels_ = levels;
  if (harder) {
    keep_good_weights();  // good enough for the next level
    best_reward_ = 0;
    running_reward_ = -1;
    bad_batches_ = 0;
    return false;  // this batch was partly of the level before
  }
  running_reward_ = running_reward_ < 0 ? reward : 0.7 * running_reward_ + 0.3 * reward;
  best_reward_ = std::max(best_reward_, running_reward_);
  if (reward >= options_.rollback_share * best_reward_) {
    bad_batches_ = 0;
    if (reward >= 0.9 * best_reward_) keep_good_weights();
    return false;
  }
  if (++bad_batches_ < options_.rollback_after || !good_) return false;
  engine_.update_weights(
      [&] {
        size_t at = 0;
        for (const auto& slot : trainer_.optimizer().slots()) {
          copy_bytes(good_->weights[at], slot.weight);
          copy_bytes(good_->masters[at], slot.master);
          copy_bytes(good_->m[at], slot.m);
          copy_bytes(good_->v[at], slot.v);
          ++at;
        }
        trainer_.optimizer().set_steps(good_->optimizer_steps);
      },
      /*recompute=*/false);
  rate_scale_ /= 2;
  bad_batches_ = 0;
  return true;
}

io::json::object PolicyTrainer::state() const {
  const auto numbers = [](const std::vector<double>& values) {
    io::json::array out;
    for (const double value : values) out.push_back(value);
    return out;
  };
  io::json::object out{{"batches", batches_},
                       {"updates", updates_},
                       {"rounds", rounds_},
                       {"stage", stage_},
                       {"rate_scale", rate_scale_},
                       {"best_reward", best_reward_},
                       {"running_reward", running_reward_},
                       {"bad_batches", bad_batches_},
                       {"entropy_start", alarms_.entropy_start}};
  out["perplexities"] = numbers(perplexities_);
  out["recent_rewards"] = numbers(alarms_.reward);
  out["recent_lengths"] = numbers(alarms_.length);
  out["recent_perplexities"] = numbers(alarms_.perplexity);
  out["recent_held_out"] = numbers(alarms_.held_out);
  out["recent_norms"] = numbers(alarms_.norms);
  out["curriculum"] = curriculum_.state();
  return out;
}

void PolicyTrainer::restore(const io::JsonField& state) {
  const auto numbers = [&](const char* name) {
    std::vector<double> out;
    for (int64_t at = 0; at < state[name].size(); ++at) out.push_back(state[name][at].number());
    return out;
  };
  batches_ = state["batches"].integer(0);
  updates_ = state["updates"].integer(0);
  rounds_ = state["rounds"].integer(0);
  stage_ = static_cast<size_t>(state["stage"].integer(0, static_cast<int64_t>(options_.windows.size()) - 1));
  rate_scale_ = state["rate_scale"].number();
  best_reward_ = state["best_reward"].number();
  running_reward_ = state["running_reward"].number();
  bad_batches_ = state["bad_batches"].integer(0);
  alarms_.entropy_start = state["entropy_start"].number();
  perplexities_ = numbers("perplexities");
  alarms_.reward = numbers("recent_rewards");
  alarms_.length = numbers("recent_lengths");
  alarms_.perplexity = numbers("recent_perplexities");
  alarms_.held_out = numbers("recent_held_out");
  alarms_.norms = numbers("recent_norms");
  curriculum_.restore(state["curriculum"]);
  levels_ = curriculum_.levels();
  keep_good_weights();  // the checkpoint's
}

void PolicyTrainer::save_good_weights(const std::filesystem::path& folder) const {
  if (!good_ || good_->optimizer_steps == trainer_.optimizer().steps()) return;
  std::vector<io::NamedTensor> tensors;
  for (size_t at = 0; at < good_->weights.size(); ++at) {
    tensors.push_back({cat("weight.", at), good_->weights[at]});
    tensors.push_back({cat("master.", at), good_->masters[at]});
    tensors.push_back({cat("m.", at), good_->m[at]});
    tensors.push_back({cat("v.", at), good_->v[at]});
  }
  io::write_safetensors(folder / kGoodWeights, tensors, {{kGoodSteps, std::to_string(good_->optimizer_steps)}});
}

void PolicyTrainer::load_good_weights(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder / kGoodWeights)) return;
  const auto file = io::SafetensorsFile::open(folder / kGoodWeights);
  const auto steps = file.metadata().find(kGoodSteps);
  MM_CHECK(steps != file.metadata().end(), file.path().string(), ": no ", kGoodSteps, " in it");
  Good good{.optimizer_steps = std::stoll(steps->second)};
  size_t at = 0;
  for (const auto& slot : trainer_.optimizer().slots()) {
    const auto read = [&](const char* part, const Tensor& like) {
      const Tensor x = file.tensor(cat(part, at));
      MM_CHECK(x.shape() == like.shape() && x.dtype() == like.dtype(), file.path().string(), ": ", part, at, " is ",
               x.shape(), " ", x.dtype(), ", expected ", like.shape(), " ", like.dtype());
      return copy_of(x);
    };
    good.weights.push_back(read("weight.", slot.weight));
    good.masters.push_back(read("master.", slot.master));
    good.m.push_back(read("m.", slot.m));
    good.v.push_back(read("v.", slot.v));
    ++at;
  }
  good_ = std::move(good);
}

}  // namespace minimax::rl
