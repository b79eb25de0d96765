#include "model/softmax_attention.h"

#include "ops/attention.h"
#include "ops/linear.h"
#include "ops/rotary.h"

namespace minimax {

Tensor SoftmaxAttention::forward(Context& ctx, const Tensor& x, const Tensor& rotary, const Batch& batch,
                                 KvPages* cache) const {
  const Tensor q = ops::rotate(ctx, ops::linear(ctx, x, q_proj), rotary, head_dim);  // [tokens, heads * head_dim]
  const Tensor k = ops::rotate(ctx, ops::linear(ctx, x, k_proj), rotary, head_dim);  // [tokens, kv_heads * head_dim]
  const Tensor v = ops::linear(ctx, x, v_proj);
  return ops::linear(ctx, ops::softmax_attention(ctx, q, k, v, head_dim, batch, cache), o_proj);
}

}  // namespace minimax
