#include "train/packing.h"

#include <algorithm>

namespace minimax::train {
namespace {

void check(const TrainSequence& sequence, size_t index, bool policy) {
  const size_t tokens = sequence.tokens.size();
  MM_CHECK(sequence.weights.size() == tokens, "sequence ", index, ": ", tokens, " tokens, ", sequence.weights.size(),
           " weights");
  MM_CHECK(sequence.weights.front() == 0, "sequence ", index, ": its first token has weight ", sequence.weights.front(),
           ", expected 0, since nothing predicts it");
  const size_t expected = policy ? tokens : 0;
  MM_CHECK(sequence.advantages.size() == expected && sequence.old_log_probs.size() == expected, "sequence ", index,
           ": ", sequence.advantages.size(), " advantages and ", sequence.old_log_probs.size(),
           " old_log_probs, expected ", expected, " as the sequences before it have");
}

void append(const TrainSequence& sequence, bool policy, TrainBatch& batch) {
  const auto first = static_cast<int32_t>(batch.tokens.size());
  const auto count = static_cast<int32_t>(sequence.tokens.size());
  batch.tokens.insert(batch.tokens.end(), sequence.tokens.begin(),
                      sequence.tokens.begin() + std::max<int32_t>(1, count - 1));
  batch.cu_seqlens.push_back(static_cast<int32_t>(batch.tokens.size()));
  for (int32_t token = 1; token < count; ++token) {
    if (sequence.weights[token] == 0) continue;
    batch.rows.push_back(first + token - 1);
    batch.targets.push_back(sequence.tokens[token]);
    batch.weights.push_back(sequence.weights[token]);
    if (!policy) continue;
    batch.advantages.push_back(sequence.advantages[token]);
    batch.old_log_probs.push_back(sequence.old_log_probs[token]);
  }
}

Tensor tensor(const std::vector<int32_t>& values) {
  return Tensor::from(std::span<const int32_t>(values), {static_cast<int64_t>(values.size())});
}

}  // namespace

Batch TrainBatch::batch() const {
  std::vector<int32_t> positions;
  positions.reserve(tokens.size());
  for (size_t seq = 0; seq + 1 < cu_seqlens.size(); ++seq)
    for (int32_t token = cu_seqlens[seq]; token < cu_seqlens[seq + 1]; ++token)
      positions.push_back(token - cu_seqlens[seq]);
  return {.tokens = tensor(tokens),
          .positions = tensor(positions),
          .cu_seqlens = tensor(cu_seqlens),
          .rows = tensor(rows),
          .page_table = {},
          .slots = {}};
}

std::vector<TrainBatch> pack(std::span<const TrainSequence> sequences, int64_t max_tokens) {
  std::vector<TrainBatch> batches;
  bool policy = false, first = true;
  for (size_t index = 0; index < sequences.size(); ++index) {
    const TrainSequence& sequence = sequences[index];
    if (sequence.tokens.empty()) continue;
    if (first) policy = !sequence.advantages.empty();
    first = false;
    check(sequence, index, policy);
    const auto inputs = std::max<int64_t>(1, static_cast<int64_t>(sequence.tokens.size()) - 1);
    if (batches.empty() || batches.back().token_count() + inputs > max_tokens) batches.push_back({.cu_seqlens = {0}});
    append(sequence, policy, batches.back());
  }
  return batches;
}

}  // namespace minimax::train
