#include "train/policy_loss.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace minimax::train {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMaxLogRatio = 20;

struct Moments {
  double mean = 0, deviation = 0;
};

/// Of the rewards that are numbers.
Moments moments(std::span<const double> rewards, int ddof) {
  double sum = 0, squares = 0;
  int64_t count = 0;
  for (const double reward : rewards)
    if (!std::isnan(reward)) {
      sum += reward;
      ++count;
    }
  Moments out;
  if (count == 0) return out;
  out.mean = sum / static_cast<double>(count);
  for (const double reward : rewards)
    if (!std::isnan(reward)) squares += (reward - out.mean) * (reward - out.mean);
  if (count > ddof) out.deviation = std::sqrt(squares / static_cast<double>(count - ddof));
  return out;
}

/// What the term of a token of `sample` is multiplied with; `counted` has the counted tokens of every sample.
double weight(const PolicyLoss& loss, const PolicyBatch& batch, std::span<const double> counted, double total,
              int64_t sample) {
  const auto samples = static_cast<double>(counted.size());
  switch (loss.normalizer) {
    case Normalizer::kToken:
      return 1 / total;
    case Normalizer::kGroup: {
      const int64_t first = sample / batch.group_size * batch.group_size;
      double group = 0;
      for (int64_t i = first; i < first + batch.group_size; ++i) group += counted[i];
      return static_cast<double>(batch.group_size) / samples / group;
    }
    case Normalizer::kSample:
      return 1 / (samples * counted[sample]);
    case Normalizer::kLength:
      return 1 / (samples * static_cast<double>(loss.max_tokens));
  }
  return 0;
}

void check(const PolicyLoss& loss, const PolicyBatch& batch) {
  const size_t tokens = batch.log_probs.size();
  MM_CHECK(
      batch.old_log_probs.size() == tokens && batch.advantages.size() == tokens && batch.loss_mask.size() == tokens,
      "policy_gradient: ", tokens, " log_probs, ", batch.old_log_probs.size(), " old_log_probs, ",
      batch.advantages.size(), " advantages, ", batch.loss_mask.size(), " loss_mask: expected the same number");
  MM_CHECK(batch.starts.size() >= 2 && batch.starts.front() == 0 &&
               batch.starts.back() == static_cast<int64_t>(tokens) &&
               std::is_sorted(batch.starts.begin(), batch.starts.end()),
           "policy_gradient: starts of the samples do not rise from 0 to ", tokens);
  MM_CHECK(batch.group_size >= 1 && (batch.starts.size() - 1) % static_cast<size_t>(batch.group_size) == 0,
           "policy_gradient: ", batch.starts.size() - 1, " samples in groups of ", batch.group_size);
  MM_CHECK(loss.normalizer != Normalizer::kLength || loss.max_tokens > 0, "policy_gradient: max_tokens is ",
           loss.max_tokens, ", expected a positive number");
}

}  // namespace

std::vector<double> group_advantages(std::span<const double> rewards, int64_t group_size,
                                     const AdvantageOptions& options) {
  MM_CHECK(group_size >= 1 && rewards.size() % static_cast<size_t>(group_size) == 0,
           "group_advantages: ", rewards.size(), " rewards in groups of ", group_size);
  const double batch_deviation = moments(rewards, options.ddof).deviation;
  std::vector<double> advantages;
  for (size_t first = 0; first < rewards.size(); first += static_cast<size_t>(group_size)) {
    const auto group = rewards.subspan(first, static_cast<size_t>(group_size));
    const Moments own = moments(group, options.ddof);
    const double deviation = options.scale == AdvantageScale::kBatch ? batch_deviation : own.deviation;
    const double scale = options.scale == AdvantageScale::kNone ? 1 : deviation + options.eps;
    for (const double reward : group) {
      const double centred = std::isnan(reward) ? 0 : reward - own.mean;
      advantages.push_back(centred == 0 ? 0 : centred / scale);
    }
  }
  return advantages;
}

PolicyLoss PolicyLoss::reinforce() {
  return {.ratio_max = kInfinity};
}
PolicyLoss PolicyLoss::dapo() {
  return {.ratio_max = kInfinity, .mask_low = 0.2, .mask_high = 0.28};
}
PolicyLoss PolicyLoss::grpo() {
  return {.ratio_max = kInfinity, .mask_low = 0.2, .mask_high = 0.2, .normalizer = Normalizer::kSample};
}

PolicyGradient policy_gradient(const PolicyLoss& loss, const PolicyBatch& batch) {
  check(loss, batch);
  const auto samples = static_cast<int64_t>(batch.starts.size()) - 1;
  PolicyGradient out;
  out.dlog_probs.assign(batch.log_probs.size(), 0.0);
  std::vector<double> counted(static_cast<size_t>(samples), 0.0);
  double total = 0;
  for (int64_t sample = 0; sample < samples; ++sample) {
    for (int64_t token = batch.starts[sample]; token < batch.starts[sample + 1]; ++token)
      counted[sample] += batch.loss_mask[token];
    total += counted[sample];
  }
  if (total == 0) return out;

  for (int64_t sample = 0; sample < samples; ++sample) {
    if (counted[sample] == 0) continue;
    const double w = weight(loss, batch, counted, total, sample);
    for (int64_t token = batch.starts[sample]; token < batch.starts[sample + 1]; ++token) {
      const double mask = batch.loss_mask[token], advantage = batch.advantages[token];
      if (mask == 0) continue;
      const double log_ratio =
          std::clamp(batch.log_probs[token] - batch.old_log_probs[token], -kMaxLogRatio, kMaxLogRatio);
      const double ratio = std::exp(log_ratio);
      const bool high = advantage > 0 && ratio > 1 + loss.mask_high;
      const bool low = advantage < 0 && ratio < 1 - loss.mask_low;
      const bool dual = advantage < 0 && ratio > loss.dual_clip;
      out.capped += mask * (ratio > loss.ratio_max) / total;
      out.capped_positive += mask * (ratio > loss.ratio_max && advantage > 0) / total;
      out.masked_high += mask * high / total;
      out.masked_low += mask * low / total;
      if (high || low || dual) continue;
      const double coefficient = w * mask * std::clamp(ratio, loss.ratio_min, loss.ratio_max) * advantage;
      out.dlog_probs[token] = -coefficient;
      out.loss -= coefficient * batch.log_probs[token];
    }
  }
  return out;
}

}  // namespace minimax::train
