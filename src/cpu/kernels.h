// The table of CPU kernels: plain functions over plain pointers, one table for each instruction set.
// Each call is one thread's share of the work; src/cpu/*.cpp split the work and hold the Tensors.
#pragma once

#include <cstdint>

#include "core/chunk.h"

namespace minimax::cpu {

/// Keys whose softmax is computed as one unit before the units are combined in order: work for one thread.
constexpr int64_t kSplitKeys = 64 * kChunk;

/// Working memory of one thread in a product: widened weights, and sums that wait.
constexpr int64_t kMatmulScratchBytes = 512 * 1024;

/// y[row][o] = sum over k of x[row][k] * w[o][k], o in [0, outputs).
/// Every y is summed in the same order whatever the number of rows or outputs: k is cut into equal stretches of at most
/// 4 KiB of x; in each, lane l takes k = l, l + lanes, ... in turn (pairs of k for matmul_bf16_bf16), the lanes are
/// added by a fixed tree, and the stretches are added in order.
struct MatmulArgs {
  const void* w = nullptr;  ///< [outputs, k], row-major, of the kernel's weight type
  const void* x = nullptr;  ///< [rows, k] float32; bfloat16 for matmul_bf16_bf16
  float* y = nullptr;       ///< y[row * y_stride + o]
  int64_t outputs = 0, rows = 0, k = 0;
  int64_t y_stride = 0;
  void* scratch = nullptr;  ///< kMatmulScratchBytes for this thread alone, 64-byte aligned; its contents do not matter
};

/// What belongs to the codes of 256 neighbouring values of a row (quantize_row).
struct QuantizedBlock {
  float scale;         ///< value = scale * code
  int32_t wide_start;  ///< -128 times the sum of all codes: what products with weights stored as value + 128 begin at
  int32_t sums[8];     ///< of each 32 codes; 0 past the end of the row
};

/// y[row][o] for o in [0, outputs), from panels of packed weights (docs/formats.md) and quantized rows (quantize_row).
/// A block of 256 of k is summed in integers, exactly; blocks are added in order: the same bits for any number of rows.
struct PackedArgs {
  const void* w = nullptr;                   ///< the first panel; 32 outputs a panel
  const int8_t* x = nullptr;                 ///< [rows, k padded to 32] codes, rows x_stride apart
  int64_t x_stride = 0;                      ///< bytes
  const QuantizedBlock* x_blocks = nullptr;  ///< [rows, blocks]
  float* y = nullptr;                        ///< y[row * y_stride + o]
  int64_t outputs = 0, rows = 0, k = 0;
  int64_t y_stride = 0;
  void* scratch = nullptr;  ///< kMatmulScratchBytes for this thread alone, 64-byte aligned
};

/// out[row][column] (+)= sum over j in [0, terms) of a[row * a_row_stride + j * a_term_stride] * m[j][column], j in
/// order.
struct OuterArgs {
  const float* a = nullptr;
  int64_t a_row_stride = 0, a_term_stride = 0;
  const void* m = nullptr;  ///< [terms, columns] rows m_stride apart, of the kernel's type
  int64_t m_stride = 0;
  float* out = nullptr;  ///< [rows, columns] rows out_stride apart
  int64_t out_stride = 0;
  int64_t rows = 0, columns = 0, terms = 0;
  bool accumulate = false;
};

/// One run of parameters of an AdamW step (train/adamw.h has the formula).
struct AdamWArgs {
  const float* gradient = nullptr;  ///< null: all zero
  float *m = nullptr, *v = nullptr, *master = nullptr;
  int64_t count = 0;
  double rate = 0, beta1 = 0, beta2 = 0, eps = 0, decay = 0;
  double gradient_scale = 1;                ///< the gradients are multiplied with it
  double correction1 = 1, correction2 = 1;  ///< 1 / (1 - beta^step)
};

/// One head of one sequence: rows of a chunk-anchored lightning attention step (docs/model.md).
/// The window holds k and v of the positions since the last commit; `filled` of its rows are there before the call.
struct LightningArgs {
  const float* q = nullptr;  ///< row i at q + i * qkv_stride; [rows, head_dim]
  const float* k = nullptr;  ///< likewise
  const float* v = nullptr;  ///< likewise
  int64_t qkv_stride = 0;
  float* out = nullptr;  ///< row i at out + i * out_stride
  int64_t out_stride = 0;
  float* state = nullptr;        ///< [head_dim, head_dim], key dimension first
  float* k_window = nullptr;     ///< [head_dim, kChunk]: transposed, so that vector lanes are keys
  float* v_window = nullptr;     ///< [kChunk, head_dim]
  const float* decay = nullptr;  ///< [kChunk + 2]: lambda^0 ... lambda^kChunk, what float32 lost of the last
  int64_t rows = 0, filled = 0, head_dim = 0;
};

/// A query in codes of 16 bits: value = scale * code.
struct CodedQuery {
  int8_t* planes = nullptr;  ///< [2, head_dim], as the table that made them reads them
  float scale = 0;           ///< NaN when the query holds a number that is not finite
  int32_t offset = 0;        ///< 128 * the sum of all codes, modulo 2^32
};

/// Query heads of one group (they share a kv head) at consecutive positions of one sequence, against keys
/// [first_key, first_key + kSplitKeys) as far as each row may see. Row r = (position, head in group), position-major.
struct AttentionArgs {
  const float* q = nullptr;  ///< row r at q + (r / group) * q_stride + (r % group) * head_dim
  int64_t q_stride = 0;
  /// attend_codes: row r at coded + (r / group) * coded_stride + r % group; instead of q.
  const CodedQuery* coded = nullptr;
  int64_t coded_stride = 0;
  const void* const* k_pages = nullptr;  ///< page p of this kv head; attend: [head_dim, kChunk] float32, transposed
  const void* const* v_pages = nullptr;  ///< attend: [kChunk, head_dim] float32
  float* out = nullptr;                  ///< [rows, head_dim] running sum of exp(score - max) * v
  float* max_score = nullptr;            ///< [rows] running maximum; -inf at the start
  float* weight_sum = nullptr;           ///< [rows] running sum of exp(score - max)
  int64_t first_position = 0;            ///< position of rows 0 .. group - 1
  int64_t first_key = 0;                 ///< multiple of kSplitKeys
  int64_t rows = 0, group = 0, head_dim = 0;
  float scale = 1;  ///< 1 / sqrt(head_dim)
};

/// What a first look at a row of logits tells.
struct LogitsSummary {
  float max;            ///< the largest value; -inf for a row of -inf
  int64_t argmax;       ///< where it stands; of equal values the first
  int64_t not_a_logit;  ///< index of the first NaN or +inf, or -1; when there is one the others mean nothing
};

struct Kernels {
  const char* isa;
  int lanes;          ///< float32 values of a vector register
  bool has_bf16_dot;  ///< matmul_bf16_bf16 is there

