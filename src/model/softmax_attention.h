// The softmax-attention block of a decoder layer.
#pragma once

#include "core/context.h"
#include "ops/batch.h"
#include "ops/weight.h"

namespace minimax {

/// Causal grouped-query attention with partial rotary embedding (MiniMaxM1FlashAttention2 in the published modeling
/// file).
struct SoftmaxAttention {
  Weight q_proj;  ///< [heads * head_dim, hidden]
  Weight k_proj;  ///< [kv_heads * head_dim, hidden]
  Weight v_proj;  ///< [kv_heads * head_dim, hidden]
  Weight o_proj;  ///< [hidden, heads * head_dim]
  int64_t head_dim = 0;

  /// x: [tokens, hidden], normalised; rotary: [tokens, 2, rotary_dim / 2] -> [tokens, hidden].
  Tensor forward(Context& ctx, const Tensor& x, const Tensor& rotary, const Batch& batch, KvPages* cache) const;
};

}  // namespace minimax
