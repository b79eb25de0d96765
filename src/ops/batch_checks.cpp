#include "ops/batch_checks.h"

#include <unordered_set>

namespace minimax::ops {

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
    MM_CHECK(slot >= 0 && slot < slot_count && taken.insert(slot).second, "batch: sequence ", seq, " has slot ", slot,
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
