// A mixture's pairs of token and expert, sorted by expert on the device, and sums over a token's pairs.
#pragma once

#include "cuda/op_support.h"

namespace minimax::cuda {

/// A mixture's pairs of token and expert, sorted by expert.
struct Order {
  Order(const Context& ctx, const Tensor& chosen, int64_t expert_count, int64_t align)
      : experts(expert_count),
        starts(ctx.empty({experts + 1}, DType::kInt32)),
        row_of(ctx.empty({chosen.elements()}, DType::kInt32)),
        pair_of(ctx.empty({chosen.elements() + experts * (align - 1)}, DType::kInt32)),
        args{indices(starts), indices(row_of), indices(pair_of), pair_of.dim(0)} {
    Gpu& gpu = gpu_of(ctx);
    gpu.check(gpu.op().expert_order(indices(chosen), chosen.elements(), experts, align, args, gpu.stream()));
  }
  int64_t rows() const { return args.capacity; }

  int64_t experts;
  Tensor starts, row_of, pair_of;
  ExpertOrder args;
};

inline Tensor gather_pairs(const Context& ctx, const Tensor& x, const Order& order, int64_t top_k, const Tensor& scale,
                           Type type) {
  const Tensor out = ctx.empty({order.rows(), x.dim(1)}, dtype_of(type));
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().gather_pairs(floats(x), order.args, order.experts, top_k,
                                  scale.defined() ? floats(scale) : nullptr, out.raw(), type, x.dim(1), gpu.stream()));
  return out;
}

inline void combine_pairs(const Context& ctx, const Tensor& rows, const Order& order, const Tensor& weights,
                          int64_t top_k, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().combine_pairs(floats(rows), indices(order.row_of), weights.defined() ? floats(weights) : nullptr,
                                   floats(out), out.dim(0), top_k, out.dim(1), gpu.stream()));
}

}  // namespace minimax::cuda
