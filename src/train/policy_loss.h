// Policy-gradient losses of one form: REINFORCE, GRPO, DAPO and CISPO by the same coefficients.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace minimax::train {

enum class AdvantageScale : uint8_t {
  kGroup,  ///< by the standard deviation within the group
  kBatch,  ///< by that of all rewards of the batch
  kNone,   ///< mean only (Dr. GRPO)
};

struct AdvantageOptions {
  AdvantageScale scale = AdvantageScale::kGroup;
  int ddof = 1;       ///< 1: divide by n - 1 (TRL, verl); 0: by n
  double eps = 1e-4;  ///< added to the standard deviation
};

/// A_i = (R_i - mean of its group) / (std + eps). rewards: [prompts * group_size], the samples of a prompt side by
/// side. A NaN reward (nobody could score it) stays out of mean and std and gets advantage 0; a group of equal rewards
/// gives 0. Throws kInvalidArgument when group_size does not divide the rewards. Source: MiniMax-M1 report, equation 2.
std::vector<double> group_advantages(std::span<const double> rewards, int64_t group_size,
                                     const AdvantageOptions& options = {});

/// How a token's term is weighted in the loss.
enum class Normalizer : uint8_t {
  kToken,   ///< 1 / tokens of the optimizer step
  kGroup,   ///< 1 / (prompts * tokens of the prompt's samples): equation 4 of the report, taken literally
  kSample,  ///< 1 / (samples * tokens of the sample): GRPO
  kLength,  ///< 1 / (samples * max_tokens): Dr. GRPO
  kMixed,   ///< token_share of kToken and the rest of kSample: a reading of the report's late length stages
};

/// With r = exp(log_prob - old_log_prob) and A the sample's advantage, a token's term is
///   l = -w m clip(r, ratio_min, ratio_max) A M log_prob,   the clipped ratio and M held constant,
/// M = 0 where (A > 0 and r > 1 + mask_high) or (A < 0 and r < 1 - mask_low), or (A < 0 and r > dual_clip).
/// CISPO bounds the size of every token's gradient and keeps its direction; PPO's clipping is M with an unbounded
/// ratio. Caps are absolute: the report's and verl's 1 + eps_high, TRL's epsilon_high. Source: MiniMax-M1 report,
/// equations 4 to 7.
struct PolicyLoss {
  double ratio_min = 0;
  double ratio_max = 5;
  double mask_low = std::numeric_limits<double>::infinity();
  double mask_high = std::numeric_limits<double>::infinity();
  double dual_clip = std::numeric_limits<double>::infinity();
  Normalizer normalizer = Normalizer::kToken;
  int64_t max_tokens = 0;    ///< for Normalizer::kLength
  double token_share = 0.5;  ///< for Normalizer::kMixed

  static PolicyLoss reinforce();
  static PolicyLoss cispo() { return {}; }
  static PolicyLoss dapo();
  static PolicyLoss grpo();
};

/// What the term of every token is multiplied with in the loss of an optimizer step: the normaliser and the mask in
/// one. loss_mask: [tokens] 1 where the token was sampled; starts: [samples + 1], sample i owns tokens starts[i] ..
/// starts[i + 1]; group_size samples of one prompt lie side by side. All samples of the step, for the normaliser is
/// that of the step and not of what fits into one pass. -> [tokens], 0 where the mask is. Throws kInvalidArgument when
/// the sizes do not fit.
std::vector<double> token_weights(const PolicyLoss& loss, std::span<const double> loss_mask,
                                  std::span<const int64_t> starts, int64_t group_size);

/// What happened to the counted tokens (those with a weight), as sums that can be added over passes.
struct PolicyCounts {
  double tokens = 0;
  double capped = 0;           ///< r > ratio_max
  double capped_positive = 0;  ///< r > ratio_max and A > 0 (TRL's cispo_clip_ratio)
  double masked_high = 0;      ///< M = 0 with A > 0
  double masked_low = 0;       ///< M = 0 with A < 0 and r < 1 - mask_low
  double region = 0;           ///< tokens that PPO's clipping at 0.2/0.28 would have dropped: whether CISPO matters
  double ratio_sum = 0, ratio_max = 0;
  double kl1_sum = 0;              ///< of old_log_prob - log_prob
  double kl3_sum = 0;              ///< of r - 1 - log r
  std::vector<float> ratios = {};  ///< each token's, for percentiles

  void add(const PolicyCounts& other);
};

/// The terms of some of a step's tokens.
struct PolicyTerms {
  double loss = 0;
  std::vector<double> dlog_probs;  ///< [tokens] dL / dlog_prob
  PolicyCounts counts;
};

/// Spans of the same tokens; `weights` by token_weights. log-ratios are clamped to +-20.
PolicyTerms policy_terms(const PolicyLoss& loss, std::span<const double> log_probs,
                         std::span<const double> old_log_probs, std::span<const double> advantages,
                         std::span<const double> weights);

/// Sampled tokens of one optimizer step; [tokens] each but the last two.
struct PolicyBatch {
  std::span<const double> log_probs;
  std::span<const double> old_log_probs;
  std::span<const double> advantages;  ///< the sample's, at each of its tokens
  std::span<const double> loss_mask;   ///< 1 where the token was sampled, 0 elsewhere
  std::span<const int64_t> starts;     ///< [samples + 1]: sample i owns tokens starts[i] .. starts[i + 1]
  int64_t group_size = 1;              ///< samples of one prompt, side by side
};

struct PolicyGradient {
  double loss = 0;
  std::vector<double> dlog_probs;  ///< [tokens] dL / dlog_prob
  // Shares of the counted tokens:
  double capped = 0;           ///< r > ratio_max
  double capped_positive = 0;  ///< r > ratio_max and A > 0 (TRL's cispo_clip_ratio)
  double masked_high = 0;      ///< M = 0 with A > 0
  double masked_low = 0;       ///< M = 0 with A < 0 and r < 1 - mask_low
};

/// policy_terms of a whole step. All zero when no token counts.
/// Throws kInvalidArgument when the sizes do not fit.
PolicyGradient policy_gradient(const PolicyLoss& loss, const PolicyBatch& batch);

}  // namespace minimax::train
