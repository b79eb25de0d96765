// Lightning attention: linear attention with a fixed decay for each head, anchored to absolute chunks.
#pragma once

#include "core/context.h"
#include "ops/batch.h"

namespace minimax::ops {

/// slope[h] of a layer: fl32(fl32(2^(-8(h+1)/heads)) * fl32(factor)); powers of two by the ALiBi rule, other head
/// counts by its usual extension (slopes of the largest power of two below, then every second one of the doubled list).
/// layer counts all layers. -> [heads] float32. Source: build_slope_tensor and the layer factor of the published file.
Tensor lightning_slopes(int64_t heads, double layer_factor);

/// lambda^0 .. lambda^kChunk with lambda = exp(-slope), each rounded once from double, and last what lambda^kChunk lost
/// by its rounding: a slow head's state is multiplied with it hundreds of times within its memory, and the same error
/// each time would add up. slopes: [heads] float32 -> [heads, kChunk + 2].
Tensor lightning_decay(const Tensor& slopes);

/// qkv: [tokens, heads * 3 * head_dim] float32, after SiLU; each head holds its own q | k | v side by side.
/// decay: lightning_decay's [heads, kChunk + 2]. -> [tokens, heads * head_dim] float32.
/// With c the last multiple of kChunk at or before position t:
///   o_t = lambda^(t-c+1) q_t S_c + sum over j = c..t of lambda^(t-j) (q_t . k_j) v_j
/// `cache`, with batch.slots, holds S_c and the k, v rows since c, and is brought up to date; a sequence that starts at
/// position 0 starts from a zero state whatever its slot held. Null: sequences must start at position 0 (training).
/// No scaling by 1/sqrt(head_dim), no softmax, no rotary embedding. A token's bits do not depend on the rest of the
/// batch or on how the sequence was cut into passes. Source: lightning attention of the MiniMax-01 report, in the
/// published file's order (decay before adding k v^T).
Tensor lightning_attention(const Context& ctx, const Tensor& qkv, const Tensor& decay, const Batch& batch,
                           LightningSlots* cache);

}  // namespace minimax::ops
