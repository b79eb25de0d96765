// The part of the kernel table that the ops call (docs/design.md, 6): plain functions over device pointers and a
// stream. As in cuda/kernels.h nothing throws, allocates or waits. Unless a type is given, numbers are float32 and
// indices int32; matrices are row-major and dense. Sums are formed in a fixed order: repeated runs give the same bits.
#pragma once

#include <cstdint>

#include "quant/format.h"

namespace minimax::cuda {

/// A cudaStream_t; null is the device's default stream.
using Stream = void*;
using Failure = const char*;  ///< null when all is well

enum class Type : int32_t { kFloat32, kBFloat16 };

/// Groups (experts) that a grouped product can tell apart.
constexpr int64_t kMaxGroups = 64;
/// Sorted rows of a group start at multiples of this where they are summed over, with zero rows between.
constexpr int64_t kGroupAlign = 64;

/// out[m, n] = sum over k of a[m, k] b[n, k]. Any sizes; bfloat16 operands with 16-byte aligned rows run on tensor
/// cores, all else on ordinary float32 units.
struct ProductArgs {
  const void* a = nullptr;  ///< [m, k]; transposed: [k, m]
  const void* b = nullptr;  ///< [n, k]; transposed: [k, n]
  void* out = nullptr;      ///< [m, n]
  Type a_type = Type::kFloat32, b_type = Type::kFloat32, out_type = Type::kFloat32;
  bool a_transposed = false, b_transposed = false;
  bool accumulate = false;  ///< float32 out is added to
  int64_t m = 0, n = 0, k = 0;
  /// a is a float32 matrix as `a_parts` bfloat16 ones, side by side, whose sum it is; each `a_part_columns` wide (a
  /// multiple of 64, at least k, zeros behind k). Not transposed.
  int64_t a_parts = 1, a_part_columns = 0;
  /// Not null: out = silu(a b^T) * (a b2^T), b2 like b.
  const void* b2 = nullptr;

  /// Not 0: group g owns rows group_starts[g] .. group_starts[g + 1] of a, on the device.
  int64_t groups = 0;
  const int32_t* group_starts = nullptr;
  /// Rows are rows of the output (m is the most there can be): group g multiplies with the b that starts
  /// g * b_group_stride elements on.
  int64_t b_group_stride = 0;
  int64_t b2_group_stride = 0;
  /// Rows are the terms of the sums (a and b transposed, k the most there can be, starts multiples of kGroupAlign):
  /// group g adds to the matrix group_outs[g]; null: left out.
  bool groups_are_terms = false;
  float* group_outs[kMaxGroups] = {};

