// Causal grouped-query softmax attention.
#pragma once

#include "core/context.h"
#include "ops/batch.h"

namespace minimax::ops {

/// q: [tokens, heads * head_dim]; k, v: [tokens, kv_heads * head_dim], float32, q and k already rotated.
/// -> [tokens, heads * head_dim] float32. Scores are scaled by 1/sqrt(head_dim); query head h uses kv head
/// h / (heads / kv_heads). `cache`, with batch.page_table, holds k and v of earlier positions and takes up the new
/// ones; null: sequences must start at position 0 (training). Each row walks blocks of kChunk keys at absolute
/// positions and combines them in one order, in float32: its bits do not depend on the rest of the batch or on how the
/// sequence was cut into passes.
Tensor softmax_attention(const Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, int64_t head_dim,
                         const Batch& batch, KvPages* cache);

}  // namespace minimax::ops
