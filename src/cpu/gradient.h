// Gradients of the row-wise ops and of products with weights, on the CPU. d... arguments named sum are added to, all
// others are written. Everything is summed in an order that does not depend on the number of threads.
#pragma once

#include "core/context.h"
#include "quant/weight.h"

namespace minimax::cpu {

/// dx[row] = dy[row] W. dy: [rows, out] with `dy_stride` floats between rows; weight: [out, in] F32 or BF16;
/// dx: [rows, in], added to when `accumulate`.
void linear_backward_input(const Context& ctx, const float* dy, int64_t rows, const Tensor& weight, float* dx,
                           bool accumulate);
/// The same for any weight, adapters left out: a packed one is unpacked a few hundred outputs at a time.
void linear_backward_input(const Context& ctx, const float* dy, int64_t rows, const Weight& weight, float* dx,
                           bool accumulate);
/// dweight_sum[o][i] += sum over rows of dy[row][o] x[row][i]. dy: [rows, out]; x: [rows, in]; dweight_sum: [out, in].
void linear_backward_weight(const Context& ctx, const float* dy, const float* x, int64_t rows,
                            const Tensor& dweight_sum);

/// dx like x; dweight_sum: [hidden].
void rms_norm_backward(const Context& ctx, const Tensor& x, const Tensor& weight, float eps, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight_sum);
void silu_backward(const Context& ctx, const Tensor& x, const Tensor& dy, const Tensor& dx);
void silu_mul_backward(const Context& ctx, const Tensor& gate, const Tensor& up, const Tensor& dy, const Tensor& dgate,
                       const Tensor& dup);
void sigmoid_mul_backward(const Context& ctx, const Tensor& gate, const Tensor& x, const Tensor& dy,
                          const Tensor& dgate, const Tensor& dx);
/// dtable_sum[id] += dy of the tokens with that id, in their order.
void embedding_backward(const Context& ctx, const Tensor& tokens, const Tensor& dy, const Tensor& dtable_sum);
/// The rotation by the opposite angle.
void rotate_backward(const Context& ctx, const Tensor& dy, const Tensor& table, int64_t head_dim, const Tensor& dx);

}  // namespace minimax::cpu
