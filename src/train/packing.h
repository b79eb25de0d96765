// Sequences packed side by side for one forward and backward pass.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ops/batch.h"
#include "ops/router_replay.h"

namespace minimax::train {

/// One sequence and what the loss wants of its tokens. Token t is predicted from tokens 0 .. t - 1, so the first one is
/// never a target.
struct TrainSequence {
  std::vector<int32_t> tokens;
  std::vector<double> weights;             ///< [tokens] of each token's term in the loss of the step; 0: no target
  std::vector<double> advantages = {};     ///< [tokens] for a policy loss; empty: cross entropy
  std::vector<double> old_log_probs = {};  ///< [tokens] likewise
};

/// What one pass computes. Sequences lie side by side without padding; the logits of `rows` are made and no others.
struct TrainBatch {
  std::vector<int32_t> tokens;        ///< [tokens]
  std::vector<int32_t> cu_seqlens;    ///< [seqs + 1], from 0
  std::vector<int32_t> rows;          ///< [rows] places in `tokens` whose next token is a target, ascending
  std::vector<int32_t> targets;       ///< [rows] ids
  std::vector<double> weights;        ///< [rows] of each row's term in the loss of the step
  std::vector<double> advantages;     ///< [rows] for a policy loss; empty: cross entropy
  std::vector<double> old_log_probs;  ///< [rows] likewise
  /// Experts of these tokens, kept by one pass for the next ones (ops/router_replay.h); null: each pass chooses.
  std::shared_ptr<RouterReplay> router_replay = {};

  int64_t token_count() const { return static_cast<int64_t>(tokens.size()); }
  /// As the model takes it.
  Batch batch() const;
};

/// Packs sequences in their order into as few batches as that order gives, each of at most `max_tokens` tokens; a
/// longer sequence is a batch of its own. Sequences without tokens are left out. The last token of a sequence is no
/// input, for nothing is predicted from it, unless it is the only one. Throws kInvalidArgument when a sequence's
/// members differ in length, when its first token is a target, or when some have advantages and others have not.
std::vector<TrainBatch> pack(std::span<const TrainSequence> sequences, int64_t max_tokens);

}  // namespace minimax::train
