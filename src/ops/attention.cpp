#include "ops/attention.h"

#include <algorithm>

#include "core/tape.h"
#include "cpu/attention.h"
#include "ops/batch_checks.h"

namespace minimax::ops {
namespace {

/// Pages for a batch without a cache: each sequence's own, one after the other.
KvPages temporary_pages(const Context& ctx, const Batch& batch, int64_t kv_heads, int64_t head_dim,
                        Tensor& page_table) {
  const int32_t* starts = batch.cu_seqlens.data<int32_t>();
  int64_t pages = 0, max_pages = 0;
  for (int64_t seq = 0; seq < batch.seqs(); ++seq) {
    const int64_t needed = (starts[seq + 1] - starts[seq] - 1) / kChunk + 1;
    pages += needed;
    max_pages = std::max(max_pages, needed);
  }
  page_table = ctx.empty({batch.seqs(), max_pages}, DType::kInt32);
  int32_t next = 0;
  for (int64_t seq = 0; seq < batch.seqs(); ++seq) {
    const int64_t needed = (starts[seq + 1] - starts[seq] - 1) / kChunk + 1;
    for (int64_t page = 0; page < max_pages; ++page)
      page_table.data<int32_t>()[seq * max_pages + page] = page < needed ? next++ : -1;
  }
  return {ctx.empty({pages, kv_heads, head_dim, kChunk}), ctx.empty({pages, kv_heads, kChunk, head_dim})};
}

}  // namespace

Tensor softmax_attention(const Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, int64_t head_dim,
                         const Batch& batch, KvPages* cache) {
  MM_CHECK_DTYPE(q, DType::kFloat32);
  MM_CHECK_DTYPE(k, DType::kFloat32);
  MM_CHECK_DTYPE(v, DType::kFloat32);
  const int64_t tokens = batch.token_count();
  MM_CHECK(head_dim > 0 && k.rank() == 2 && k.dim(0) == tokens && k.shape() == v.shape() && k.dim(1) % head_dim == 0 &&
               k.dim(1) > 0,
           "softmax_attention: k ", k.shape(), ", v ", v.shape(), " for ", tokens, " tokens and head_dim ", head_dim);
  MM_CHECK(q.rank() == 2 && q.dim(0) == tokens && q.dim(1) % k.dim(1) == 0, "softmax_attention: q ", q.shape(),
           " for k ", k.shape());
  check_sequences(batch, cache != nullptr);
  const int64_t kv_heads = k.dim(1) / head_dim;

  Tensor page_table = batch.page_table;
  const KvPages pages = cache ? *cache : temporary_pages(ctx, batch, kv_heads, head_dim, page_table);
  if (cache) check_pages(batch, pages.k.dim(0));
  MM_CHECK_SHAPE(pages.k, pages.k.dim(0), kv_heads, head_dim, kChunk);
  MM_CHECK_SHAPE(pages.v, pages.k.dim(0), kv_heads, kChunk, head_dim);

  cpu::store_kv(ctx, k, v, batch.positions, batch.cu_seqlens, page_table, pages.k, pages.v);
  Tensor out = ctx.empty(q.shape());
  cpu::attention(ctx, q, batch.positions, batch.cu_seqlens, page_table, pages.k, pages.v, out);
  if (ctx.tape) {
    MM_CHECK(!cache, "softmax_attention: a tape and a cache, expected one of them");
    ctx.tape->record([=, cu_seqlens = batch.cu_seqlens](Context& ctx, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      const Tensor dq = ctx.empty(q.shape()), dk = ctx.empty(k.shape()), dv = ctx.empty(v.shape());
      cpu::attention_backward(ctx, q, k, v, out, dout, head_dim, cu_seqlens, dq, dk, dv);
      d.add(q, dq);
      d.add(k, dk);
      d.add(v, dv);
    });
  }
  return out;
}

}  // namespace minimax::ops
