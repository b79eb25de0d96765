// This instruction set's table.
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {

#define MM_TEXT(name) #name
#define MM_NAME(name) MM_TEXT(name)

extern const Kernels kTable;
const Kernels kTable = {
    .isa = MM_NAME(MM_ISA),
    .lanes = kLanes,
#if defined(__AVX512BF16__)
    .has_bf16_dot = true,
#else
    .has_bf16_dot = false,
#endif
    .matmul_f32 = matmul_f32,
    .matmul_bf16 = matmul_bf16,
    .matmul_f16 = matmul_f16,
#if defined(__AVX512BF16__)
    .matmul_bf16_bf16 = matmul_bf16_bf16,
#else
    .matmul_bf16_bf16 = nullptr,
#endif
    .matmul_q8 = matmul_q8,
    .matmul_experts_int8 = matmul_experts_int8,
    .matmul_q6 = matmul_q6,
    .matmul_q5 = matmul_q5,
    .matmul_q4 = matmul_q4,
    .matmul_mxfp4 = matmul_mxfp4,
    .quantize_row = quantize_row,
    .rms_norm = rms_norm,
    .silu = silu,
    .silu_mul = silu_mul,
    .sigmoid_mul = sigmoid_mul,
    .scaled_add = scaled_add,
    .widen_bf16 = widen_bf16,
    .widen_f16 = widen_f16,
    .round_bf16 = round_bf16,
    .lightning = lightning,
    .attend = attend,
    .attend_codes = attend_codes,
    .code_query = code_query,
    .merge_softmax = merge_softmax,
    .outer_f32 = outer_f32,
    .outer_bf16 = outer_bf16,
    .rms_norm_backward = rms_norm_backward,
    .silu_backward = silu_backward,
    .silu_mul_backward = silu_mul_backward,
    .sigmoid_mul_backward = sigmoid_mul_backward,
    .exp_shifted = exp_shifted,
    .adamw = adamw,
    .sum_of_squares = sum_of_squares,
    .probe_fma = probe_fma,
#if defined(__AVX512BF16__)
    .probe_bf16_dot = probe_bf16_dot,
#else
    .probe_bf16_dot = nullptr,
#endif
    .probe_int8_dot = probe_int8_dot,
    .probe_read = probe_read,
    .summarize = summarize,
    .sum_exp = sum_exp,
    .exp_weights = exp_weights,
};

}  // namespace minimax::cpu::MM_ISA
