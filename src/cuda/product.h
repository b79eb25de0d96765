// What dense products and those of experts share on a GPU: which kernels they may take, and how one is asked for.
#pragma once

#include "cuda/op_support.h"

namespace minimax::cuda {

/// Over so few terms the roundings of activations do not average out, and not to round them costs nothing that could be
/// measured: the products of small models. By the weight's shape alone, as all choices that change bits.
constexpr int64_t kFewTerms = 128;

/// Rows from which on a product has several tiles for each multiprocessor.
constexpr int64_t kManyRows = 2048;

/// Of a product of many rows: its blocks take tiles as they become free. What it returns must outlive the launch.
inline Tensor tiles_in_turn(const Context& ctx, ProductArgs& args) {
  if (args.m < kManyRows || args.groups_are_terms) return {};
  const Tensor next_tile = ctx.empty({1}, DType::kInt32);
  gpu_of(ctx).fill(next_tile.raw(), 0, next_tile.bytes());
  args.next_tile = indices(next_tile);
  return next_tile;
}

inline void run_product(const Context& ctx, ProductArgs args) {
  Gpu& gpu = gpu_of(ctx);
  const Tensor next_tile = tiles_in_turn(ctx, args);
  gpu.check(gpu.op().product(args, gpu.stream()));
}

/// In kDeterministic a row's bits must not depend on how many rows there are: one kernel for all.
inline bool may_take_few_rows(const Context& ctx, int64_t rows, int64_t k) {
  return !ctx.deterministic && rows <= kFewRows && k % 8 == 0;
}

}  // namespace minimax::cuda
