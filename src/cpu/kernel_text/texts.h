// The kernels of one instruction set, declared in its namespace; table.cpp gathers them.
#pragma once

#include "cpu/kernel_text/simd.h"
#include "cpu/kernels.h"

namespace minimax::cpu::MM_ISA {

void matmul_f32(const MatmulArgs& args);
void matmul_bf16(const MatmulArgs& args);
void matmul_f16(const MatmulArgs& args);
#if defined(__AVX512BF16__)
void matmul_bf16_bf16(const MatmulArgs& args);
#endif

void matmul_q8(const PackedArgs& args);
void matmul_experts_int8(const PackedArgs& args);
void matmul_q6(const PackedArgs& args);
void matmul_q5(const PackedArgs& args);
void matmul_q4(const PackedArgs& args);
void matmul_mxfp4(const PackedArgs& args);
void quantize_row(const float* x, int64_t k, int8_t* codes, QuantizedBlock* blocks);

void rms_norm(const float* x, const float* weight, float eps, int64_t count, float* out);
void silu(const float* x, int64_t count, float* out);
void silu_mul(const float* gate, const float* up, int64_t count, float* out);
void sigmoid_mul(const float* gate, const float* x, int64_t count, float* out);
void scaled_add(float alpha, const float* x, float beta, const float* y, int64_t count, float* out);
void widen_bf16(const uint16_t* x, int64_t count, float* out);
void widen_f16(const uint16_t* x, int64_t count, float* out);
void round_bf16(const float* x, int64_t count, uint16_t* out);

void lightning(const LightningArgs& args);
void attend(const AttentionArgs& args);
void attend_codes(const AttentionArgs& args);
void code_query(const float* q, int64_t head_dim, CodedQuery& coded);
void merge_softmax(float* out, float* max_score, float* weight_sum, const float* split_out, float split_max,
                   float split_sum, int64_t head_dim);

void outer_f32(const OuterArgs& args);
void outer_bf16(const OuterArgs& args);
float rms_norm_backward(const float* x, const float* weight, const float* dy, float eps, int64_t count, float* dx);
void silu_backward(const float* x, const float* dy, int64_t count, float* dx);
void silu_mul_backward(const float* gate, const float* up, const float* dy, int64_t count, float* dgate, float* dup);
void sigmoid_mul_backward(const float* gate, const float* x, const float* dy, int64_t count, float* dgate, float* dx);
void exp_shifted(const float* x, float shift, int64_t count, float* out);

void adamw(const AdamWArgs& args);
double sum_of_squares(const float* x, int64_t count);

float probe_fma(int64_t flops);
#if defined(__AVX512BF16__)
float probe_bf16_dot(int64_t flops);
#endif
float probe_int8_dot(int64_t operations);
float probe_read(const float* from, int64_t count);

LogitsSummary summarize(const float* logits, int64_t count);
double sum_exp(const float* logits, int64_t count, float max);
double exp_weights(const float* logits, int64_t count, float max, float inverse_temperature, float quantum,
                   float* weights);

}  // namespace minimax::cpu::MM_ISA
