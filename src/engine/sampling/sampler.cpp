#include "engine/sampling/sampler.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/rng.h"
#include "cpu/logits.h"

namespace minimax::engine {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();

void check_id(const char* what, int32_t id, int64_t vocab) {
  MM_CHECK(id >= 0 && id < vocab, what, " ", id, ", expected one from 0 to ", vocab - 1);
}

// The `count` largest logits, best first, of equal ones the lower id first.
std::vector<TokenLogProb> most_probable(std::span<const float> logits, double log_sum, int64_t count) {
  std::vector<TokenLogProb> heap;  // log_prob holds the logit until the end; the worst is in front
  const auto better = [](const TokenLogProb& a, const TokenLogProb& b) {
    return a.log_prob > b.log_prob || (a.log_prob == b.log_prob && a.id < b.id);
  };
  if (count == 0) return heap;
  const int32_t size = static_cast<int32_t>(logits.size());
  constexpr int32_t kBlock = 32;
  for (int32_t start = 0; start < size; start += kBlock) {
    const int32_t end = std::min(start + kBlock, size);
    const bool full = static_cast<int64_t>(heap.size()) == count;
    // Ids rise, so a logit equal to the worst one kept is not better than it.
    const float worst = full ? heap.front().log_prob : 0;
    if (full && end - start == kBlock) {
      int32_t hits = 0;
      for (int32_t offset = 0; offset < kBlock; ++offset) hits |= logits[start + offset] > worst;
      if (!hits) continue;
    }
    for (int32_t id = start; id < end; ++id) {
      if (static_cast<int64_t>(heap.size()) == count) {
        if (!(logits[id] > heap.front().log_prob)) continue;
        std::pop_heap(heap.begin(), heap.end(), better);
        heap.pop_back();
      }
      heap.push_back({id, logits[id]});
      std::push_heap(heap.begin(), heap.end(), better);
    }
  }
  std::sort_heap(heap.begin(), heap.end(), better);
  for (TokenLogProb& token : heap) token.log_prob = static_cast<float>(token.log_prob - log_sum);
  return heap;
}

cpu::LogitsSummary checked_summary(std::span<const float> logits) {
  const cpu::LogitsSummary summary = cpu::summarize(logits);
  MM_CHECK_KIND(kInternal, summary.not_a_logit < 0, "the model's logit of token id ", summary.not_a_logit, " is ",
                logits[summary.not_a_logit], ", expected a finite number or -inf");
  MM_CHECK_KIND(kInternal, summary.max > kMinusInfinity, "the model's logits are all -inf");
  return summary;
}

Sampled report(std::span<const float> logits, float max, int32_t id, int64_t top) {
  const double log_sum = cpu::log_sum_exp(logits, max);
  return {id, static_cast<float>(logits[id] - log_sum), most_probable(logits, log_sum, top)};
}

}  // namespace

Sampled score_token(std::span<const float> logits, int32_t id, int64_t top) {
  check_id("token id", id, static_cast<int64_t>(logits.size()));
  return report(logits, checked_summary(logits).max, id, top);
}

Sampler::Sampler(SamplingParams params, int64_t vocab, std::span<const int32_t> prompt, std::span<const int32_t> banned)
    : params_(std::move(params)), vocab_(vocab), banned_(banned.begin(), banned.end()) {
  params_.validate(vocab);
  penalized_ = params_.repetition_penalty != 1 || params_.presence_penalty != 0 || params_.frequency_penalty != 0;
  for (int32_t id : banned_) check_id("banned token id", id, vocab);
  for (int32_t id : prompt) {
    check_id("token id", id, vocab);
    if (penalized_) seen_.emplace(id, 0);
  }
}

cuda::SampleRow Sampler::for_device(std::vector<cuda::LogitEdit>& edits) const {
  const auto first = static_cast<int64_t>(edits.size());
  for (const auto& [id, in_answer] : seen_)
    edits.push_back({.id = id, .seen = static_cast<int32_t>(in_answer), .bias = 0});
  for (const auto& [id, bias] : params_.logit_bias) {
    const auto same = [id = id](const cuda::LogitEdit& edit) { return edit.id == id; };
    const auto found = seen_.contains(id) ? std::find_if(edits.begin() + first, edits.end(), same) : edits.end();
    if (found != edits.end())
      found->bias = bias;
    else
      edits.push_back({.id = id, .seen = -1, .bias = bias});
  }
  return {.uniform = uniform(),
          .temperature = params_.temperature,
          .top_p = params_.top_p,
          .min_p = params_.min_p,
          .repetition_penalty = params_.repetition_penalty,
          .presence_penalty = params_.presence_penalty,
          .frequency_penalty = params_.frequency_penalty,
          .top_k = static_cast<int32_t>(std::clamp<int64_t>(params_.top_k, 0, vocab_)),
          .edits = static_cast<int32_t>(static_cast<int64_t>(edits.size()) - first),
          .first_edit = first};
}

