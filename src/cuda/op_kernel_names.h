// The names of OpKernels' members in their order, so that declarations and tables are made of one list.
#pragma once

#include "cuda/op_kernels.h"

#define MM_OP_KERNELS(X)    \
  X(cast)                   \
  X(split)                  \
  X(silu)                   \
  X(silu_backward)          \
  X(silu_mul)               \
  X(silu_mul_backward)      \
  X(sigmoid_mul)            \
  X(sigmoid_mul_backward)   \
  X(scaled_add)             \
  X(mix_shared)             \
  X(mix_shared_backward)    \
  X(rms_norm)               \
  X(rms_norm_backward)      \
  X(rotary_table)           \
  X(rotate)                 \
  X(take_rows)              \
  X(add_rows)               \
  X(product)                \
  X(product_mma)            \
  X(product_simple)         \
  X(few_rows_product)       \
  X(thin_product)           \
  X(route)                  \
  X(route_to)               \
  X(count_flips)            \
  X(add_entropy)            \
  X(route_backward)         \
  X(balance)                \
  X(balance_backward)       \
  X(expert_order)           \
  X(gather_pairs)           \
  X(combine_pairs)          \
  X(pair_dots)              \
  X(expert_rows)            \
  X(quantize_rows)          \
  X(packed_few_rows)        \
  X(packed_expert_rows)     \
  X(packed_operand)         \
  X(packed_product)         \
  X(packed_product_simple)  \
  X(packed_take_rows)       \
  X(store_kv)               \
  X(attention)              \
  X(attention_simple)       \
  X(attention_backward)     \
  X(lightning_float)        \
  X(lightning_float_decode) \
  X(lightning_backward)     \
  X(log_probs)              \
  X(log_probs_backward)     \
  X(choose)                 \
  X(sample)                 \
  X(add_squares)            \
  X(adamw)                  \
  X(random_uniform)         \
  X(fill_float)

namespace minimax::cuda {
#define MM_ONE(name) +1
static_assert(sizeof(OpKernels) == (0 MM_OP_KERNELS(MM_ONE)) * sizeof(void*), "a kernel is missing in the list");
#undef MM_ONE
}  // namespace minimax::cuda
