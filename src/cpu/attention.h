// Causal grouped-query softmax attention over paged keys on the CPU.
#pragma once

#include "core/context.h"

namespace minimax::cpu {

/// Writes k, v [tokens, kv_heads * head_dim] of the batch into their pages.
void store_kv(const Context& ctx, const Tensor& k, const Tensor& v, const Tensor& positions, const Tensor& cu_seqlens,
              const Tensor& page_table, const Tensor& k_pages, const Tensor& v_pages);

/// q, out: [tokens, heads * head_dim]; k_pages: [pages, kv_heads, head_dim, kChunk]; v_pages: [pages, kv_heads, kChunk,
/// head_dim], float32; or both U8 with kScaleRows more rows of kChunk bytes (Kernels::attend_codes). page_table: [seqs,
/// max_pages]. Each token sees positions 0 up to its own.
void attention(const Context& ctx, const Tensor& q, const Tensor& positions, const Tensor& cu_seqlens,
               const Tensor& page_table, const Tensor& k_pages, const Tensor& v_pages, const Tensor& out);

/// Gradient of attention() for sequences that start at position 0, from q, k, v as they went in and the output.
/// dq like q, dk and dv like k and v: written. Scores are computed again tile by tile, never [tokens, tokens] at once.
void attention_backward(const Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                        const Tensor& dout, int64_t head_dim, const Tensor& cu_seqlens, const Tensor& dq,
                        const Tensor& dk, const Tensor& dv);

}  // namespace minimax::cpu
