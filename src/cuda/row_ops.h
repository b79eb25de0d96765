// Row-wise ops on a GPU, and their gradients; the arguments are those of cpu/elementwise.h and cpu/gradient.h, all on
// the device.
#pragma once

#include "core/context.h"
#include "cuda/gpu.h"

namespace minimax::cuda {

void rms_norm(const Context& ctx, const Tensor& x, const Tensor& weight, float eps, const Tensor& out);
void rms_norm_backward(const Context& ctx, const Tensor& x, const Tensor& weight, float eps, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight_sum);
void silu(const Context& ctx, const Tensor& x, const Tensor& out);
void silu_backward(const Context& ctx, const Tensor& x, const Tensor& dy, const Tensor& dx);
void silu_mul(const Context& ctx, const Tensor& gate, const Tensor& up, const Tensor& out);
void silu_mul_backward(const Context& ctx, const Tensor& gate, const Tensor& up, const Tensor& dy, const Tensor& dgate,
                       const Tensor& dup);
void sigmoid_mul(const Context& ctx, const Tensor& gate, const Tensor& x, const Tensor& out);
void sigmoid_mul_backward(const Context& ctx, const Tensor& gate, const Tensor& x, const Tensor& dy,
                          const Tensor& dgate, const Tensor& dx);
void scaled_add(const Context& ctx, float alpha, const Tensor& x, float beta, const Tensor& y, const Tensor& out);
/// out = factor * x
void scale(const Context& ctx, float factor, const Tensor& x, const Tensor& out);

/// An id outside the table gives a row of NaN: the host does not see the ids.
void embedding(const Context& ctx, const Tensor& table, const Tensor& tokens, const Tensor& out);
/// sum[indices[i]] += rows[i], in the order of i: the gradient of embedding and of gather_rows.
void add_rows(const Context& ctx, const Tensor& rows, const Tensor& indices, const Tensor& sum);

void rotary_table(const Context& ctx, const Tensor& positions, double theta, const Tensor& table);
void rotate(const Context& ctx, const Tensor& x, const Tensor& table, int64_t head_dim, const Tensor& out);
void rotate_backward(const Context& ctx, const Tensor& dy, const Tensor& table, int64_t head_dim, const Tensor& dx);

/// out[row] = log softmax(logits[row])[targets[row]]; log_sums: [rows], for the backward.
void log_probs(const Context& ctx, const Tensor& logits, const Tensor& targets, const Tensor& out,
               const Tensor& log_sums);
/// dlogits = dy (onehot - softmax), F32 or BF16.
void log_probs_backward(const Context& ctx, const Tensor& logits, const Tensor& targets, const Tensor& log_sums,
                        const Tensor& dy, const Tensor& dlogits);

/// Uniform in +-limit; the same numbers for the same seed. F32 or BF16.
void random_uniform(const Context& ctx, uint64_t seed, float limit, const Tensor& out);

}  // namespace minimax::cuda
