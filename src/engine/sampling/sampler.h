// Sampler: chooses the next token of one request from its logits.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "cuda/op_kernels.h"
#include "engine/sampling/sampling_params.h"
#include "engine/sampling/weight_ranking.h"

namespace minimax::engine {

struct TokenLogProb {
  int32_t id;
  float log_prob;
};

struct Sampled {
  int32_t id = -1;
  /// Log of the probability the model itself gives the token: log-softmax of the logits as they came, at temperature 1,
  /// before penalties, bias, bans and truncation (what OpenAI and vLLM report by default, and what a trainer computes).
  /// The same bits on every machine and for any number of threads.
  float log_prob = 0;
  /// The `top_logprobs` most probable ids by the same measure, best first; of equal ones the lower id first. Banned ids
  /// are not left out.
  std::vector<TokenLogProb> top;
};

/// What there is to report of a token that was not sampled: one of a prompt, or one that had to come. `top`: as many of
/// the most probable ids are reported with it. Throws as Sampler::sample does.
Sampled score_token(std::span<const float> logits, int32_t id, int64_t top);

/// Buffers of about 8 bytes for each id of the vocabulary; one serves any number of samplers, one at a time.
struct SamplerScratch {
  std::vector<float> logits;         ///< [vocab], after penalties, bias and bans
  std::vector<float> weights;        ///< [vocab], proportional to the probabilities
  std::vector<WeightCount> buckets;  ///< of the ranking (engine/sampling/weight_ranking.h)
};

/// The order of work, and why:
///   1. penalties, on the raw logits: they are statements about the model's own scale;
///   2. logit bias, added after them, so that a bias of b means b whatever was said before;
///   3. bans and the mask: last of the changes to logits, so that nothing can bring a banned id back;
///   4. temperature, then
///   5. top_k, 6. top_p of what is left, 7. min_p: they cut the distribution that is really sampled. All three keep a
///      head of the same ranking (weight, then lower id), so the shortest head wins.
/// Token n of an answer is chosen by the number `uniform_at(seed, stream, n)` and by nothing else that is random.
///
/// Not thread-safe; a batch's samplers may run in parallel, each with its own scratch.
class Sampler {
 public:
  /// `banned`: ids that are never chosen (dead rows of the head, special ids that do not end an answer). Both spans are
  /// copied. Throws kInvalidArgument for parameters out of range and for ids outside the vocabulary.
  Sampler(SamplingParams params, int64_t vocab, std::span<const int32_t> prompt, std::span<const int32_t> banned = {});

  /// Chooses from logits [vocab]. Changes nothing: asked again, it gives the same answer; call accept() to go on.
  /// `allowed`: bit id % 64 of word id / 64 says that id may be chosen (for constrained decoding); empty: all may.
  /// Throws kInvalidArgument when sizes do not fit, kInternal when a logit is NaN or +inf and when no id is left to
  /// choose; neither harms other requests.
  Sampled sample(std::span<const float> logits, SamplerScratch& scratch, std::span<const uint64_t> allowed = {}) const;

  /// What a device needs to choose the next token as sample() does, but for banned and allowed ids and the row of the
  /// logits; the changes of logits are appended to `edits`.
  cuda::SampleRow for_device(std::vector<cuda::LogitEdit>& edits) const;

  /// Whether the temperature and the banned ids alone decide.
  bool is_plain() const;
  /// The random number that chooses the next token.
  double uniform() const;

  /// Appends a token to the answer: the sampled one, or one that was forced.
  void accept(int32_t id);
  /// Tokens accepted so far; the index of the next one.
  int64_t accepted() const { return accepted_; }

  const SamplingParams& params() const { return params_; }

 private:
  void change_logits(std::span<float> logits, std::span<const uint64_t> allowed) const;
  int32_t choose(std::span<const float> logits, float max, SamplerScratch& scratch) const;

  SamplingParams params_;
  int64_t vocab_;
  bool penalized_;
  std::vector<int32_t> banned_;
  std::unordered_map<int32_t, int64_t>
      seen_;  // ids of prompt and answer, with their count in the answer; if penalized_
  int64_t accepted_ = 0;
};

}  // namespace minimax::engine
