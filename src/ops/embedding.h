// Token embedding.
#pragma once

#include "core/context.h"
#include "ops/weight.h"

namespace minimax::ops {

/// table: [vocab, hidden] F32, BF16 or F16; tokens: [tokens] int32 -> [tokens, hidden] float32. No scaling, no
/// positions. Throws kInvalidArgument naming the first id outside [0, vocab); of tokens that lie on a GPU already
/// nobody can tell, and such an id gives NaN.
Tensor embedding(const Context& ctx, const Weight& table, const Tensor& tokens);

/// Throws kInvalidArgument naming the first id outside [0, vocab). tokens: on the host.
void check_tokens(const Tensor& tokens, int64_t vocab);

}  // namespace minimax::ops
