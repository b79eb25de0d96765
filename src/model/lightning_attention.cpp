#include "model/lightning_attention.h"

#include "ops/activation.h"
#include "ops/lightning.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace minimax {

Tensor LightningAttention::forward(Context& ctx, const Tensor& x, const Batch& batch, LightningSlots* cache) const {
  const std::vector<Tensor> projected = ops::linears(ctx, x, {&qkv_proj, &output_gate});
  const Tensor& gate = projected[1];
  // qkv: [tokens, heads * 3 * head_dim]; SiLU goes over all of it, v included.
  const Tensor qkv = ops::silu(ctx, projected[0]);
  Tensor o = ops::lightning_attention(ctx, qkv, decay, batch, cache);  // [tokens, heads * head_dim]
  o = ops::rms_norm(ctx, o, norm, norm_eps);                           // one mean over all heads
  return ops::linear(ctx, ops::sigmoid_mul(ctx, gate, o), out_proj);
}

Tensor layer_decay(const ModelConfig& config, int64_t layer) {
  return ops::lightning_decay(ops::lightning_slopes(config.heads, config.decay_factor(layer)));
}

}  // namespace minimax
