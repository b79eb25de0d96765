// Lightning attention on the CPU: heads and sequences over the threads, chunks in order within each.
#pragma once

#include "core/context.h"

namespace minimax::cpu {

/// qkv: [tokens, heads * 3 * head_dim]; decay: [heads, kChunk + 2]; positions: [tokens]; cu_seqlens: [seqs + 1];
/// slots: [seqs]; state, k_window, v_window: [slots, heads, ...]; out: [tokens, heads * head_dim].
void lightning(const Context& ctx, const Tensor& qkv, const Tensor& decay, const Tensor& positions,
               const Tensor& cu_seqlens, const Tensor& slots, const Tensor& state, const Tensor& k_window,
               const Tensor& v_window, const Tensor& out);

/// Gradient of lightning() for sequences that start at position 0 from a zero state. dout: [tokens, heads * head_dim];
/// dqkv like qkv, written. States at chunk starts are computed again, one head at a time.
void lightning_backward(const Context& ctx, const Tensor& qkv, const Tensor& decay, const Tensor& cu_seqlens,
                        const Tensor& dout, const Tensor& dqkv);

}  // namespace minimax::cpu
