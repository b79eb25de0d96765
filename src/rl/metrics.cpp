#include "rl/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "model/parameters.h"

namespace minimax::rl {
namespace {

constexpr size_t kRemembered = 8;

double mean(const std::vector<double>& values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double deviation(const std::vector<double>& values) {
  const double middle = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - middle) * (value - middle);
  return values.size() < 2 ? 0 : std::sqrt(squares / static_cast<double>(values.size() - 1));
}

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

void remember(std::vector<double>& values, double value) {
  values.push_back(value);
  if (values.size() > kRemembered) values.erase(values.begin());
}

// The second half of what is remembered is above the first half.
bool rises(const std::vector<double>& values, double by) {
  if (values.size() < kRemembered) return false;
  const auto middle = values.begin() + kRemembered / 2;
  return mean({middle, values.end()}) > mean({values.begin(), middle}) + by;
}

}  // namespace

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(std::ceil(share * static_cast<double>(values.size()))) - 1;
  const auto place = values.begin() + std::clamp<std::ptrdiff_t>(at, 0, static_cast<std::ptrdiff_t>(values.size()) - 1);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

double pearson(std::span<const double> x, std::span<const double> y) {
  const auto count = static_cast<double>(x.size());
  double mean_x = 0, mean_y = 0;
  for (size_t i = 0; i < x.size(); ++i) mean_x += x[i] / count, mean_y += y[i] / count;
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return xx == 0 && yy == 0 ? 1 : xy / std::sqrt(xx * yy);
}

double spearman(std::span<const double> x, std::span<const double> y) {
  const auto ranks = [](std::span<const double> values) {
    std::vector<size_t> order(values.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
    std::vector<double> out(values.size());
    for (size_t first = 0, last = 0; first < order.size(); first = last) {
      while (last < order.size() && values[order[last]] == values[order[first]]) ++last;
      for (size_t at = first; at < last; ++at) out[order[at]] = static_cast<double>(first + last - 1) / 2;
    }
    return out;
  };
  const auto varies = [](std::span<const double> values) {
    return std::any_of(values.begin(), values.end(), [&](double value) { return value != values[0]; });
  };
  return varies(x) && varies(y) ? pearson(ranks(x), ranks(y)) : 0;
}

void Mismatch::add(double trainer_log_prob, float engine_log_prob) {
  trainer_.push_back(trainer_log_prob);
  engine_.push_back(engine_log_prob);
}

void Mismatch::gather(comm::ProcessGroup& group) {
  trainer_ = comm::all_gather<double>(group, trainer_);
  engine_ = comm::all_gather<double>(group, engine_);
}

double Mismatch::pearson() const {
  std::vector<double> x, y;
  for (size_t i = 0; i < trainer_.size(); ++i) x.push_back(std::exp(trainer_[i])), y.push_back(std::exp(engine_[i]));
  return rl::pearson(x, y);
}

double Mismatch::mean_abs_dlogp() const {
  double sum = 0;
  for (size_t i = 0; i < trainer_.size(); ++i) sum += std::abs(trainer_[i] - engine_[i]);
  return trainer_.empty() ? 0 : sum / static_cast<double>(trainer_.size());
}

void Mismatch::write(Metrics& out) const {
  double largest = 0, largest_prob = 0, k3 = 0, weights = 0, squares = 0;
  int64_t same = 0;
  for (size_t i = 0; i < trainer_.size(); ++i) {
    const double d = trainer_[i] - engine_[i], weight = std::exp(std::clamp(d, -20.0, 20.0));
    same += trainer_[i] == engine_[i];
    largest = std::max(largest, std::abs(d));
    largest_prob = std::max(largest_prob, std::abs(std::exp(trainer_[i]) - std::exp(engine_[i])));
    k3 += weight - 1 - d;
    weights += weight;
    squares += weight * weight;
  }
  const auto count = static_cast<double>(std::max<size_t>(1, trainer_.size()));
  out["mismatch/tokens"] = static_cast<double>(trainer_.size());
  out["mismatch/same_bits"] = share(same, tokens());
  out["mismatch/pearson"] = pearson();
  out["mismatch/mean_abs_dlogp"] = mean_abs_dlogp();
  out["mismatch/max_abs_dlogp"] = largest;
  out["mismatch/max_abs_dprob"] = largest_prob;
  out["mismatch/k3"] = k3 / count;
  out["mismatch/ess"] = squares > 0 ? weights * weights / (count * squares) : 1;
}

void write_batch_metrics(std::span<const Group> all, std::span<const Group> kept, int64_t window, Metrics& out) {
  std::vector<double> rewards, lengths, right_lengths, wrong_lengths, times;
  std::vector<double> surprise, surprise_positive, surprise_negative;
  std::map<std::string, std::vector<double>> by_task;
  int64_t cut = 0, looped = 0, form = 0, none = 0, timeouts = 0, all_wrong = 0, all_right = 0, attempts = 0;
  std::vector<double> turns;
  std::vector<double> equal_rewards[2], equal_lengths[2];  // of wrong and right attempts
  for (const Group& group : all) {
    if (group.flat()) (group.pass_rate() > 0.5 ? all_right : all_wrong) += 1;
    for (const Sample& sample : group.samples) {
      ++attempts;
      const auto length = static_cast<double>(sample.sampled_tokens());
      lengths.push_back(length);
      turns.push_back(static_cast<double>(sample.turns));
      (sample.score.correct ? right_lengths : wrong_lengths).push_back(length);
      times.push_back(sample.score.ms);
      cut += sample.cut_off();
      looped += sample.looped();
      form += sample.score.format_ok;
      none += !sample.score.score.has_value();
      timeouts += sample.score.why == "timeout";
      if (!std::isnan(sample.reward)) {
        rewards.push_back(sample.reward);
        equal_rewards[sample.score.correct].push_back(sample.reward);
        equal_lengths[sample.score.correct].push_back(length);
        by_task[group.problem.task.empty() ? group.problem.env : group.problem.task].push_back(sample.reward);
      }
      for (size_t token = 0; token < sample.tokens.size(); ++token)
        if (sample.sampled[token]) surprise.push_back(-sample.log_probs[token]);
    }
  }
  double advantage = 0, largest = 0;
  int64_t counted = 0;
  for (const Group& group : kept)
    for (const Sample& sample : group.samples) {
      advantage += std::abs(sample.advantage);
      largest = std::max(largest, std::abs(sample.advantage));
      ++counted;
      for (size_t token = 0; token < sample.tokens.size(); ++token)
        if (sample.sampled[token] && sample.advantage != 0)
          (sample.advantage > 0 ? surprise_positive : surprise_negative).push_back(-sample.log_probs[token]);
    }
  out["reward/mean"] = mean(rewards);
  out["reward/std"] = deviation(rewards);
  for (const auto& [task, values] : by_task) out["reward/domain." + task] = mean(values);
  out["adv/absmean"] = counted == 0 ? 0 : advantage / static_cast<double>(counted);
  out["adv/max"] = largest;
  out["group/tried"] = static_cast<double>(all.size());
  out["group/kept"] = static_cast<double>(kept.size());
  out["group/zero_var_0"] = static_cast<double>(all_wrong);
  out["group/zero_var_1"] = static_cast<double>(all_right);
  out["len/mean"] = mean(lengths);
  out["len/p50"] = percentile(lengths, 0.5);
  out["len/p99"] = percentile(lengths, 0.99);
  out["len/max"] = percentile(lengths, 1);
  out["len/pos_mean"] = mean(right_lengths);
  out["len/neg_mean"] = mean(wrong_lengths);
  out["len/window"] = static_cast<double>(window);
  out["turns/mean"] = mean(turns);
  double correlation = 0;
  for (int correct = 0; correct < 2; ++correct)
    correlation +=
        static_cast<double>(equal_rewards[correct].size()) * spearman(equal_rewards[correct], equal_lengths[correct]);
  out["judge/len_corr"] = rewards.empty() ? 0 : correlation / static_cast<double>(rewards.size());
  out["trunc_rate"] = share(cut, attempts);
  out["rep_stop_rate"] = share(looped, attempts);
  out["format_rate"] = share(form, attempts);
  out["verifier/none_rate"] = share(none, attempts);
  out["verifier/timeout_rate"] = share(timeouts, attempts);
  out["verifier/ms_p99"] = percentile(times, 0.99);
  out["entropy/mean"] = mean(surprise);
  out["entropy/pos"] = mean(surprise_positive);
  out["entropy/neg"] = mean(surprise_negative);
  out["ppl/gen"] = std::exp(mean(surprise));
}

void write_update_metrics(const train::StepMetrics& step, Metrics& out) {
  const train::PolicyCounts& policy = step.pass.policy;
  const double tokens = std::max(1.0, policy.tokens);
  out["loss/policy"] = step.pass.loss;
  out["loss/aux"] = step.pass.balance;
  out["loss/tokens"] = policy.tokens;
  out["kl/k1"] = policy.kl1_sum / tokens;
  out["kl/k3"] = policy.kl3_sum / tokens;
  out["ratio/mean"] = policy.tokens > 0 ? policy.ratio_sum / tokens : 1;
  out["ratio/p99"] =
      policy.ratios.empty() ? 1 : percentile(std::vector<double>(policy.ratios.begin(), policy.ratios.end()), 0.99);
  out["ratio/max"] = policy.ratio_max;
  out["cispo/capfrac"] = policy.capped / tokens;
  out["cispo/capfrac_pos"] = policy.capped_positive / tokens;
  out["ppo/region_frac"] = policy.region / tokens;
  out["ppo/masked_high"] = policy.masked_high / tokens;
  out["ppo/masked_low"] = policy.masked_low / tokens;
  out["grad/norm"] = step.optimizer.gradient_norm;
  out["grad/clipped"] = step.optimizer.clipped;
  out["grad/skipped"] = step.optimizer.skipped;
  out["rate"] = step.rate;
}

void write_router_metrics(const MiniMaxM1& model, std::span<const std::shared_ptr<RouterReplay>> replays,
                          comm::ProcessGroup* group, Metrics& out) {
  const size_t mixtures = model.layers.size(), experts = static_cast<size_t>(model.config.experts);
  // How many tokens each expert of each mixture got; then sums of flips, choices, entropies, and tokens of mixtures.
  std::vector<double> sums(mixtures * experts + 4, 0.0);
  double &flips = sums[mixtures * experts], &choices = sums[mixtures * experts + 1],
         &entropy = sums[mixtures * experts + 2], &tokens = sums[mixtures * experts + 3];
  for (const auto& replay : replays) {
    if (!replay) continue;
    flips += static_cast<double>(replay->flips());
    choices += static_cast<double>(replay->choices());
    const std::unordered_map<const void*, double> entropies = replay->entropy();
    for (size_t layer = 0; layer < mixtures; ++layer) {
      const void* router = model.layers[layer].moe.router.data.raw();
      const auto chosen = replay->chosen().find(router);
      if (chosen == replay->chosen().end()) continue;
      const Tensor host = to_host(chosen->second);
      for (const int32_t expert : host.span<int32_t>()) ++sums[layer * experts + static_cast<size_t>(expert)];
      tokens += static_cast<double>(host.dim(0));
      if (const auto of = entropies.find(router); of != entropies.end()) entropy += of->second;
    }
  }
  if (group) group->all_reduce_sum(std::span(sums));
  if (tokens == 0) return;
  double spread = 0, most = 0, load_entropy = 0;
  int64_t dead = 0;
  for (size_t layer = 0; layer < mixtures; ++layer) {
    const auto counts = std::span(sums).subspan(layer * experts, experts);
    const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
    const double expected = sum / static_cast<double>(experts);
    double squares = 0;
    for (const double count : counts) {
      squares += (count - expected) * (count - expected);
      most = std::max(most, count / sum);
      dead += count == 0;
      if (count > 0) load_entropy -= count / sum * std::log(count / sum);
    }
    spread += std::sqrt(squares / static_cast<double>(experts)) / expected;
  }
  out["moe/load_cv"] = spread / static_cast<double>(mixtures);
  out["moe/maxfrac"] = most;
  out["moe/dead_experts"] = static_cast<double>(dead);
  out["moe/load_entropy"] = load_entropy / static_cast<double>(mixtures);
  out["moe/router_entropy"] = entropy / tokens;
  out["moe/flip_rate"] = choices == 0 ? 0 : flips / choices;
}

void write_optimizer_metrics(train::Trainer& trainer, double rate, Metrics& out) {
  const train::AdamWOptions& options = trainer.optimizer().options();
  const auto steps = static_cast<double>(trainer.optimizer().steps());
  if (steps == 0) return;
  const double first = 1 - std::pow(options.beta1, steps), second = 1 - std::pow(options.beta2, steps);
  double updates = 0, weights = 0;
  for (const auto& slot : trainer.optimizer().slots()) {
    if (slot.master.device() != Device::kCpu) return;
    const auto m = slot.m.template span<float>(), v = slot.v.template span<float>(),
               w = slot.master.template span<float>();
    for (size_t i = 0; i < w.size(); ++i) {
      const double update = rate * (m[i] / first) / (std::sqrt(v[i] / second) + options.eps);
      updates += update * update;
      weights += static_cast<double>(w[i]) * w[i];
    }
  }
  out["upd/param_rms_ratio"] = std::sqrt(updates / weights);
}

void write_gradient_histogram(const train::Trainer& trainer, Metrics& out) {
  constexpr int kDecades = 21;  // 1e-20 and less .. 1 and more
  std::vector<int64_t> counts(kDecades + 1);
  int64_t all = 0;
  for (const Parameter& parameter : parameters(trainer.model())) {
    const Tensor* gradient = trainer.gradients().find(parameter.value);
    if (!gradient || gradient->device() != Device::kCpu) continue;
    for (const float x : gradient->span<float>()) {
      ++all;
      if (x == 0) {
        ++counts[kDecades];
        continue;
      }
      const int decade = static_cast<int>(std::floor(std::log10(std::abs(static_cast<double>(x)))));
      ++counts[static_cast<size_t>(std::clamp(decade + 20, 0, kDecades - 1))];
    }
  }
  for (int decade = 0; decade < kDecades; ++decade)
    out[cat("grad/abs_1e", decade - 20)] = share(counts[static_cast<size_t>(decade)], all);
  out["grad/abs_0"] = share(counts[kDecades], all);
}

std::vector<std::string> find_alarms(const Metrics& batch, double window, AlarmState& state) {
  std::vector<std::string> alarms;
  const auto value = [&](const char* name, double otherwise) {
    const auto at = batch.find(name);
    return at == batch.end() ? otherwise : at->second;
  };
  const auto alarm = [&](bool condition, const std::string& text) {
    if (condition) alarms.push_back(text);
  };
  if (state.entropy_start == 0) state.entropy_start = value("entropy/mean", 0);
  const double median = percentile(state.norms, 0.5), norm = value("grad/norm", 0);
  alarm(value("mismatch/pearson", 1) < 0.99,
        cat("engine and trainer disagree: pearson ", value("mismatch/pearson", 1)));
  alarm(value("entropy/mean", 1) < 0.3 * state.entropy_start,
        cat("entropy ", value("entropy/mean", 1), " is below 30% of its start, ", state.entropy_start));
  alarm(value("cispo/capfrac", 0) > 0.2, cat("the cap holds back ", value("cispo/capfrac", 0), " of the tokens"));
  alarm(state.norms.size() == kRemembered && norm > 5 * median,
        cat("gradient norm ", norm, " is more than 5 times its median, ", median));
  alarm(value("verifier/none_rate", 0) > 0.02,
        cat("verifiers failed on ", value("verifier/none_rate", 0), " of the attempts"));
  remember(state.norms, norm);
  remember(state.reward, value("reward/mean", 0));
  remember(state.length, value("len/mean", 0));
  remember(state.perplexity, value("ppl/gen", 1));
  if (batch.contains("heldout/reward")) remember(state.held_out, value("heldout/reward", 0));
  alarm(value("len/p99", 0) >= 0.99 * window && rises(state.perplexity, 0.02),
        "perplexity rises while answers fill the window: their tails may be falling apart");
  alarm(rises(state.reward, 0.02) && rises(state.length, 0.1 * mean(state.length)) &&
            state.held_out.size() == kRemembered && !rises(state.held_out, 0),
        "reward and length rise, the held-out reward does not: the verifier may be talked round");
  return alarms;
}

}  // namespace minimax::rl
