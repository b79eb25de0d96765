// Log-probabilities of given tokens: the LM head and the log-softmax in one, for losses.
#pragma once

#include "core/context.h"
#include "ops/weight.h"

namespace minimax::ops {

/// Logits that exist at a time: 64 MiB, 83 rows of the published vocabulary.
constexpr int64_t kLogitsBlock = 16 * 1024 * 1024;

/// out[i] = log softmax(x[i] head^T)[targets[i]]. x: [rows, hidden] float32; head: [vocab, hidden]; targets: [rows]
/// int32.
/// -> [rows] float32, the bits Sampled::log_prob has for the same logits. Rows are taken a block at a time, as many as
/// have `block_elements` logits but at least one, so that [rows, vocab] never exists; the backward computes a block's
/// logits again. The block changes nothing but how much memory that takes.
/// Throws kInvalidArgument naming the first target outside the vocabulary.
Tensor log_probs(const Context& ctx, const Tensor& x, const Weight& head, const Tensor& targets,
                 int64_t block_elements = kLogitsBlock);

}  // namespace minimax::ops
