#include "cuda/row_ops.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cuda/op_support.h"

namespace minimax::cuda {
namespace {

int64_t rows_of(const Tensor& x) {
  return x.dim(-1) ? x.elements() / x.dim(-1) : 0;
}

}  // namespace

void rms_norm(const Context& ctx, const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().rms_norm(floats(x), floats(weight), eps, floats(out), rows_of(x), x.dim(-1), gpu.stream()));
}

void rms_norm_backward(const Context& ctx, const Tensor& x, const Tensor& weight, float eps, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight_sum) {
  Gpu& gpu = gpu_of(ctx);
  const Tensor workspace = ctx.empty({kNormParts + 1, std::max(rows_of(x), x.dim(-1))});
  gpu.check(gpu.op().rms_norm_backward(floats(x), floats(weight), eps, floats(dy), floats(dx), floats(dweight_sum),
                                       floats(workspace), rows_of(x), x.dim(-1), gpu.stream()));
}

void silu(const Context& ctx, const Tensor& x, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().silu(floats(x), out.raw(), type_of(out), x.elements(), gpu.stream()));
}
void silu_backward(const Context& ctx, const Tensor& x, const Tensor& dy, const Tensor& dx) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().silu_backward(floats(x), floats(dy), floats(dx), x.elements(), gpu.stream()));
}
void silu_mul(const Context& ctx, const Tensor& gate, const Tensor& up, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().silu_mul(floats(gate), floats(up), out.raw(), type_of(out), gate.elements(), gpu.stream()));
}
void silu_mul_backward(const Context& ctx, const Tensor& gate, const Tensor& up, const Tensor& dy, const Tensor& dgate,
                       const Tensor& dup) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().silu_mul_backward(floats(gate), floats(up), floats(dy), dgate.raw(), dup.raw(), type_of(dgate),
                                       gate.elements(), gpu.stream()));
}
void sigmoid_mul(const Context& ctx, const Tensor& gate, const Tensor& x, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().sigmoid_mul(floats(gate), floats(x), floats(out), x.elements(), gpu.stream()));
}
void sigmoid_mul_backward(const Context& ctx, const Tensor& gate, const Tensor& x, const Tensor& dy,
                          const Tensor& dgate, const Tensor& dx) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().sigmoid_mul_backward(floats(gate), floats(x), floats(dy), floats(dgate), floats(dx), x.elements(),
                                          gpu.stream()));
}
void scaled_add(const Context& ctx, float alpha, const Tensor& x, float beta, const Tensor& y, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().scaled_add(alpha, floats(x), beta, floats(y), floats(out), x.elements(), gpu.stream()));
}
void scale(const Context& ctx, float factor, const Tensor& x, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().scaled_add(factor, floats(x), 0.0f, nullptr, floats(out), x.elements(), gpu.stream()));
}

void embedding(const Context& ctx, const Tensor& table, const Tensor& tokens, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().take_rows(table.raw(), type_of(table), table.dim(0), indices(tokens), floats(out), tokens.dim(0),
                               table.dim(1), gpu.stream()));
}
void add_rows(const Context& ctx, const Tensor& rows, const Tensor& where, const Tensor& sum) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().add_rows(floats(rows), indices(where), floats(sum), where.dim(0), rows.dim(1), gpu.stream()));
}

void rotary_table(const Context& ctx, const Tensor& positions, double theta, const Tensor& table) {
  Gpu& gpu = gpu_of(ctx);
  const int64_t pairs = table.dim(2);
  // The published code's float32 steps, as in cpu/elementwise.cpp. By value, so that a graph can hold it.
  RotaryFrequencies frequencies;
  MM_CHECK(pairs <= kMaxRotaryPairs, "rotary_table: rotary_dim is ", 2 * pairs, ", expected at most ",
           2 * kMaxRotaryPairs);
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const float exponent = static_cast<float>(2 * pair) / static_cast<float>(2 * pairs);
    frequencies.inverse[pair] = 1.0f / static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
  }
  gpu.check(
      gpu.op().rotary_table(indices(positions), frequencies, floats(table), positions.dim(0), pairs, gpu.stream()));
}

namespace {

void rotate_by(const Context& ctx, const Tensor& x, const Tensor& table, int64_t head_dim, float direction,
               const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().rotate(floats(x), floats(table), floats(out), x.dim(0), x.dim(1) / head_dim, head_dim,
                            table.dim(2), direction, gpu.stream()));
}

}  // namespace

void rotate(const Context& ctx, const Tensor& x, const Tensor& table, int64_t head_dim, const Tensor& out) {
  rotate_by(ctx, x, table, head_dim, 1.0f, out);
}
void rotate_backward(const Context& ctx, const Tensor& dy, const Tensor& table, int64_t head_dim, const Tensor& dx) {
  rotate_by(ctx, dy, table, head_dim, -1.0f, dx);
}

void log_probs(const Context& ctx, const Tensor& logits, const Tensor& targets, const Tensor& out,
               const Tensor& log_sums) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().log_probs(floats(logits), indices(targets), floats(out), floats(log_sums), logits.dim(0),
                               logits.dim(1), gpu.stream()));
}
void log_probs_backward(const Context& ctx, const Tensor& logits, const Tensor& targets, const Tensor& log_sums,
                        const Tensor& dy, const Tensor& dlogits) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().log_probs_backward(floats(logits), indices(targets), floats(log_sums), floats(dy), dlogits.raw(),
                                        type_of(dlogits), logits.dim(0), logits.dim(1), gpu.stream()));
}

void random_uniform(const Context& ctx, uint64_t seed, float limit, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().random_uniform(out.raw(), type_of(out), out.elements(), seed, limit, gpu.stream()));
}

}  // namespace minimax::cuda
