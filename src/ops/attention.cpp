#include "ops/attention.h"

#include <algorithm>

#include "core/tape.h"
#include "cpu/attention.h"
#include "cuda/sequence_ops.h"
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
  page_table = Tensor::empty({batch.seqs(), max_pages}, DType::kInt32);
  int32_t next = 0;
  for (int64_t seq = 0; seq < batch.seqs(); ++seq) {
    const int64_t needed = (starts[seq + 1] - starts[seq] - 1) / kChunk + 1;
    for (int64_t page = 0; page < max_pages; ++page)
      page_table.data<int32_t>()[seq * max_pages + page] = page < needed ? next++ : -1;
  }
  if (ctx.device == Device::kCuda) {
    page_table = to_memory(page_table, ctx.gpu);
    const Shape shape = {pages, kv_heads, kChunk, head_dim};
    return {ctx.empty(shape, cuda::page_dtype(ctx)), ctx.empty(shape, cuda::page_dtype(ctx))};
  }
  // As a cache would keep them, so that a prompt gives the same bits with one and without.
  const bool coded = ctx.kv_precision == KvPrecision::kInt8 && !ctx.tape;
  if (coded) check_coded_head_dim(head_dim);
  const DType dtype = coded ? DType::kUInt8 : DType::kFloat32;
  const int64_t width = head_dim + (coded ? kKvScaleBytes : 0);
  return {ctx.empty({pages, kv_heads, width, kChunk}, dtype), ctx.empty({pages, kv_heads, kChunk, width}, dtype)};
}

int64_t longest_sequence(const Batch& batch) {
  int64_t longest = 0;
  for (int64_t seq = 0; seq < batch.seqs(); ++seq)
    longest =
        std::max<int64_t>(longest, batch.cu_seqlens.data<int32_t>()[seq + 1] - batch.cu_seqlens.data<int32_t>()[seq]);
  return longest;
}

/// softmax_attention on a GPU, the arguments checked.
Tensor attend_on_gpu(const Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, int64_t head_dim,
                     const Batch& given, const KvPages& pages, const Tensor& page_table) {
  const Batch batch = place(ctx, given);
  const int64_t kv_heads = k.dim(1) / head_dim, longest = longest_sequence(batch);
  MM_CHECK_SHAPE(pages.k, pages.k.dim(0), kv_heads, kChunk, head_dim);
  MM_CHECK_SHAPE(pages.v, pages.k.dim(0), kv_heads, kChunk, head_dim);
  const Tensor &positions = batch.there().positions, &cu_seqlens = batch.there().cu_seqlens;
  cuda::store_kv(ctx, k, v, positions, cu_seqlens, page_table, pages.k, pages.v);
  Tensor out = ctx.empty(q.shape());
  const Tensor log_sums = ctx.tape ? ctx.empty({q.dim(0), q.dim(1) / head_dim}) : Tensor();
  cuda::attention(ctx, q, positions, cu_seqlens, page_table, pages.k, pages.v, longest, out, log_sums);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      const Tensor dq = ctx.empty(q.shape()), dk = ctx.empty(k.shape()), dv = ctx.empty(v.shape());
      cuda::attention_backward(ctx, q, k, v, out, dout, log_sums, head_dim, cu_seqlens, longest, dq, dk, dv);
      d.add(q, dq);
      d.add(k, dk);
      d.add(v, dv);
    });
  return out;
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

  MM_CHECK(!ctx.tape || !cache, "softmax_attention: a tape and a cache, expected one of them");
  Tensor page_table = cache ? batch.there().page_table : Tensor();
  const KvPages pages = cache ? *cache : temporary_pages(ctx, batch, kv_heads, head_dim, page_table);
  if (cache) check_pages(batch, pages.k.dim(0));
  if (ctx.device == Device::kCuda)
    return attend_on_gpu(ctx, q, k, v, head_dim, batch, pages, to_memory(page_table, ctx.gpu));
  const int64_t width = head_dim + (pages.k.dtype() == DType::kUInt8 ? kKvScaleBytes : 0);
  MM_CHECK_SHAPE(pages.k, pages.k.dim(0), kv_heads, width, kChunk);
  MM_CHECK_SHAPE(pages.v, pages.k.dim(0), kv_heads, kChunk, width);
  MM_CHECK(pages.k.dtype() == pages.v.dtype() && (width != head_dim || pages.k.dtype() == DType::kFloat32),
           "softmax_attention: pages of ", pages.k.dtype(), " and ", pages.v.dtype(), ", expected F32 or U8");

  cpu::store_kv(ctx, k, v, batch.positions, batch.cu_seqlens, page_table, pages.k, pages.v);
  Tensor out = ctx.empty(q.shape());
  cpu::attention(ctx, q, batch.positions, batch.cu_seqlens, page_table, pages.k, pages.v, out);
  if (ctx.tape)
    ctx.tape->record([=, cu_seqlens = batch.cu_seqlens](Context& ctx, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      const Tensor dq = ctx.empty(q.shape()), dk = ctx.empty(k.shape()), dv = ctx.empty(v.shape());
      cpu::attention_backward(ctx, q, k, v, out, dout, head_dim, cu_seqlens, dq, dk, dv);
      d.add(q, dq);
      d.add(k, dk);
      d.add(v, dv);
    });
  return out;
}

}  // namespace minimax::ops
