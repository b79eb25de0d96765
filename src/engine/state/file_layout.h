// The layout of states in files: that of the CPU's caches, whatever the caches of a device look like.
#pragma once

#include "engine/state/state_cache.h"

namespace minimax::engine {

/// The snapshot on the host in float32, keys and the windows of keys with positions fastest: [1, heads, head_dim,
/// kChunk]. What lies on the host is so already and is not copied; a device's bfloat16 numbers lose nothing.
Snapshot in_file_layout(const Snapshot& snapshot);

/// One page's or slot's tensor of a file as the rows of `pool` lie; `x` itself where they lie alike. `keys`: of keys.
/// A cache of bfloat16 numbers rounds those of another. Throws kInvalidArgument when the shapes do not fit.
Tensor in_cache_layout(const Tensor& x, const Tensor& pool, bool keys);

}  // namespace minimax::engine
