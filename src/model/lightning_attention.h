// The lightning-attention block of a decoder layer.
#pragma once

#include "core/context.h"
#include "model/config.h"
#include "ops/batch.h"
#include "ops/weight.h"

namespace minimax {

/// Linear attention with a fixed decay per head and layer, an RMSNorm over all heads at once and a sigmoid gate
/// (MiniMaxM1LightningAttention in the published modeling file).
struct LightningAttention {
  Weight qkv_proj;     ///< [heads * 3 * head_dim, hidden]; head h owns rows 3 head_dim h ..: its q, then k, then v
  Weight output_gate;  ///< [heads * head_dim, hidden]
  Weight out_proj;     ///< [hidden, heads * head_dim]
  Tensor norm;         ///< [heads * head_dim] float32
  Tensor decay;        ///< [heads, kChunk + 2] float32, from the layer's slopes
  float norm_eps = 1e-6f;

  /// x: [tokens, hidden], normalised -> [tokens, hidden]. `cache` is null in training.
  Tensor forward(Context& ctx, const Tensor& x, const Batch& batch, LightningSlots* cache) const;
};

/// Decays of layer `layer` (counted over all layers, softmax ones included): -> [heads, kChunk + 2].
Tensor layer_decay(const ModelConfig& config, int64_t layer);

}  // namespace minimax
