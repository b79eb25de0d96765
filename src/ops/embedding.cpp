#include "ops/embedding.h"

#include "core/tape.h"
#include "cpu/elementwise.h"
#include "cpu/gradient.h"
#include "cuda/packed.h"
#include "cuda/row_ops.h"

namespace minimax::ops {

void check_tokens(const Tensor& tokens, int64_t vocab) {
  for (int64_t i = 0; i < tokens.dim(0); ++i) {
    const int32_t id = tokens.data<int32_t>()[i];
    MM_CHECK(id >= 0 && id < vocab, "embedding: token ", i, " has id ", id, ", expected 0 to ", vocab - 1);
  }
}

Tensor embedding(const Context& ctx, const Weight& table, const Tensor& tokens) {
  MM_CHECK_DTYPE(tokens, DType::kInt32);
  MM_CHECK(tokens.rank() == 1, "embedding: tokens are ", tokens.shape(), ", expected [tokens]");
  MM_CHECK(table.shape().rank() == 2, "embedding: table is ", table.shape(), ", expected [vocab, hidden]");
  MM_CHECK(!table.format || ctx.device == Device::kCpu || !ctx.tape, "embedding: a ", quant::name(*table.format),
           " table, expected a dense one in training on a GPU");
  if (tokens.device() == Device::kCpu) check_tokens(tokens, table.outputs());
  Tensor out = ctx.empty({tokens.dim(0), table.inputs()});
  const Tensor ids = to_memory(tokens, ctx.gpu);
  if (ctx.device == Device::kCuda)
    table.format ? cuda::packed_embedding(ctx, table, ids, out) : cuda::embedding(ctx, table.data, ids, out);
  else
    cpu::embedding(ctx, table, ids, out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dy = d.take(out);
      if (!dy.defined() || table.format) return;  // packed: frozen
      if (ctx.device == Device::kCuda)
        cuda::add_rows(ctx, dy, ids, d.accumulator(table.data));
      else
        cpu::embedding_backward(ctx, ids, dy, d.accumulator(table.data));
    });
  return out;
}

}  // namespace minimax::ops
