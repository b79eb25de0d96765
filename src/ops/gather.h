// Picking rows of a tensor.
#pragma once

#include "core/context.h"

namespace minimax::ops {

/// x: [tokens, hidden] float32; rows: [rows] int32 -> [rows, hidden]: out[i] = x[rows[i]].
/// Throws kInvalidArgument naming the first row outside x.
Tensor gather_rows(const Context& ctx, const Tensor& x, const Tensor& rows);

}  // namespace minimax::ops
