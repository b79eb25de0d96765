#include "ops/transfer.h"

#include "cuda/gpu.h"

namespace minimax::ops {

Tensor to_device(const Context& ctx, const Tensor& x) {
  return to_memory(x, ctx.gpu);
}

Tensor to_host(const Context&, const Tensor& x) {
  return minimax::to_host(x);
}

}  // namespace minimax::ops