  /// A zero on the device, for this product alone; blocks then take tiles as they become free. Null: each has its own.
  int32_t* next_tile = nullptr;
};

/// Where the rows of a mixture lie once they are sorted by expert. Pair i is rank i % top_k of token i / top_k.
struct ExpertOrder {
  int32_t* starts = nullptr;   ///< [experts + 1]
  int32_t* row_of = nullptr;   ///< [tokens * top_k] of each pair
  int32_t* pair_of = nullptr;  ///< [capacity] of each row; -1 between groups
  int64_t capacity = 0;        ///< tokens * top_k + experts * (align - 1)
};

/// Experts of few tokens: every pair reads its expert's matrices.
struct ExpertRowsArgs {
  const float* x = nullptr;         ///< [tokens, hidden]
  const int32_t* chosen = nullptr;  ///< [tokens, top_k]
  const float* weights = nullptr;   ///< [tokens, top_k]
  const void *gate = nullptr, *up = nullptr, *down = nullptr;
  int64_t gate_stride = 0, up_stride = 0, down_stride = 0;  ///< elements from expert to expert
  Type type = Type::kBFloat16;
  float* hidden_rows = nullptr;  ///< workspace [tokens * top_k, ffn]
  float* out = nullptr;          ///< [tokens, hidden]
  int64_t tokens = 0, top_k = 0, hidden = 0, ffn = 0;
};

/// A product with a matrix in panels (docs/formats.md; packed_columns: cuda/packed_words.h). product: b and b2 are
/// panels, their group strides bytes; nothing is transposed, accumulated or a sum over groups. a: float32, for float32
/// outputs and sums of exact products; or bfloat16 as packed_operand makes it, a_parts and a_part_columns
/// (packed_columns(k)) always given. With b2 the output has a's type: bfloat16 as an operand again, [m,
/// packed_columns(n)]. Without, it is float32.
struct PackedProductArgs {
  ProductArgs product;
  quant::Format format = quant::Format::kQ8;
};

/// Rows of activations as integers of 15 bits: x = scale * (128 * high + low). Of k numbers, padded to whole groups.
struct QuantizedRows {
  int8_t* codes = nullptr;  ///< [rows, 2, padded]: high parts, low parts; zeros behind k
  float* scales = nullptr;  ///< [rows, blocks of 256]
  int32_t* sums = nullptr;  ///< [rows, groups of 32] of 128 * high + low
};

/// Experts of few tokens, packed: every pair reads its expert's matrices. As ExpertRowsArgs; strides are bytes.
struct PackedExpertRowsArgs {
  const int32_t* chosen = nullptr;
  const float* weights = nullptr;
  const void *gate = nullptr, *up = nullptr, *down = nullptr;
  int64_t gate_stride = 0, up_stride = 0, down_stride = 0;
  quant::Format format = quant::Format::kQ8;  ///< of gate and up
  quant::Format down_format = quant::Format::kQ8;
  QuantizedRows x;               ///< [tokens] of hidden, as quantize_rows left them
  float* hidden_rows = nullptr;  ///< workspace [tokens * top_k, ffn]
  QuantizedRows h;               ///< workspace [tokens * top_k] of ffn
  float* out = nullptr;
  int64_t tokens = 0, top_k = 0, hidden = 0, ffn = 0;
};

/// Causal grouped-query attention over paged keys, any number of tokens a sequence. Sequence s owns tokens
/// [cu_seqlens[s], cu_seqlens[s + 1]); each token sees positions 0 up to its own, all in the pages already.
struct AttentionArgs {
  const float* q = nullptr;             ///< [tokens, heads * head_dim], rotated
  const void* k_pages = nullptr;        ///< [pages, kv_heads, kChunk, head_dim], rotated
  const void* v_pages = nullptr;        ///< likewise
  Type type = Type::kBFloat16;          ///< of the pages
  const int32_t* page_table = nullptr;  ///< [seqs, max_pages]
  const int32_t* positions = nullptr;   ///< [tokens]
  const int32_t* cu_seqlens = nullptr;  ///< [seqs + 1]
  float* out = nullptr;                 ///< [tokens, heads * head_dim]
  float* log_sums = nullptr;  ///< [tokens, heads] log(sum(exp(scaled scores))), for the backward; null: not wanted
  int64_t tokens = 0, seqs = 0, heads = 0, kv_heads = 0, head_dim = 0, max_pages = 0;
  int64_t longest = 0;  ///< most tokens of one sequence in this batch
  float scale = 1;
};

/// Gradient of attention over packed sequences from position 0.
struct AttentionBackwardArgs {
  const float *q = nullptr, *k = nullptr, *v = nullptr;  ///< [tokens, heads * head_dim], [tokens, kv_heads * head_dim]
  const float *out = nullptr, *dout = nullptr, *log_sums = nullptr;
  float* dots = nullptr;  ///< workspace [tokens, heads]
  float *dq = nullptr, *dk = nullptr, *dv = nullptr;
  const int32_t* cu_seqlens = nullptr;
  bool exact = false;  ///< float32 units rather than tensor cores
  int64_t tokens = 0, seqs = 0, heads = 0, kv_heads = 0, head_dim = 0, longest = 0;
  float scale = 1;
};

/// Lightning attention, float32 throughout, any head_dim up to 128. As LightningArgs with float32 qkv, out and windows.
struct LightningFloatArgs {
  const float* qkv = nullptr;
  float* out = nullptr;
  const float* decay = nullptr;
  const int32_t *positions = nullptr, *cu_seqlens = nullptr, *slots = nullptr;
  float *state = nullptr, *k_window = nullptr, *v_window = nullptr;  ///< windows: [slots, heads, kChunk, head_dim]
  int64_t tokens = 0, seqs = 0, heads = 0, head_dim = 0;
};

/// Its gradient, for sequences from position 0.
struct LightningBackwardArgs {
  const float *qkv = nullptr, *decay = nullptr, *dout = nullptr;
  float* dqkv = nullptr;
  const int32_t* cu_seqlens = nullptr;
  const int32_t* chunk_starts = nullptr;  ///< [seqs + 1] chunks before each sequence
  /// Workspaces [chunks, heads, head_dim, head_dim]: states at chunk starts, their gradients at chunk ends.
  float *states = nullptr, *dstates = nullptr;
  bool exact = false;  ///< float32 units rather than tensor cores
  int64_t tokens = 0, seqs = 0, chunks = 0, heads = 0, head_dim = 0;
};

/// One pair of channels each: theta^(-2 pair / rotary_dim), as the published code rounds it.
constexpr int64_t kMaxRotaryPairs = 128;
struct RotaryFrequencies {
  float inverse[kMaxRotaryPairs] = {};
};

/// How one row of logits becomes a token: by a temperature and a set of ids that are never chosen.
struct ChoiceRow {
  double uniform = 0;     ///< random number in [0, 1)
  int64_t row = 0;        ///< of the logits
  float temperature = 0;  ///< 0: the largest logit, of equal ones the lower id
  int32_t banned = -1;    ///< row of ChooseArgs::banned; -1: none are
};
/// id: or what was wrong with the row.
struct Choice {
  int32_t id = 0;
  float log_prob = 0;  ///< of the model itself: at temperature 1, nothing banned
};
constexpr int32_t kNotALogit = -1;    ///< one is NaN or +inf, or all are -inf
constexpr int32_t kNothingLeft = -2;  ///< all others are banned
struct ChooseArgs {
  const float* logits = nullptr;      ///< [rows of logits, vocab]
  const ChoiceRow* wanted = nullptr;  ///< [rows]
  const uint32_t* banned = nullptr;   ///< [sets, (vocab + 31) / 32]: bit id % 32 of word id / 32
  Choice* chosen = nullptr;           ///< [rows]
  int64_t rows = 0, vocab = 0;
};

/// How one row of logits becomes a token when more decides than that: what engine::SamplingParams says.
struct SampleRow {
  double uniform = 0;  ///< random number in [0, 1)
  int64_t row = 0;     ///< of the logits
  float temperature = 0, top_p = 1, min_p = 0;
  float repetition_penalty = 1, presence_penalty = 0, frequency_penalty = 0;
  int32_t top_k = 0;     ///< 0: off
  int32_t banned = -1;   ///< row of SampleArgs::banned; -1: none are
  int32_t allowed = -1;  ///< row of SampleArgs::allowed; -1: all are
  int32_t edits = 0;     ///< of SampleArgs::edits, from first_edit on; an id at most once
  int64_t first_edit = 0;
};
/// An id whose logit is changed.
struct LogitEdit {
  int32_t id = 0;
  int32_t seen = -1;  ///< times in the answer; 0: in the prompt alone; -1: in neither, only the bias counts
  float bias = 0;
};
struct SampleArgs {
  const float* logits = nullptr;      ///< [rows of logits, vocab]
  const SampleRow* wanted = nullptr;  ///< [rows]
  const LogitEdit* edits = nullptr;
  const uint32_t* banned = nullptr;   ///< [sets, (vocab + 31) / 32]: bit id % 32 of word id / 32
  const uint64_t* allowed = nullptr;  ///< [masks, (vocab + 63) / 64]: bit id % 64 of word id / 64
  float* weights = nullptr;           ///< workspace [rows, vocab]
  Choice* chosen = nullptr;           ///< [rows]
  int64_t rows = 0, vocab = 0;
  float quantum = 0;  ///< cpu::weight_quantum(vocab)
};

struct AdamWArgs {
  float *master = nullptr, *m = nullptr, *v = nullptr;
  const float* gradient = nullptr;  ///< null: zeros
  void* working = nullptr;          ///< bfloat16 copy; null: none
  int64_t count = 0;
  double beta1 = 0, beta2 = 0, eps = 0, correction1 = 0, correction2 = 0, rate = 0, decay = 0, scale = 1;
};

struct OpKernels {
  Failure (*cast)(const void* x, Type from, void* out, Type to, int64_t count, Stream);
  /// bfloat16 out[row, part, 0 .. padded): x as the sum of `parts` bfloat16 numbers, zeros behind `columns`.
  Failure (*split)(const float* x, int64_t rows, int64_t columns, int64_t parts, int64_t padded, void* out, Stream);
  Failure (*silu)(const float* x, void* out, Type, int64_t count, Stream);
  Failure (*silu_backward)(const float* x, const float* dy, float* dx, int64_t count, Stream);
  Failure (*silu_mul)(const float* gate, const float* up, void* out, Type, int64_t count, Stream);
  Failure (*silu_mul_backward)(const float* gate, const float* up, const float* dy, void* dgate, void* dup, Type,
                               int64_t count, Stream);
  Failure (*sigmoid_mul)(const float* gate, const float* x, float* out, int64_t count, Stream);
  Failure (*sigmoid_mul_backward)(const float* gate, const float* x, const float* dy, float* dgate, float* dx,
                                  int64_t count, Stream);
  /// alpha x + beta y; y null: alpha x. out may be x or y.
  Failure (*scaled_add)(float alpha, const float* x, float beta, const float* y, float* out, int64_t count, Stream);
  Failure (*mix_shared)(const float* logits, const float* routed, const float* shared, float* out, int64_t tokens,
                        int64_t hidden, Stream);
  Failure (*mix_shared_backward)(const float* logits, const float* routed, const float* shared, const float* dout,
                                 float* dlogits, float* drouted, float* dshared, int64_t tokens, int64_t hidden,
                                 Stream);

