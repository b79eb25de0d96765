// TokenChooser: chooses the tokens of one answer: thinking budget, constraint, sampler, and when to end.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cuda/op_kernels.h"

#include "engine/request.h"
#include "engine/sampling/thinking.h"

namespace minimax::engine {

/// What comes next is, in this order: an id that the engine must write (a closing tag), one that the constraint names,
/// or one sampled among those that ban list and constraint leave. Not thread-safe; those of different answers may work
/// at the same time.
class TokenChooser {
 public:
  /// `request` and `thinking` (null: not looked at) must outlive the chooser. max_tokens: what the context leaves, >=
  /// 0. Throws kInvalidArgument for sampling parameters out of range and for ids outside the vocabulary.
  TokenChooser(const Request& request, int64_t answer, int64_t vocab, std::span<const int32_t> dead_ids,
               const ThinkingFormat* thinking, int64_t max_tokens);

  /// The next token of the answer, from logits [vocab] after all tokens before it. Throws as Sampler::sample and the
  /// constraint do.
  Token choose(std::span<const float> logits, SamplerScratch& scratch);
  /// What choosing the next token needs when the banned ids decide and nothing besides; else nothing.
  struct Plain {
    float temperature = 0;
    double uniform = 0;  ///< in [0, 1)
  };
  std::optional<Plain> plain();
  /// What choosing the next token needs; nothing where the host has to: a token that must come, likeliest ids to
  /// report. Changes of logits are appended to `edits`. The ids that are allowed (empty: all) stay valid until the next
  /// call.
  struct Wish {
    cuda::SampleRow row;
    std::span<const uint64_t> allowed;
  };
  std::optional<Wish> wish(std::vector<cuda::LogitEdit>& edits);
  /// The next token of the answer, chosen by somebody else as plain() or wish() said.
  Token take(const Sampled& sampled);
  /// Why the answer is over, after the last token chosen; kNone while it is not.
  FinishReason finish() const { return finish_; }

  /// Ids that will come next whatever the logits are.
  std::vector<int32_t> certain() const { return {forced_.begin(), forced_.end()}; }
  /// Closes the thinking before the next token; when it has not begun yet, as soon as it does.
  void end_thinking() { end_thinking_ = true; }

  /// Tokens that may still come.
  int64_t room() const { return max_tokens_ - tokens_; }
  int64_t reasoning_tokens() const { return tracker_ ? tracker_->tokens() : 0; }
  bool hit_thinking_budget() const { return hit_thinking_budget_; }

 private:
  bool thinking() const {
    return tracker_ && !control_started_ && tracker_->state() == ThinkingTracker::State::kThinking;
  }
  /// What decides about one token besides the logits.
  struct Rules {
    bool was_thinking = false;
    bool controlled = false;  ///< by the constraint
    int32_t open_id = -1;     ///< allowed besides the constraint's
    std::optional<int32_t> only;
  };
  Rules rules();
  std::span<const uint64_t> allowed_by(const Rules& rules);
  Token go_on(const Rules& rules, const Sampled& sampled, bool written);
  void close_thinking_if_due();
  int32_t allowed_open_id() const;
  std::span<const uint64_t> allowed_in_thinking();
  std::span<const uint64_t> allowed_in_answer(std::optional<int32_t> only, int32_t open_id);
  void accept(const Sampled& sampled, bool written);

  const Request* request_;
  int64_t answer_;
  int64_t vocab_;
  int64_t max_tokens_;
  Sampler sampler_;
  std::unique_ptr<TokenControl> control_;
  bool control_started_ = false;  // it has seen a token: there is no thinking any more
  std::optional<ThinkingTracker> tracker_;
  std::deque<int32_t> forced_;
  std::vector<uint64_t> mask_;
  bool end_thinking_ = false;
  bool hit_thinking_budget_ = false;
  int64_t tokens_ = 0;
  int64_t likely_in_a_row_ = 0;
  FinishReason finish_ = FinishReason::kNone;
};

}  // namespace minimax::engine
