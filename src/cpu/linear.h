// Dense products on the CPU: shape-checked callers, work split by output rows.
#pragma once

#include <span>

#include "core/context.h"
#include "quant/weight.h"

namespace minimax::cpu {

/// One product of a group that shares the thread team: y[row][o] for o in [0, outputs).
struct Product {
  const Weight* weight;  ///< [outputs, k]
  const float* x;        ///< [rows, k]
  int64_t rows;
  float* y;  ///< [rows, outputs]
};

/// Computes all products as one piece of parallel work. A row's result does not depend on the other rows, the other
/// products or the number of threads.
void multiply(const Context& ctx, std::span<const Product> products);

/// x: [rows, k] float32; weight: [outputs, k]; out: [rows, outputs] float32.
void linear(const Context& ctx, const Tensor& x, const Weight& weight, const Tensor& out);

/// The same with a packed weight and x in 15 bits instead of 8: what a head is given. A few rows take no longer, for
/// the weights are read once for both halves.
void linear_in_two_parts(const Context& ctx, const Tensor& x, const Weight& weight, const Tensor& out);

}  // namespace minimax::cpu
