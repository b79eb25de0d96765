// What the gradients of lightning attention share: chunks of packed sequences and the states between them.
#pragma once

#include "cuda/kernels/launch.cuh"

namespace minimax::cuda {

constexpr int kChunkRows = static_cast<int>(kChunk);

/// x * lambda^kChunk, which the table has to twice float32's precision.
__device__ __forceinline__ float decay_chunk(float x, const float* decay) {
  return fmaf(x, decay[kChunkRows], x * decay[kChunkRows + 1]);
}

/// The chunk of block (head, chunk): its tokens and how many.
struct ChunkPlace {
  int64_t first, rows, seq;
};
__device__ inline ChunkPlace chunk_place(const LightningBackwardArgs& args, int64_t chunk) {
  int64_t low = 0, high = args.seqs;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (args.chunk_starts[middle] <= chunk ? low : high) = middle;
  }
  const int64_t first = args.cu_seqlens[low] + (chunk - args.chunk_starts[low]) * kChunkRows;
  return {first, min(static_cast<int64_t>(kChunkRows), args.cu_seqlens[low + 1] - first), low};
}

/// In place: states and dstates hold what each chunk adds, then the states at the chunks' starts and the gradients at
/// their ends (lightning_backward.cu).
Failure lightning_scan(const LightningBackwardArgs& args, Stream stream);
/// Whether tensor cores can do it, and doing it.
bool lightning_backward_rounds(const LightningBackwardArgs& args);
Failure lightning_backward_rounded(const LightningBackwardArgs& args, Stream stream);

}  // namespace minimax::cuda