  void (*matmul_f32)(const MatmulArgs&);
  void (*matmul_bf16)(const MatmulArgs&);
  void (*matmul_f16)(const MatmulArgs&);
  void (*matmul_bf16_bf16)(const MatmulArgs&);  ///< null without bf16 dot products

  void (*matmul_q8)(const PackedArgs&);
  void (*matmul_experts_int8)(const PackedArgs&);
  void (*matmul_q6)(const PackedArgs&);
  void (*matmul_q5)(const PackedArgs&);
  void (*matmul_q4)(const PackedArgs&);
  void (*matmul_mxfp4)(const PackedArgs&);
  /// Blocks of 256 values as signed bytes: scale = largest magnitude / 127, code = nearest even of value / scale. Codes
  /// are padded with zeros to a multiple of 32. A block with a number that is not finite has scale NaN. The same bits
  /// in every table.
  void (*quantize_row)(const float* x, int64_t k, int8_t* codes, QuantizedBlock* blocks);

  /// out = x / sqrt(mean(x^2) + eps) * weight over one row.
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t count, float* out);
  void (*silu)(const float* x, int64_t count, float* out);
  void (*silu_mul)(const float* gate, const float* up, int64_t count, float* out);    ///< silu(gate) * up
  void (*sigmoid_mul)(const float* gate, const float* x, int64_t count, float* out);  ///< sigmoid(gate) * x
  void (*scaled_add)(float alpha, const float* x, float beta, const float* y, int64_t count, float* out);
  void (*widen_bf16)(const uint16_t* x, int64_t count, float* out);
  void (*widen_f16)(const uint16_t* x, int64_t count, float* out);
  void (*round_bf16)(const float* x, int64_t count, uint16_t* out);  ///< nearest even

