#include "train/policy_loss.h"

#include <algorithm>
#include <cmath>
#include <utility>

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

struct Step {
  std::span<const double> counted;  // by sample
  double total;
  int64_t group_size;
};

double sample_weight(const PolicyLoss& loss, Normalizer normalizer, const Step& step, int64_t sample) {
  const auto samples = static_cast<double>(step.counted.size());
  switch (normalizer) {
    case Normalizer::kToken:
      return 1 / step.total;
    case Normalizer::kGroup: {
      const int64_t first = sample / step.group_size * step.group_size;
      double group = 0;
      for (int64_t i = first; i < first + step.group_size; ++i) group += step.counted[i];
      return static_cast<double>(step.group_size) / samples / group;
    }
    case Normalizer::kSample:
      return 1 / (samples * step.counted[sample]);
    case Normalizer::kLength:
      return 1 / (samples * static_cast<double>(loss.max_tokens));
    case Normalizer::kMixed:
      return loss.token_share * sample_weight(loss, Normalizer::kToken, step, sample) +
             (1 - loss.token_share) * sample_weight(loss, Normalizer::kSample, step, sample);
  }
  return 0;
}

void check_samples(const PolicyLoss& loss, size_t tokens, std::span<const int64_t> starts, int64_t group_size) {
  MM_CHECK(starts.size() >= 2 && starts.front() == 0 && starts.back() == static_cast<int64_t>(tokens) &&
               std::is_sorted(starts.begin(), starts.end()),
           "policy_gradient: starts of the samples do not rise from 0 to ", tokens);
  MM_CHECK(group_size >= 1 && (starts.size() - 1) % static_cast<size_t>(group_size) == 0,
           "policy_gradient: ", starts.size() - 1, " samples in groups of ", group_size);
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

std::vector<double> token_weights(const PolicyLoss& loss, std::span<const double> loss_mask,
                                  std::span<const int64_t> starts, int64_t group_size) {
  check_samples(loss, loss_mask.size(), starts, group_size);
  const auto samples = static_cast<int64_t>(starts.size()) - 1;
  std::vector<double> counted(static_cast<size_t>(samples), 0.0);
  double total = 0;
  for (int64_t sample = 0; sample < samples; ++sample) {
    for (int64_t token = starts[sample]; token < starts[sample + 1]; ++token) counted[sample] += loss_mask[token];
    total += counted[sample];
  }
  std::vector<double> weights(loss_mask.size(), 0.0);
  for (int64_t sample = 0; sample < samples; ++sample) {
    if (counted[sample] == 0) continue;
    const double w = sample_weight(loss, loss.normalizer, {counted, total, group_size}, sample);
    for (int64_t token = starts[sample]; token < starts[sample + 1]; ++token) weights[token] = w * loss_mask[token];
  }
  return weights;
}

void PolicyCounts::add(const PolicyCounts& other) {
  tokens += other.tokens;
  capped += other.capped;
  capped_positive += other.capped_positive;
  masked_high += other.masked_high;
  masked_low += other.masked_low;
  region += other.region;
  ratio_sum += other.ratio_sum;
  ratio_max = std::max(ratio_max, other.ratio_max);
  kl1_sum += other.kl1_sum;
  kl3_sum += other.kl3_sum;
  ratios.insert(ratios.end(), other.ratios.begin(), other.ratios.end());
}

PolicyTerms policy_terms(const PolicyLoss& loss, std::span<const double> log_probs,
                         std::span<const double> old_log_probs, std::span<const double> advantages,
                         std::span<const double> weights) {
  const size_t tokens = log_probs.size();
  MM_CHECK(old_log_probs.size() == tokens && advantages.size() == tokens && weights.size() == tokens,
           "policy_gradient: ", tokens, " log_probs, ", old_log_probs.size(), " old_log_probs, ", advantages.size(),
           " advantages, ", weights.size(), " weights (of loss_mask): expected the same number");
  PolicyTerms out;
  out.dlog_probs.assign(tokens, 0.0);
  for (size_t token = 0; token < tokens; ++token) {
    if (weights[token] == 0) continue;
    const double advantage = advantages[token];
    const double log_ratio = std::clamp(log_probs[token] - old_log_probs[token], -kMaxLogRatio, kMaxLogRatio);
    const double ratio = std::exp(log_ratio);
    const bool high = advantage > 0 && ratio > 1 + loss.mask_high;
    const bool low = advantage < 0 && ratio < 1 - loss.mask_low;
    const bool dual = advantage < 0 && ratio > loss.dual_clip;
    out.counts.add({.tokens = 1,
                    .capped = static_cast<double>(ratio > loss.ratio_max),
                    .capped_positive = static_cast<double>(ratio > loss.ratio_max && advantage > 0),
                    .masked_high = static_cast<double>(high),
                    .masked_low = static_cast<double>(low),
                    .region = static_cast<double>((advantage > 0 && ratio > 1.28) || (advantage < 0 && ratio < 0.8)),
                    .ratio_sum = ratio,
                    .ratio_max = ratio,
                    .kl1_sum = -log_ratio,
                    .kl3_sum = ratio - 1 - log_ratio});
    out.counts.ratios.push_back(static_cast<float>(ratio));
    if (high || low || dual) continue;
    const double coefficient = weights[token] * std::clamp(ratio, loss.ratio_min, loss.ratio_max) * advantage;
    out.dlog_probs[token] = -coefficient;
    out.loss -= coefficient * log_probs[token];
  }
  return out;
}

PolicyGradient policy_gradient(const PolicyLoss& loss, const PolicyBatch& batch) {
  MM_CHECK(batch.loss_mask.size() == batch.log_probs.size(), "policy_gradient: ", batch.log_probs.size(),
           " log_probs, ", batch.loss_mask.size(), " loss_mask: expected the same number");
  const std::vector<double> weights = token_weights(loss, batch.loss_mask, batch.starts, batch.group_size);
  PolicyTerms terms = policy_terms(loss, batch.log_probs, batch.old_log_probs, batch.advantages, weights);
  const double tokens = std::max(terms.counts.tokens, 1.0);
  return {.loss = terms.loss,
          .dlog_probs = std::move(terms.dlog_probs),
          .capped = terms.counts.capped / tokens,
          .capped_positive = terms.counts.capped_positive / tokens,
          .masked_high = terms.counts.masked_high / tokens,
          .masked_low = terms.counts.masked_low / tokens};
}

}  // namespace minimax::train
