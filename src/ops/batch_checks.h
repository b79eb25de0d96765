// Checks of a Batch that the attention ops share.
#pragma once

#include "ops/batch.h"

namespace minimax::ops {

/// cu_seqlens rises from 0 to the number of tokens with no empty sequence, positions are consecutive within each, and
/// start at 0 where there is no cache. Throws kInvalidArgument.
void check_sequences(const Batch& batch, bool has_cache);
/// Every sequence has a lightning slot of its own below `slot_count`. Throws kInvalidArgument.
void check_slots(const Batch& batch, int64_t slot_count);
/// Every sequence has pages below `page_count` up to its last position. Throws kInvalidArgument.
void check_pages(const Batch& batch, int64_t page_count);

/// Of KvPrecision::kInt8. Throws kInvalidArgument.
void check_coded_head_dim(int64_t head_dim);

}  // namespace minimax::ops