  Failure (*rms_norm)(const float* x, const float* weight, float eps, float* out, int64_t rows, int64_t hidden, Stream);
  /// dweight_sum is added to; workspace: [kNormParts + 1, max(rows, hidden)].
  Failure (*rms_norm_backward)(const float* x, const float* weight, float eps, const float* dy, float* dx,
                               float* dweight_sum, float* workspace, int64_t rows, int64_t hidden, Stream);

  Failure (*rotary_table)(const int32_t* positions, const RotaryFrequencies&, float* table, int64_t tokens,
                          int64_t pairs, Stream);
  /// direction -1: by the opposite angle.
  Failure (*rotate)(const float* x, const float* table, float* out, int64_t tokens, int64_t heads, int64_t head_dim,
                    int64_t pairs, float direction, Stream);

  /// out[i] = table[indices[i]]; an index outside [0, table_rows) gives NaN.
  Failure (*take_rows)(const void* table, Type, int64_t table_rows, const int32_t* indices, float* out, int64_t count,
                       int64_t width, Stream);
  /// sum[indices[i]] += rows[i], in the order of i.
  Failure (*add_rows)(const float* rows, const int32_t* indices, float* sum, int64_t count, int64_t width, Stream);

  Failure (*product)(const ProductArgs&, Stream);
  /// The same on what tensor cores have had since compute capability 8.0, where product() has nothing better.
  Failure (*product_mma)(const ProductArgs&, Stream);
  /// The same on float32 units: the check of both.
  Failure (*product_simple)(const ProductArgs&, Stream);
  /// out[rows, n] = x[rows, k] weight[n, k]^T for at most kFewRows rows: the weight's bytes are the cost.
  Failure (*few_rows_product)(const float* x, const void* weight, Type, float* out, int64_t rows, int64_t n, int64_t k,
                              Stream);