bool Sampler::is_plain() const {
  const bool greedy = params_.temperature == 0;
  const bool cuts = params_.top_k > 0 || params_.top_p < 1 || params_.min_p > 0;
  return !penalized_ && params_.logit_bias.empty() && params_.top_logprobs == 0 && (greedy || !cuts);
}

double Sampler::uniform() const {
  return uniform_at(params_.seed, params_.stream, static_cast<uint64_t>(accepted_));
}

void Sampler::accept(int32_t id) {
  check_id("token id", id, vocab_);
  if (penalized_) ++seen_[id];
  ++accepted_;
}

void Sampler::change_logits(std::span<float> logits, std::span<const uint64_t> allowed) const {
  for (const auto& [id, in_answer] : seen_) {
    float& logit = logits[id];
    logit = logit > 0 ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
    if (in_answer > 0) logit -= params_.presence_penalty + params_.frequency_penalty * static_cast<float>(in_answer);
    logit = std::min(logit, kLargest);  // a penalty of 0.01 must not make +inf of a large logit
  }
  for (const auto& [id, bias] : params_.logit_bias) logits[id] = std::min(logits[id] + bias, kLargest);
  for (int32_t id : banned_) logits[id] = kMinusInfinity;
  for (size_t word = 0; word < allowed.size(); ++word) {
    if (allowed[word] == ~uint64_t{0}) continue;
    const size_t end = std::min(logits.size(), 64 * (word + 1));
    for (size_t id = 64 * word; id < end; ++id)
      if (!(allowed[word] >> (id % 64) & 1)) logits[id] = kMinusInfinity;
  }
}

int32_t Sampler::choose(std::span<const float> logits, float max, SamplerScratch& scratch) const {
  scratch.weights.resize(logits.size());
  const std::span<float> weights = scratch.weights;
  // 1 / temperature stays finite, so that the most probable id keeps 0 * (1 / temperature) = 0.
  const float inverse_temperature = std::min(1.0f / params_.temperature, kLargest);
  Head head{.mass = cpu::exp_weights(logits, max, inverse_temperature, weights)};
  if (params_.top_k > 0) head = head_of_count(weights, head.mass, params_.top_k, scratch.buckets);
  head = head_of_mass(weights, head, static_cast<double>(params_.top_p), scratch.buckets);
  head = head_of_weight(weights, head, params_.min_p);
  return draw(weights, head, uniform());
}

Sampled Sampler::sample(std::span<const float> logits, SamplerScratch& scratch,
                        std::span<const uint64_t> allowed) const {
  MM_CHECK(static_cast<int64_t>(logits.size()) == vocab_, "sampler got ", logits.size(), " logits, expected ", vocab_);
  MM_CHECK(allowed.empty() || static_cast<int64_t>(allowed.size()) == (vocab_ + 63) / 64, "mask of allowed ids has ",
           allowed.size(), " words, expected ", (vocab_ + 63) / 64);
  const cpu::LogitsSummary raw = checked_summary(logits);

  cpu::LogitsSummary changed = raw;
  std::span<const float> current = logits;
  if (!seen_.empty() || !params_.logit_bias.empty() || !banned_.empty() || !allowed.empty()) {
    scratch.logits.assign(logits.begin(), logits.end());
    change_logits(scratch.logits, allowed);
    current = scratch.logits;
    changed = cpu::summarize(current);
    MM_CHECK_KIND(kInternal, changed.max > kMinusInfinity, "no token is left to choose: all ", vocab_,
                  " ids are banned");
  }

  const bool greedy = params_.temperature == 0 || params_.top_k == 1;
  const auto id = static_cast<int32_t>(greedy ? changed.argmax : choose(current, changed.max, scratch));
  return report(logits, raw.max, id, params_.top_logprobs);
}

}  // namespace minimax::engine
