// Batch: the tokens of one forward pass, packed without padding; and the caches its layers read and extend.
#pragma once

#include <memory>

#include "core/chunk.h"
#include "core/context.h"
#include "core/tensor.h"

namespace minimax {

/// Several sequences side by side. Decode is a batch in which every sequence has one token; training is a batch without
/// page_table and slots. All int32, on the host; place() adds copies where a GPU can read them.
struct Batch {
  Tensor tokens;      ///< [tokens] ids
  Tensor positions;   ///< [tokens] place in the sequence, from 0; consecutive within a sequence
  Tensor cu_seqlens;  ///< [seqs + 1] sequence s owns tokens cu_seqlens[s] .. cu_seqlens[s + 1]; none is empty
  Tensor rows;        ///< [rows] tokens whose logits are wanted
  Tensor page_table;  ///< [seqs, max_pages] KV page of positions 64 i .. 64 i + 63; undefined without a cache
  Tensor slots;       ///< [seqs] lightning state slot; undefined without a cache
  /// Sequences at the end that nobody asked for, of one token at position 0: they may share a slot and a page.
  int64_t padding = 0;

  std::shared_ptr<const Batch> on_device;  ///< the same indices on the device; null: not placed

  /// The indices as kernels read them.
  const Batch& there() const { return on_device ? *on_device : *this; }
  int64_t token_count() const { return tokens.dim(0); }
  int64_t seqs() const { return cu_seqlens.dim(0) - 1; }
};

/// `batch` with its indices also where ctx computes. Done once for a forward pass; ops do it for a batch that is not
/// placed.
Batch place(const Context& ctx, const Batch& batch);

/// KV cache of one softmax layer. On a GPU both are [pages, kv_heads, kChunk, head_dim], and BF16 with
/// MatmulPrecision::kBFloat16. On the CPU k lies transposed in its page so that vector lanes run over keys; with
/// KvPrecision::kInt8 both are U8, and [.., head_dim + kKvScaleBytes, kChunk] of them: codes as the kernels want them
/// (cpu/kernels.h, attend_codes), then kChunk float32 scales. head_dim is then a multiple of 4 up to 512.
inline constexpr int64_t kKvScaleBytes = 4;
struct KvPages {
  Tensor k;  ///< [pages, kv_heads, head_dim, kChunk] float32, rotated
  Tensor v;  ///< [pages, kv_heads, kChunk, head_dim] float32
};

/// Caches of one lightning layer: the state at the last multiple of kChunk, and the k, v rows since. On a GPU both
/// windows are [slots, heads, kChunk, head_dim], and BF16 where cuda::window_dtype says so.
struct LightningSlots {
  Tensor state;     ///< [slots, heads, head_dim (key), head_dim (value)] float32
  Tensor k_window;  ///< [slots, heads, head_dim, kChunk] float32
  Tensor v_window;  ///< [slots, heads, kChunk, head_dim] float32
};

/// Memory for those, outside any arena, as the ops of `ctx` want it.
KvPages make_pages(const Context& ctx, int64_t pages, int64_t kv_heads, int64_t head_dim);
LightningSlots make_slots(const Context& ctx, int64_t slots, int64_t heads, int64_t head_dim);

/// What one layer keeps between forward passes; only the member of its kind is defined.
struct LayerCache {
  KvPages kv;
  LightningSlots lightning;
};

}  // namespace minimax
