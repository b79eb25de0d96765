// Batches for tests of the attention ops: several sequences cut into passes in arbitrary ways.
#pragma once

#include <algorithm>
#include <vector>

#include "ops/batch.h"
#include "ops/test_targets.h"

namespace minimax::test {

/// Tokens [first, first + count) of sequence `seq`.
struct Stretch {
  int64_t seq, first, count;
};
/// What one forward pass holds, at most one stretch of a sequence.
using Pass = std::vector<Stretch>;

/// Everything at once.
inline Pass whole(const std::vector<int64_t>& lengths) {
  Pass pass;
  for (size_t seq = 0; seq < lengths.size(); ++seq) pass.push_back({static_cast<int64_t>(seq), 0, lengths[seq]});
  return pass;
}

/// Passes that together cover all sequences, each in order: a random choice of sequences in random order, and of each a
/// single token or up to `longest`.
inline std::vector<Pass> random_passes(Random& random, const std::vector<int64_t>& lengths, int64_t longest) {
  std::vector<Pass> passes;
  std::vector<int64_t> done(lengths.size(), 0);
  while (done != lengths) {
    Pass pass;
    for (size_t seq = 0; seq < lengths.size(); ++seq) {
      const int64_t left = lengths[seq] - done[seq];
      if (left == 0 || random.below(3) == 0) continue;
      const int64_t count = random.below(3) == 0 ? 1 : 1 + random.below(std::min(left, longest));
      pass.insert(pass.begin() + random.below(static_cast<int64_t>(pass.size()) + 1),
                  {static_cast<int64_t>(seq), done[seq], count});
      done[seq] += count;
    }
    if (!pass.empty()) passes.push_back(pass);
  }
  return passes;
}

/// positions and cu_seqlens of the pass; no caches.
inline Batch batch_of(const Pass& pass) {
  std::vector<int32_t> positions, starts = {0};
  for (const Stretch& stretch : pass) {
    for (int64_t i = 0; i < stretch.count; ++i) positions.push_back(static_cast<int32_t>(stretch.first + i));
    starts.push_back(static_cast<int32_t>(positions.size()));
  }
  Batch batch;
  batch.tokens = Tensor::zeros({static_cast<int64_t>(positions.size())}, DType::kInt32);
  batch.positions = int32s(positions);
  batch.cu_seqlens = int32s(starts);
  return batch;
}

/// The rows of a pass, side by side, out of one [tokens, width] tensor a sequence.
inline Tensor gather(const std::vector<Tensor>& sequences, const Pass& pass) {
  int64_t rows = 0;
  for (const Stretch& stretch : pass) rows += stretch.count;
  Tensor out = Tensor::empty({rows, sequences[0].dim(1)}, DType::kFloat32);
  float* to = out.data<float>();
  for (const Stretch& stretch : pass) {
    const Tensor from = sequences[stretch.seq].rows(stretch.first, stretch.first + stretch.count);
    to = std::copy_n(from.data<float>(), from.elements(), to);
  }
  return out;
}

/// The inverse of gather.
inline void scatter(const Tensor& rows, const Pass& pass, const std::vector<Tensor>& sequences) {
  const float* from = rows.data<float>();
  for (const Stretch& stretch : pass) {
    const Tensor to = sequences[stretch.seq].rows(stretch.first, stretch.first + stretch.count);
    std::copy_n(from, to.elements(), to.data<float>());
    from += to.elements();
  }
}

/// [length, width] of normal numbers for each sequence.
inline std::vector<Tensor> normal_sequences(Random& random, const std::vector<int64_t>& lengths, int64_t width) {
  std::vector<Tensor> sequences;
  for (const int64_t length : lengths) sequences.push_back(random.normal({length, width}));
  return sequences;
}
inline std::vector<Tensor> empty_sequences(const std::vector<int64_t>& lengths, int64_t width) {
  std::vector<Tensor> sequences;
  for (const int64_t length : lengths) sequences.push_back(Tensor::empty({length, width}, DType::kFloat32));
  return sequences;
}

}  // namespace minimax::test
