// Attention over sequences on a GPU, and its gradients; as cpu/attention.h and cpu/lightning.h, tensors on the device
// unless said otherwise.
#pragma once

#include "core/context.h"
#include "cuda/gpu.h"

namespace minimax::cuda {

/// Of keys, values and lightning windows: bfloat16 where tensor cores take them, else float32.
DType page_dtype(const Context& ctx);
/// Lightning windows and operands; bfloat16 where the fast kernels are (head_dim 128 on Hopper).
DType window_dtype(const Context& ctx, int64_t head_dim);

/// k_pages, v_pages: [pages, kv_heads, kChunk, head_dim] of page_dtype.
void store_kv(const Context& ctx, const Tensor& k, const Tensor& v, const Tensor& positions, const Tensor& cu_seqlens,
              const Tensor& page_table, const Tensor& k_pages, const Tensor& v_pages);

/// longest: tokens of the batch's longest sequence. log_sums [tokens, heads]: written when defined.
void attention(const Context& ctx, const Tensor& q, const Tensor& positions, const Tensor& cu_seqlens,
               const Tensor& page_table, const Tensor& k_pages, const Tensor& v_pages, int64_t longest,
               const Tensor& out, const Tensor& log_sums);
void attention_backward(const Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                        const Tensor& dout, const Tensor& log_sums, int64_t head_dim, const Tensor& cu_seqlens,
                        int64_t longest, const Tensor& dq, const Tensor& dk, const Tensor& dv);

/// slots, state and windows undefined: no cache. k_window, v_window: [slots, heads, kChunk, head_dim].
void lightning(const Context& ctx, const Tensor& qkv, const Tensor& decay, const Tensor& positions,
               const Tensor& cu_seqlens, const Tensor& slots, const Tensor& state, const Tensor& k_window,
               const Tensor& v_window, const Tensor& out);
/// host_cu_seqlens: the same numbers on the host.
void lightning_backward(const Context& ctx, const Tensor& qkv, const Tensor& decay, const Tensor& cu_seqlens,
                        const Tensor& host_cu_seqlens, const Tensor& dout, const Tensor& dqkv);

}  // namespace minimax::cuda
