// What every launcher needs: how errors become texts, and facts about the device.
#pragma once

#include <cuda_runtime.h>

#include <type_traits>

#include "cuda/kernels.h"

namespace minimax::cuda {

inline Failure failure(cudaError_t error) {
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

/// After a launch: what was wrong with it.
inline Failure launched() {
  return failure(cudaGetLastError());
}

inline cudaStream_t stream_of(Stream stream) {
  return static_cast<cudaStream_t>(stream);
}

inline bool on_hopper() {
  int device = 0, major = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess && major == 9;
}

// One definition each, in the file of its name; module.cu makes the table of them.
Failure lightning(const LightningArgs& args, Stream stream);
Failure lightning_decode(const LightningArgs& args, Stream stream);
Failure lightning_simple(const LightningArgs& args, Stream stream);
Failure lightning_gradient(const LightningGradientArgs& args, Stream stream);
Failure attention_decode(const AttentionDecodeArgs& args, Stream stream);
Failure attention_decode_simple(const AttentionDecodeArgs& args, Stream stream);
Failure random_normal(void* out, int64_t count, uint64_t seed, float deviation, Stream stream);
Failure probe_copy(void* to, const void* from, int64_t bytes, Stream stream);
Failure probe_read(const void* memory, int64_t bytes, void* out, Stream stream);
Failure probe_bf16(int64_t* flops, void* out, Stream stream);

// The ops' kernels, likewise.
#define MM_OP_KERNEL(name) std::remove_pointer_t<decltype(OpKernels::name)> name
MM_OP_KERNEL(cast);
MM_OP_KERNEL(split);
MM_OP_KERNEL(silu);
MM_OP_KERNEL(silu_backward);
MM_OP_KERNEL(silu_mul);
MM_OP_KERNEL(silu_mul_backward);
MM_OP_KERNEL(sigmoid_mul);
MM_OP_KERNEL(sigmoid_mul_backward);
MM_OP_KERNEL(scaled_add);
MM_OP_KERNEL(mix_shared);
MM_OP_KERNEL(mix_shared_backward);
MM_OP_KERNEL(rms_norm);
MM_OP_KERNEL(rms_norm_backward);
MM_OP_KERNEL(rotary_table);
MM_OP_KERNEL(rotate);
MM_OP_KERNEL(take_rows);
MM_OP_KERNEL(add_rows);
MM_OP_KERNEL(product);
MM_OP_KERNEL(product_mma);
MM_OP_KERNEL(product_simple);
MM_OP_KERNEL(few_rows_product);
MM_OP_KERNEL(thin_product);
MM_OP_KERNEL(route);
MM_OP_KERNEL(route_to);
MM_OP_KERNEL(count_flips);
MM_OP_KERNEL(add_entropy);
MM_OP_KERNEL(route_backward);
MM_OP_KERNEL(balance);
MM_OP_KERNEL(balance_backward);
MM_OP_KERNEL(expert_order);
MM_OP_KERNEL(gather_pairs);
MM_OP_KERNEL(combine_pairs);
MM_OP_KERNEL(pair_dots);
MM_OP_KERNEL(expert_rows);
MM_OP_KERNEL(store_kv);
MM_OP_KERNEL(attention);
MM_OP_KERNEL(attention_simple);
MM_OP_KERNEL(attention_backward);
MM_OP_KERNEL(lightning_float);
MM_OP_KERNEL(lightning_float_decode);
MM_OP_KERNEL(lightning_backward);
MM_OP_KERNEL(log_probs);
MM_OP_KERNEL(log_probs_backward);
MM_OP_KERNEL(choose);
MM_OP_KERNEL(add_squares);
MM_OP_KERNEL(adamw);
MM_OP_KERNEL(random_uniform);
MM_OP_KERNEL(fill_float);
#undef MM_OP_KERNEL

/// Checks what all three lightning kernels ask for.
Failure check_lightning(const LightningArgs& args);
/// After a pass: the rows of an unfinished last chunk go to the window (lightning_simple.cu).
Failure lightning_keep_window(const LightningArgs& args, Stream stream);

}  // namespace minimax::cuda
