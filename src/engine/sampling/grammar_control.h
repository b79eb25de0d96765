// GrammarControl: a grammar as the constraint of an answer.
#pragma once

#include <memory>

#include "engine/sampling/token_control.h"
#include "text/grammar/grammar.h"

namespace minimax::engine {

/// Request::constraint for structured output. The grammar's vocabulary must have as many rows as the model
/// (GrammarVocabulary), and its end ids must be among the request's stop_ids.
class GrammarControl : public TokenControl {
 public:
  explicit GrammarControl(std::shared_ptr<const text::Grammar> grammar) : matcher_(std::move(grammar)) {}

  std::span<const uint64_t> allowed() override { return matcher_.allowed(); }
  /// Throws kInternal for an id that is not allowed.
  void accept(int32_t id) override;
  /// True as soon as nothing but an end id may follow, which then need not be computed.
  bool finished() const override { return matcher_.must_end(); }
  std::unique_ptr<TokenControl> clone() const override { return std::make_unique<GrammarControl>(*this); }

 private:
  text::GrammarMatcher matcher_;
};

}  // namespace minimax::engine
