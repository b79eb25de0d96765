#include "engine/sampling/token_chooser.h"

#include <algorithm>
#include <cmath>

namespace minimax::engine {
namespace {

SamplingParams params_of(const Request& request, int64_t answer) {
  SamplingParams params = request.sampling;
  params.stream += static_cast<uint64_t>(answer);
  return params;
}

std::vector<int32_t> joined(std::span<const int32_t> a, std::span<const int32_t> b) {
  std::vector<int32_t> all(a.begin(), a.end());
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

bool contains(std::span<const int32_t> ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

TokenChooser::TokenChooser(const Request& request, int64_t answer, int64_t vocab, std::span<const int32_t> dead_ids,
                           const ThinkingFormat* thinking, int64_t max_tokens)
    : request_(&request),
      answer_(answer),
      vocab_(vocab),
      max_tokens_(max_tokens),
      sampler_(params_of(request, answer), vocab, request.prompt, joined(dead_ids, request.banned)),
      control_(request.constraint ? request.constraint->clone() : nullptr) {
  if (!request.thinking) thinking = nullptr;
  if (thinking) tracker_.emplace(*thinking, request.prompt_opens_thinking);
  if (thinking && request.max_thinking_tokens == 0 && !request.prompt_opens_thinking)
    forced_.assign(thinking->skip_ids.begin(), thinking->skip_ids.end());
  if (max_tokens == 0) finish_ = FinishReason::kLength;
}

void TokenChooser::close_thinking_if_due() {
  if (!forced_.empty() || !thinking()) return;
  const int64_t budget = request_->max_thinking_tokens;
  const bool spent = budget >= 0 && tracker_->tokens() >= budget;
  if (!spent && !end_thinking_) return;
  hit_thinking_budget_ = hit_thinking_budget_ || spent;
  const auto ids = tracker_->closing_ids();
  forced_.assign(ids.begin(), ids.end());
}

TokenChooser::Rules TokenChooser::rules() {
  Rules out;
  out.was_thinking = thinking();
  if (!forced_.empty()) {
    out.only = forced_.front();
    return out;
  }
  out.controlled = control_ && !out.was_thinking;
  if (!out.controlled) return out;
  out.open_id = allowed_open_id();
  out.only = control_->forced();
  return out;
}

std::span<const uint64_t> TokenChooser::allowed_by(const Rules& rules) {
  if (rules.controlled) return allowed_in_answer(rules.only, rules.open_id);
  if (control_ && rules.was_thinking) return allowed_in_thinking();
  return {};
}

/// The answer goes on with a token that was chosen by these rules.
Token TokenChooser::go_on(const Rules& rules, const Sampled& sampled, bool written) {
  Token token;
  token.answer = answer_;
  token.index = tokens_;
  token.sampled = sampled;
  if (rules.controlled && sampled.id == rules.open_id) {
    // Thinking it is: the rest of the tag follows, or the constraint could take its beginning for the answer's.
    const std::vector<int32_t>& open = tracker_->format().open_ids;
    forced_.assign(open.begin() + 1, open.end());
  } else if (rules.controlled) {
    control_->accept(sampled.id);
    control_started_ = true;
  }
  accept(sampled, written);
  token.thinking = rules.was_thinking || thinking();
  return token;
}

Token TokenChooser::choose(std::span<const float> logits, SamplerScratch& scratch) {
  close_thinking_if_due();
  const Rules rules = this->rules();
  const bool written = !forced_.empty();
  if (written) forced_.pop_front();
  if (rules.only && rules.open_id < 0) {
    Token token = go_on(rules, score_token(logits, *rules.only, request_->sampling.top_logprobs), written);
    token.forced = true;
    return token;
  }
  return go_on(rules, sampler_.sample(logits, scratch, allowed_by(rules)), written);
}

std::optional<TokenChooser::Plain> TokenChooser::plain() {
  close_thinking_if_due();
  if (control_ || !forced_.empty() || !sampler_.is_plain()) return std::nullopt;
  return Plain{sampler_.params().temperature, sampler_.uniform()};
}

std::optional<TokenChooser::Wish> TokenChooser::wish(std::vector<cuda::LogitEdit>& edits) {
  close_thinking_if_due();
  if (!forced_.empty() || request_->sampling.top_logprobs > 0) return std::nullopt;
  const Rules rules = this->rules();
  if (rules.only && rules.open_id < 0) return std::nullopt;
  const std::span<const uint64_t> allowed = allowed_by(rules);
  return Wish{sampler_.for_device(edits), allowed};
}

Token TokenChooser::take(const Sampled& sampled) {
  return go_on(rules(), sampled, false);
}

/// Where a constraint rules the answer, the one id besides its own with which an answer may begin: the tag that opens
/// the thinking. -1: none.
int32_t TokenChooser::allowed_open_id() const {
  if (tokens_ > 0 || !tracker_ || tracker_->state() != ThinkingTracker::State::kStart) return -1;
  return tracker_->format().open_ids.empty() ? -1 : tracker_->format().open_ids.front();
}

std::span<const uint64_t> TokenChooser::allowed_in_answer(std::optional<int32_t> only, int32_t open_id) {
  const auto set = [&](int32_t id) { mask_[static_cast<size_t>(id / 64)] |= uint64_t{1} << (id % 64); };
  const std::span<const uint64_t> allowed = control_->allowed();
  if (open_id < 0 || (!only && allowed.empty())) return allowed;
  mask_.assign(allowed.begin(), allowed.end());
  if (only) {
    mask_.assign(static_cast<size_t>((vocab_ + 63) / 64), 0);
    set(*only);
  }
  set(open_id);
  return mask_;
}

/// All ids but those that would end the answer before it began, or begin it out of the constraint's sight.
std::span<const uint64_t> TokenChooser::allowed_in_thinking() {
  const auto clear = [&](int32_t id) {
    if (id < vocab_) mask_[static_cast<size_t>(id / 64)] &= ~(uint64_t{1} << (id % 64));
  };
  mask_.assign(static_cast<size_t>((vocab_ + 63) / 64), ~uint64_t{0});
  for (const int32_t id : request_->stop_ids) clear(id);
  for (const int32_t id : tracker_->overshoot()) clear(id);
  return mask_;
}

void TokenChooser::accept(const Sampled& sampled, bool written) {
  sampler_.accept(sampled.id);
  ++tokens_;
  if (tracker_ && !control_started_) tracker_->accept(sampled.id, written);

  const LoopGuard& guard = request_->loop_guard;
  likely_in_a_row_ = std::exp(sampled.log_prob) > guard.probability && !written ? likely_in_a_row_ + 1 : 0;
  if ((contains(request_->stop_ids, sampled.id) && !written) || (control_started_ && control_->finished()))
    finish_ = FinishReason::kStopToken;
  else if (guard.tokens > 0 && likely_in_a_row_ >= guard.tokens)
    finish_ = FinishReason::kLoop;
  else if (tokens_ >= max_tokens_)
    finish_ = FinishReason::kLength;
}

}  // namespace minimax::engine
