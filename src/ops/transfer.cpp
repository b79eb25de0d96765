#include "ops/transfer.h"

#include "cuda/gpu.h"

namespace minimax::ops {

Tensor to_device(const Context& ctx, const Tensor& x) {
  return to_memory(x, ctx.gpu);
}

Tensor to_host(const Context&, const Tensor& x) {
  return minimax::to_host(x);
}

void copy_to_device(const Context&, const Tensor& host, const Tensor& to) {
  MM_CHECK(host.shape() == to.shape() && host.dtype() == to.dtype(), "copy_to_device: ", host.dtype(), " ",
           host.shape(), " into ", to.dtype(), " ", to.shape());
  copy_bytes(host, to);
}

}  // namespace minimax::ops
