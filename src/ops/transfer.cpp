#include "ops/transfer.h"

namespace minimax::ops {

Tensor to_device(const Context& ctx, const Tensor& x) {
  MM_CHECK_KIND(kInternal, x.device() == ctx.device, "to_device: a tensor of another device than the context's");
  return x;
}

Tensor to_host(const Context& ctx, const Tensor& x) {
  MM_CHECK_KIND(kInternal, x.device() == ctx.device, "to_host: a tensor of another device than the context's");
  return x;
}

}  // namespace minimax::ops
