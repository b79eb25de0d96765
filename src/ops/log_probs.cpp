#include "ops/log_probs.h"

#include <algorithm>

#include "core/tape.h"
#include "cpu/gradient.h"
#include "cpu/isa.h"
#include "cpu/logits.h"
#include "cuda/matmul.h"
#include "cuda/row_ops.h"
#include "ops/linear.h"

namespace minimax::ops {
namespace {

std::span<const float> row_of(const Tensor& x, int64_t row) {
  return x.span<float>().subspan(static_cast<size_t>(row * x.dim(1)), static_cast<size_t>(x.dim(1)));
}

/// Calls body(first row, logits of the block).
template <typename Body>
void for_each_block(const Context& ctx, const Tensor& x, const Weight& head, int64_t block_elements, const Body& body) {
  Context untaped = ctx;
  untaped.tape = nullptr;
  const int64_t rows = std::max<int64_t>(1, block_elements / std::max<int64_t>(1, head.outputs()));
  for (int64_t first = 0; first < x.dim(0); first += rows) {
    const int64_t last = std::min(first + rows, x.dim(0));
    body(first, linear_float32(untaped, x.rows(first, last), head));
  }
}

/// dlogits = dy (onehot - softmax), written over the block's logits.
void log_probs_backward(const Context& ctx, const Tensor& x, const Weight& head, const Tensor& targets,
                        int64_t block_elements, const Tensor& dy, Gradients& d) {
  const Tensor dx = ctx.empty(x.shape());
  const Tensor dhead = head.format ? Tensor() : d.accumulator(head.data);  // packed: frozen
  const int64_t hidden = x.dim(1), vocab = head.outputs();
  for_each_block(ctx, x, head, block_elements, [&](int64_t first, const Tensor& logits) {
    ctx.threads->parallel_for(logits.dim(0), 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        float* values = logits.data<float>() + row * vocab;
        const std::span<const float> span = row_of(logits, row);
        const double log_sum = cpu::log_sum_exp(span, cpu::summarize(span).max);
        const float factor = dy.data<float>()[first + row];
        cpu::kernels().exp_shifted(values, static_cast<float>(log_sum), vocab, values);
        for (int64_t id = 0; id < vocab; ++id) values[id] *= -factor;
        values[targets.data<int32_t>()[first + row]] += factor;
      }
    });
    cpu::linear_backward_input(ctx, logits.data<float>(), logits.dim(0), head, dx.data<float>() + first * hidden,
                               false);
    if (dhead.defined())
      cpu::linear_backward_weight(ctx, logits.data<float>(), x.data<float>() + first * hidden, logits.dim(0), dhead);
  });
  d.add(x, dx);
}

/// The same on a GPU; the logits' gradient is rounded where products are.
void log_probs_backward_gpu(const Context& ctx, const Tensor& x, const Weight& head, const Tensor& targets,
                            int64_t block_elements, const Tensor& dy, Gradients& d) {
  const Tensor dx = ctx.empty(x.shape()), dhead = d.accumulator(head.data);
  const bool rounds = ctx.matmul_precision == MatmulPrecision::kBFloat16 && head.data.dtype() == DType::kBFloat16;
  for_each_block(ctx, x, head, block_elements, [&](int64_t first, const Tensor& logits) {
    const int64_t last = first + logits.dim(0);
    const Tensor values = ctx.empty({logits.dim(0)}), log_sums = ctx.empty({logits.dim(0)});
    const Tensor ids = targets.rows(first, last);
    cuda::log_probs(ctx, logits, ids, values, log_sums);
    const Tensor dlogits = rounds ? ctx.empty(logits.shape(), DType::kBFloat16) : logits;
    cuda::log_probs_backward(ctx, logits, ids, log_sums, dy.rows(first, last), dlogits);
    cuda::linear_backward(ctx, x.rows(first, last), head.data, dlogits, dx.rows(first, last), dhead);
  });
  d.add(x, dx);
}

Tensor log_probs_gpu(const Context& ctx, const Tensor& x, const Weight& head, const Tensor& targets,
                     int64_t block_elements) {
  Tensor out = ctx.empty({x.dim(0)});
  for_each_block(ctx, x, head, block_elements, [&](int64_t first, const Tensor& logits) {
    const int64_t last = first + logits.dim(0);
    cuda::log_probs(ctx, logits, targets.rows(first, last), out.rows(first, last), ctx.empty({logits.dim(0)}));
  });
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      if (const Tensor dy = d.take(out); dy.defined())
        log_probs_backward_gpu(ctx, x, head, targets, block_elements, dy, d);
    });
  return out;
}

}  // namespace

Tensor log_probs(const Context& ctx, const Tensor& x, const Weight& head, const Tensor& targets,
                 int64_t block_elements) {
  MM_CHECK_DTYPE(targets, DType::kInt32);
  MM_CHECK(x.rank() == 2 && targets.rank() == 1 && targets.dim(0) == x.dim(0), "log_probs: targets ", targets.shape(),
           " for x ", x.shape());
  for (int64_t row = 0; targets.device() == Device::kCpu && row < targets.dim(0); ++row) {
    const int32_t id = targets.data<int32_t>()[row];
    MM_CHECK(id >= 0 && id < head.outputs(), "log_probs: target ", row, " is ", id, ", expected 0 to ",
             head.outputs() - 1);
  }
  if (ctx.device == Device::kCuda) return log_probs_gpu(ctx, x, head, to_memory(targets, ctx.gpu), block_elements);
  Tensor out = ctx.empty({x.dim(0)});
  for_each_block(ctx, x, head, block_elements, [&](int64_t first, const Tensor& logits) {
    ctx.threads->parallel_for(logits.dim(0), 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const std::span<const float> span = row_of(logits, row);
        const double log_sum = cpu::log_sum_exp(span, cpu::summarize(span).max);
        out.data<float>()[first + row] = static_cast<float>(span[targets.data<int32_t>()[first + row]] - log_sum);
      }
    });
  });
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      if (const Tensor dy = d.take(out); dy.defined()) log_probs_backward(ctx, x, head, targets, block_elements, dy, d);
    });
  return out;
}

}  // namespace minimax::ops