  /// The same of float32 matrices, any rows, for n up to a few dozen; k a multiple of 4.
  Failure (*thin_product)(const float* x, const float* weight, float* out, int64_t rows, int64_t n, int64_t k, Stream);

  Failure (*route)(const float* logits, int32_t* chosen, float* weights, int64_t tokens, int64_t experts, int64_t top_k,
                   Stream);
  /// The weights alone, of experts chosen before. An expert outside the logits gets weight NaN.
  Failure (*route_to)(const float* logits, const int32_t* chosen, float* weights, int64_t tokens, int64_t experts,
                      int64_t top_k, Stream);
  /// count[0] += tokens whose experts are not the same set in a and b, [tokens, top_k] each.
  Failure (*count_flips)(const int32_t* a, const int32_t* b, int32_t* count, int64_t tokens, int64_t top_k, Stream);
  /// sum[0] += the entropies, in nats, of the softmax of every row.
  Failure (*add_entropy)(const float* logits, double* sum, int64_t tokens, int64_t experts, Stream);
  /// dlogits_sum is added to.
  Failure (*route_backward)(const int32_t* chosen, const float* weights, const float* dweights, float* dlogits_sum,
                            int64_t tokens, int64_t experts, int64_t top_k, Stream);
  /// loss[0]: ops::balance_loss. shares: [experts], what the backward needs; workspace: [kBalanceParts, experts].
  Failure (*balance)(const float* logits, const int32_t* chosen, float* loss, float* shares, float* workspace,
                     int64_t tokens, int64_t experts, int64_t top_k, Stream);
  Failure (*balance_backward)(const float* logits, const float* shares, const float* dloss, float* dlogits,
                              int64_t tokens, int64_t experts, Stream);
  /// Fills `order`; groups start at multiples of `align`.
  Failure (*expert_order)(const int32_t* chosen, int64_t pairs, int64_t experts, int64_t align, const ExpertOrder&,
                          Stream);
  /// out[row] = scale[pair] * x[token of the pair], zeros between groups; scale null: 1.
  Failure (*gather_pairs)(const float* x, const ExpertOrder&, int64_t experts, int64_t top_k, const float* scale,
                          void* out, Type, int64_t hidden, Stream);
  /// out[token] = sum over its pairs, best first, of weights[pair] * rows[row_of[pair]]; weights null: 1.
  Failure (*combine_pairs)(const float* rows, const int32_t* row_of, const float* weights, float* out, int64_t tokens,
                           int64_t top_k, int64_t hidden, Stream);
  /// dweights[pair] = dout[token] . rows[row_of[pair]]
  Failure (*pair_dots)(const float* dout, const float* rows, const int32_t* row_of, float* dweights, int64_t pairs,
                       int64_t top_k, int64_t hidden, Stream);
  Failure (*expert_rows)(const ExpertRowsArgs&, Stream);

