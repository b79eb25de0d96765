// Log-probabilities of given tokens: the LM head and the log-softmax in one, for losses.
#pragma once

#include "core/context.h"
#include "ops/weight.h"

namespace minimax::ops {

/// out[i] = log softmax(x[i] head^T)[targets[i]]. x: [rows, hidden] float32; head: [vocab, hidden]; targets: [rows]
/// int32.
/// -> [rows] float32, the bits Sampled::log_prob has for the same logits. Rows are taken a block at a time, so that
/// [rows, vocab] never exists; the backward computes a block's logits again.
/// Throws kInvalidArgument naming the first target outside the vocabulary.
Tensor log_probs(const Context& ctx, const Tensor& x, const Weight& head, const Tensor& targets);

}  // namespace minimax::ops
