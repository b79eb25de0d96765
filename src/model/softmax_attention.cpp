#include "model/softmax_attention.h"

#include "ops/attention.h"
#include "ops/linear.h"
#include "ops/rotary.h"

namespace minimax {

Tensor SoftmaxAttention::forward(Context& ctx, const Tensor& x, const Tensor& rotary, const Batch& batch,
                                 KvPages* cache) const {
  const std::vector<Tensor> projected = ops::linears(ctx, x, {&q_proj, &k_proj, &v_proj});
  const Tensor q = ops::rotate(ctx, projected[0], rotary, head_dim);  // [tokens, heads * head_dim]
  const Tensor k = ops::rotate(ctx, projected[1], rotary, head_dim);  // [tokens, kv_heads * head_dim]
  const Tensor& v = projected[2];
  return ops::linear(ctx, ops::softmax_attention(ctx, q, k, v, head_dim, batch, cache), o_proj);
}

}  // namespace minimax