  /// Any rows; activations keep 15 bits of their blocks' largest.
  Failure (*quantize_rows)(const float* x, int64_t rows, int64_t k, const QuantizedRows& out, Stream);
  /// out[rows, n] for at most kFewRows rows: the packed bytes are the cost. Sums over 128 terms are exact.
  Failure (*packed_few_rows)(const QuantizedRows& x, const void* panels, quant::Format, float* out, int64_t rows,
                             int64_t n, int64_t k, Stream);
  Failure (*packed_expert_rows)(const PackedExpertRowsArgs&, Stream);
  /// bfloat16 out[row, part, packed_columns(k)]: x as the sum of `parts` (1 or 2) numbers, columns ordered within each
  /// 32 as packed_product reads them. With `order` (starts not null) rows are those of the sorted pairs, zeros between.
  Failure (*packed_operand)(const float* x, int64_t rows, int64_t k, int64_t parts, const ExpertOrder& order,
                            int64_t experts, int64_t top_k, void* out, Stream);
  Failure (*packed_product)(const PackedProductArgs&, Stream);
  /// The same on float32 units: for float32 operands, for other GPUs, and the check of it.
  Failure (*packed_product_simple)(const PackedProductArgs&, Stream);
  /// out[i] = row indices[i] of a packed table; an index outside gives NaN.
  Failure (*packed_take_rows)(const void* panels, quant::Format, int64_t table_rows, const int32_t* indices, float* out,
                              int64_t count, int64_t width, Stream);

