#include "ops/embedding.h"

#include "core/tape.h"
#include "cpu/elementwise.h"
#include "cpu/gradient.h"

namespace minimax::ops {

Tensor embedding(const Context& ctx, const Weight& table, const Tensor& tokens) {
  MM_CHECK_DTYPE(tokens, DType::kInt32);
  MM_CHECK(tokens.rank() == 1, "embedding: tokens are ", tokens.shape(), ", expected [tokens]");
  MM_CHECK(table.data.rank() == 2, "embedding: table is ", table.data.dtype(), " ", table.data.shape(),
           ", expected [vocab, hidden]");
  for (int64_t i = 0; i < tokens.dim(0); ++i) {
    const int32_t id = tokens.data<int32_t>()[i];
    MM_CHECK(id >= 0 && id < table.outputs(), "embedding: token ", i, " has id ", id, ", expected 0 to ",
             table.outputs() - 1);
  }
  Tensor out = ctx.empty({tokens.dim(0), table.inputs()});
  cpu::embedding(ctx, table.data, tokens, out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      if (const Tensor dy = d.take(out); dy.defined())
        cpu::embedding_backward(ctx, tokens, dy, d.accumulator(table.data));
    });
  return out;
}

}  // namespace minimax::ops
