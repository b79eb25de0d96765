// TokenControl: what decides, besides the logits, which token an answer may go on with.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace minimax::engine {

/// A constraint on the tokens of one answer: a grammar, a choice list, a fixed text. One object follows one answer; the
/// engine asks it before each token and tells it each token. Where the request has thinking, the constraint rules the
/// answer after the thinking only (engine/sampling/thinking.h). Called from one thread at a time. An exception fails
/// the answer alone.
class TokenControl {
 public:
  virtual ~TokenControl() = default;

  /// The one token that must come next; none: the logits choose among allowed(). A forced token takes the place of a
  /// sampled one: it is reported with the log-prob the model gives it.
  virtual std::optional<int32_t> forced() { return std::nullopt; }
  /// Ids that may come next: bit id % 64 of word id / 64, (vocab + 63) / 64 words; empty: all may. Stays valid until
  /// the next call. A finished grammar allows the ids that end an answer, and nothing else.
  virtual std::span<const uint64_t> allowed() { return {}; }
  /// The token that came next; always one that forced() or allowed() named.
  virtual void accept(int32_t id) = 0;
  /// The answer ends here, with FinishReason::kStopToken, whatever the logits say.
  virtual bool finished() const { return false; }
  /// A copy in the same place, for another answer or for tokens that are tried out.
  virtual std::unique_ptr<TokenControl> clone() const = 0;
};

}  // namespace minimax::engine