  /// k, v: [tokens, kv_heads * head_dim] into their pages.
  Failure (*store_kv)(const float* k, const float* v, const int32_t* positions, const int32_t* cu_seqlens,
                      const int32_t* page_table, void* k_pages, void* v_pages, Type, int64_t tokens, int64_t seqs,
                      int64_t kv_heads, int64_t head_dim, int64_t max_pages, Stream);
  /// Tensor cores for bfloat16 pages and head_dim 16, 32, 48, 64, 96 and 128; else attention_simple.
  Failure (*attention)(const AttentionArgs&, Stream);
  /// Float32 units. head_dim up to 256.
  Failure (*attention_simple)(const AttentionArgs&, Stream);
  Failure (*attention_backward)(const AttentionBackwardArgs&, Stream);
  Failure (*lightning_float)(const LightningFloatArgs&, Stream);
  /// The same for one token of each sequence, with caches; head_dim 32, 64 or 128. Adds in another order.
  Failure (*lightning_float_decode)(const LightningFloatArgs&, Stream);
  Failure (*lightning_backward)(const LightningBackwardArgs&, Stream);

  /// out[row] = log softmax(logits[row])[targets[row]]; log_sums[row]: of exp(logits).
  Failure (*log_probs)(const float* logits, const int32_t* targets, float* out, float* log_sums, int64_t rows,
                       int64_t vocab, Stream);
  /// dy (onehot - softmax) as bfloat16 or float32 into out, which may be `logits` itself for float32.
  Failure (*log_probs_backward)(const float* logits, const int32_t* targets, const float* log_sums, const float* dy,
                                void* out, Type, int64_t rows, int64_t vocab, Stream);

  /// The id at which the sum of the weights exp(logit / temperature), in order of ids, passes uniform times all of it.
  Failure (*choose)(const ChooseArgs&, Stream);
  /// The id that engine::Sampler chooses by the same number: weights have its bits, and sums are exact.
  Failure (*sample)(const SampleArgs&, Stream);

  /// out[0] += the sum of squares of each of `tensors` arrays (of the host's: addresses and counts), at most
  /// kOptimizerTensors; parts: [tensors, kSquareParts] doubles of workspace.
  Failure (*add_squares)(const float* const* x, const int64_t* counts, int64_t tensors, double* parts, double* out,
                         Stream);
  /// Of `tensors` parameters at once, at most kOptimizerTensors.
  Failure (*adamw)(const AdamWArgs*, int64_t tensors, Stream);
  /// Uniform in +-limit; the same for the same seed.
  Failure (*random_uniform)(void* out, Type, int64_t count, uint64_t seed, float limit, Stream);
  Failure (*fill_float)(float* out, float value, int64_t count, Stream);
};

constexpr int64_t kFewRows = 8;
constexpr int64_t kNormParts = 64;
constexpr int64_t kBalanceParts = 64;
constexpr int64_t kSquareParts = 256;
/// A small model has hundreds of parameters, of which none fills a GPU: many go in one launch.
constexpr int64_t kOptimizerTensors = 32;

}  // namespace minimax::cuda