  /// filled + rows <= kChunk. When the chunk becomes full its sum is committed to `state`.
  void (*lightning)(const LightningArgs&);
  /// Adds one split's keys to the rows' running softmax.
  void (*attend)(const AttentionArgs&);
  /// The same over pages of codes, behind each kChunk float32 scales of its keys. k: [head_dim / 4, kChunk, 4] of codes
  /// + 128; v: [kChunk / 4, head_dim, 4] of codes. head_dim a multiple of 4, at most 512.
  void (*attend_codes)(const AttentionArgs&);
  /// Makes planes (whose memory is given), scale and offset of q [head_dim].
  void (*code_query)(const float* q, int64_t head_dim, CodedQuery& coded);
  /// Merges a later split's (out, max, sum) into an earlier one, for one row.
  void (*merge_softmax)(float* out, float* max_score, float* weight_sum, const float* split_out, float split_max,
                        float split_sum, int64_t head_dim);

  void (*outer_f32)(const OuterArgs&);
  void (*outer_bf16)(const OuterArgs&);
  // Gradients, each of one row or piece; d... of inputs are written, not added to.
  /// dx from dy; returns 1 / sqrt(mean(x^2) + eps), from which dweight is made.
  float (*rms_norm_backward)(const float* x, const float* weight, const float* dy, float eps, int64_t count, float* dx);
  void (*silu_backward)(const float* x, const float* dy, int64_t count, float* dx);
  void (*silu_mul_backward)(const float* gate, const float* up, const float* dy, int64_t count, float* dgate,
                            float* dup);
  void (*sigmoid_mul_backward)(const float* gate, const float* x, const float* dy, int64_t count, float* dgate,
                               float* dx);
  void (*exp_shifted)(const float* x, float shift, int64_t count, float* out);  ///< exp(x - shift)

  void (*adamw)(const AdamWArgs&);                          ///< the same bits in every table
  double (*sum_of_squares)(const float* x, int64_t count);  ///< the same bits in every table

  // What a ceiling is made of (cpu/ceilings.h). The returned number only keeps the work from being left out.
  float (*probe_fma)(int64_t flops);       ///< does at least `flops`, 2 a multiply-add, from registers
  float (*probe_bf16_dot)(int64_t flops);  ///< likewise, 4 a float32 lane; null without bf16 dot products
  float (*probe_int8_dot)(
      int64_t operations);  ///< likewise, 8 a 32-bit lane, in the instructions of the packed products
  float (*probe_read)(const float* from, int64_t count);  ///< reads all of it; count a multiple of 128

  /// One row of logits (cpu/logits.h). The same bits in every table.
  LogitsSummary (*summarize)(const float* logits, int64_t count);
  double (*sum_exp)(const float* logits, int64_t count, float max);
  double (*exp_weights)(const float* logits, int64_t count, float max, float inverse_temperature, float quantum,
                        float* weights);
};

}  // namespace minimax::cpu
