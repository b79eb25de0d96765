// The table of CUDA kernels: plain functions over device pointers and a stream, in libminimax_cuda.so.
// Nothing here throws or prints: a function returns null, or a text that lives as long as the process and says what is
// wrong. Launches are asynchronous, allocate nothing and never wait for the device, so they can be captured in a graph.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/chunk.h"
#include "cuda/op_kernels.h"

namespace minimax::cuda {

/// A cudaEvent_t.
using Event = void*;
/// A cudaGraphExec_t: launches that were recorded once and run as one.
using Graph = void*;

/// Keys whose softmax is summed as one unit before the units are combined in order: work for one block.
constexpr int64_t kAttentionSplitKeys = 16 * kChunk;

/// Lightning attention of packed sequences (ops::lightning_attention). All pointers are to device memory, 16-byte
/// aligned. Sequence s owns tokens [cu_seqlens[s], cu_seqlens[s + 1]), at consecutive positions.
struct LightningArgs {
  const void* qkv = nullptr;  ///< [tokens, heads * 3 * head_dim] bfloat16, after SiLU; each head its own q | k | v
  void* out = nullptr;        ///< [tokens, heads * head_dim]
  Type out_type = Type::kBFloat16;
  const float* decay = nullptr;         ///< [heads, kChunk + 2], ops::lightning_decay's
  const int32_t* positions = nullptr;   ///< [tokens]
  const int32_t* cu_seqlens = nullptr;  ///< [seqs + 1]
  const int32_t* slots = nullptr;       ///< [seqs] slot of the three below; null without a cache, then so are they
  /// [slots, heads, head_dim (key), head_dim (value)]. Neither read nor meaningful before position 64 is reached.
  float* state = nullptr;
  void* k_window = nullptr;  ///< [slots, heads, kChunk, head_dim] bfloat16
  void* v_window = nullptr;  ///< likewise
  int64_t tokens = 0, seqs = 0, heads = 0, head_dim = 0;
};

/// The gradient of lightning attention over packed sequences that start at position 0. As LightningArgs.
struct LightningGradientArgs {
  const void* qkv = nullptr;   ///< [tokens, heads * 3 * head_dim] bfloat16
  const void* dout = nullptr;  ///< [tokens, heads * head_dim] bfloat16
  float* dqkv = nullptr;       ///< [tokens, heads * 3 * head_dim] float32
  const float* decay = nullptr;
  const int32_t* cu_seqlens = nullptr;
  int64_t tokens = 0, seqs = 0, heads = 0, head_dim = 0;
};

/// Causal grouped-query attention of one new token of each sequence against its paged keys (ops::softmax_attention).
struct AttentionDecodeArgs {
  const void* q = nullptr;              ///< [seqs, heads * head_dim] bfloat16, rotated
  const void* k_pages = nullptr;        ///< [pages, kv_heads, kChunk, head_dim] bfloat16, rotated
  const void* v_pages = nullptr;        ///< likewise
  const int32_t* page_table = nullptr;  ///< [seqs, max_pages] page of positions 64 i .. 64 i + 63
  const int32_t* positions = nullptr;   ///< [seqs] of the new token, whose k and v are in its page already
  void* out = nullptr;                  ///< [seqs, heads * head_dim] bfloat16
  float* workspace = nullptr;           ///< attention_workspace_bytes() of them
  int64_t seqs = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int64_t max_pages = 0;  ///< the launch has a block for each split of these, so a graph of it fits any position below
  float scale = 1;        ///< 1 / sqrt(head_dim)
};

/// Bytes attention_decode needs: for each sequence and split, every head's sum, maximum and weight.
constexpr int64_t attention_workspace_bytes(int64_t seqs, int64_t heads, int64_t head_dim, int64_t max_pages) {
  const int64_t splits = (max_pages * kChunk + kAttentionSplitKeys - 1) / kAttentionSplitKeys;
  return seqs * splits * heads * (head_dim + 2) * static_cast<int64_t>(sizeof(float));
}

struct Kernels {
  /// The device all later calls of this thread mean.
  Failure (*use_device)(int32_t device);
  Failure (*allocate)(void** memory, int64_t bytes);
  Failure (*release)(void* memory);
  Failure (*free_memory)(int64_t* free_bytes, int64_t* total_bytes);
  Failure (*allocate_pinned)(void** memory, int64_t bytes);
  Failure (*release_pinned)(void* memory);
  /// Between host and device or on the device, by the addresses. Asynchronous for pinned memory.
  Failure (*copy)(void* to, const void* from, int64_t bytes, Stream);
  Failure (*fill)(void* memory, int32_t byte, int64_t bytes, Stream);

  Failure (*make_stream)(Stream*);
  Failure (*drop_stream)(Stream);
  Failure (*wait)(Stream);  ///< until all work of the stream is done; reports what its kernels did wrong
  Failure (*make_event)(Event*);
  Failure (*drop_event)(Event);
  Failure (*record)(Event, Stream);
  Failure (*elapsed_ms)(float* ms, Event from, Event to);  ///< waits for `to`

  /// What `stream` is given until end_capture is recorded, not run.
  Failure (*begin_capture)(Stream);
  Failure (*end_capture)(Graph*, Stream);
  Failure (*run_graph)(Graph, Stream);
  Failure (*drop_graph)(Graph);

  /// Any number of tokens a sequence. head_dim 128 on compute capability 9.0 runs on tensor cores, all else through
  /// lightning_simple.
  Failure (*lightning)(const LightningArgs&, Stream);
  /// One token of each sequence: seqs == tokens, a cache is required; head_dim 128.
  Failure (*lightning_decode)(const LightningArgs&, Stream);
  /// The same function as `lightning`, token by token in float64: the check of the other two. head_dim up to 128.
  Failure (*lightning_simple)(const LightningArgs&, Stream);

  /// head_dim 128 on compute capability 9.0.
  Failure (*lightning_gradient)(const LightningGradientArgs&, Stream);

  /// head_dim 128, 8 query heads for each kv head.
  Failure (*attention_decode)(const AttentionDecodeArgs&, Stream);
  /// The same function, key by key in float64: the check of it. Any head_dim up to 1024.
  Failure (*attention_decode_simple)(const AttentionDecodeArgs&, Stream);

  /// `count` bfloat16 numbers of mean 0; the same for the same seed.
  Failure (*random_normal)(void* out, int64_t count, uint64_t seed, float deviation, Stream);

  OpKernels op;

  // What a ceiling is made of.
  /// Copies `bytes` (a multiple of 16).
  Failure (*probe_copy)(void* to, const void* from, int64_t bytes, Stream);
  /// Reads `bytes` (a multiple of 16) of `memory`; the sums at `out` (4 bytes) only keep the reads from being left out.
  Failure (*probe_read)(const void* memory, int64_t bytes, void* out, Stream);
  /// Does at least `flops` of bfloat16 products with float32 sums (2 a multiply-add) on all multiprocessors, operands
  /// in shared memory; compute capability 9.0. *flops becomes the number done.
  Failure (*probe_bf16)(int64_t* flops, void* out, Stream);
};

}  // namespace minimax::cuda
