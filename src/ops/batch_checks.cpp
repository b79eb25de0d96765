#include "ops/batch_checks.h"

#include <unordered_set>

#include "cuda/gpu.h"
#include "cuda/sequence_ops.h"

namespace minimax {

Batch place(const Context& ctx, const Batch& batch) {
  if (ctx.device == Device::kCpu || batch.on_device) return batch;
  const auto there = [&](const Tensor& x) { return x.defined() ? to_memory(x, ctx.gpu) : x; };
  Batch placed = batch;
  placed.on_device = std::make_shared<const Batch>(Batch{.tokens = there(batch.tokens),
                                                         .positions = there(batch.positions),
                                                         .cu_seqlens = there(batch.cu_seqlens),
                                                         .rows = there(batch.rows),
                                                         .page_table = there(batch.page_table),
                                                         .slots = there(batch.slots),
                                                         .padding = batch.padding,
                                                         .on_device = nullptr});
  return placed;
}

KvPages make_pages(const Context& ctx, int64_t pages, int64_t kv_heads, int64_t head_dim) {
  if (ctx.device == Device::kCuda) {
    const Shape shape = {pages, kv_heads, kChunk, head_dim};
    return {Tensor::empty(shape, cuda::page_dtype(ctx), ctx.gpu), Tensor::empty(shape, cuda::page_dtype(ctx), ctx.gpu)};
  }
  const bool coded = ctx.kv_precision == KvPrecision::kInt8;
  if (coded) ops::check_coded_head_dim(head_dim);
  const DType dtype = coded ? DType::kUInt8 : DType::kFloat32;
  const int64_t width = head_dim + (coded ? kKvScaleBytes : 0);
  return {Tensor::empty({pages, kv_heads, width, kChunk}, dtype),
          Tensor::empty({pages, kv_heads, kChunk, width}, dtype)};
}

LightningSlots make_slots(const Context& ctx, int64_t slots, int64_t heads, int64_t head_dim) {
  const Tensor state = Tensor::empty({slots, heads, head_dim, head_dim}, DType::kFloat32, ctx.gpu);
  if (ctx.device == Device::kCuda) {
    const Shape shape = {slots, heads, kChunk, head_dim};
    const DType dtype = cuda::window_dtype(ctx, head_dim);
    return {state, Tensor::empty(shape, dtype, ctx.gpu), Tensor::empty(shape, dtype, ctx.gpu)};
  }
  return {state, Tensor::empty({slots, heads, head_dim, kChunk}, DType::kFloat32),
          Tensor::empty({slots, heads, kChunk, head_dim}, DType::kFloat32)};
}

}  // namespace minimax

namespace minimax::ops {

void check_coded_head_dim(int64_t head_dim) {
  // Four neighbouring products to a 32-bit lane, whose sums must not run over.
  MM_CHECK(head_dim % 4 == 0 && head_dim <= 512, "keys and values of 8 bits: head_dim is ", head_dim,
           ", expected a multiple of 4 up to 512");
}

void check_sequences(const Batch& batch, bool has_cache) {
  const int64_t tokens = batch.token_count(), seqs = batch.seqs();
  MM_CHECK(batch.cu_seqlens.rank() == 1 && seqs >= 1, "batch: cu_seqlens is ", batch.cu_seqlens.shape(),
           ", expected [seqs + 1] with at least one sequence");
  MM_CHECK_DTYPE(batch.positions, DType::kInt32);
  MM_CHECK_DTYPE(batch.cu_seqlens, DType::kInt32);
  MM_CHECK_SHAPE(batch.positions, tokens);
  const int32_t* starts = batch.cu_seqlens.data<int32_t>();
  const int32_t* positions = batch.positions.data<int32_t>();
  MM_CHECK(starts[0] == 0 && starts[seqs] == tokens, "batch: cu_seqlens runs from ", starts[0], " to ", starts[seqs],
           ", expected 0 to ", tokens);
  for (int64_t seq = 0; seq < seqs; ++seq)  // all of them before any is used to index
    MM_CHECK(starts[seq] < starts[seq + 1], "batch: sequence ", seq, " has ", starts[seq + 1] - starts[seq], " tokens");
  for (int64_t seq = 0; seq < seqs; ++seq) {
    const int32_t first = positions[starts[seq]];
    MM_CHECK(first >= 0 && (has_cache || first == 0), "batch: sequence ", seq, " starts at position ", first,
             has_cache ? ", expected at least 0" : " without a cache, expected 0");
    for (int32_t token = starts[seq]; token < starts[seq + 1]; ++token)
      MM_CHECK(positions[token] == first + token - starts[seq], "batch: token ", token, " is at position ",
               positions[token], ", expected ", first + token - starts[seq]);
  }
}

void check_slots(const Batch& batch, int64_t slot_count) {
  MM_CHECK_SHAPE(batch.slots, batch.seqs());
  std::unordered_set<int32_t> taken;
  for (int64_t seq = 0; seq < batch.seqs(); ++seq) {
    const int32_t slot = batch.slots.data<int32_t>()[seq];
    const bool own = taken.insert(slot).second || seq >= batch.seqs() - batch.padding;
    MM_CHECK(slot >= 0 && slot < slot_count && own, "batch: sequence ", seq, " has slot ", slot,
             ", expected one of its own below ", slot_count);
  }
}

void check_pages(const Batch& batch, int64_t page_count) {
  MM_CHECK(batch.page_table.rank() == 2 && batch.page_table.dim(0) == batch.seqs(), "batch: page_table is ",
           batch.page_table.shape(), " for ", batch.seqs(), " sequences");
  const int64_t max_pages = batch.page_table.dim(1);
  for (int64_t seq = 0; seq < batch.seqs(); ++seq) {
    const int64_t last = batch.positions.data<int32_t>()[batch.cu_seqlens.data<int32_t>()[seq + 1] - 1];
    MM_CHECK(last / kChunk < max_pages, "batch: sequence ", seq, " reaches position ", last, " but has ", max_pages,
             " pages of ", kChunk);
    for (int64_t page = 0; page <= last / kChunk; ++page) {
      const int32_t id = batch.page_table.data<int32_t>()[seq * max_pages + page];
      MM_CHECK(id >= 0 && id < page_count, "batch: page ", page, " of sequence ", seq, " is ", id, ", expected 0 to ",
               page_count - 1);
    }
  }
}

}  // namespace minimax::ops
