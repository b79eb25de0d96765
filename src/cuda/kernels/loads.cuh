// Four numbers at a time, of either type; sums over warps and blocks in a fixed order.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "cuda/op_kernels.h"

namespace minimax::cuda {

/// Up to four numbers from x[at]; `left` says how many there are. Whole fours are read at once: x + at is then 16-byte
/// aligned (8 for bfloat16).
__device__ __forceinline__ float4 load4(const float* x, int64_t at, int64_t left) {
  if (left >= 4) return *reinterpret_cast<const float4*>(x + at);
  return {left > 0 ? x[at] : 0.0f, left > 1 ? x[at + 1] : 0.0f, left > 2 ? x[at + 2] : 0.0f, 0.0f};
}
__device__ __forceinline__ float4 load4(const __nv_bfloat16* x, int64_t at, int64_t left) {
  if (left >= 4) {
    const uint2 pair = *reinterpret_cast<const uint2*>(x + at);
    return {__uint_as_float(pair.x << 16), __uint_as_float(pair.x & 0xffff0000u), __uint_as_float(pair.y << 16),
            __uint_as_float(pair.y & 0xffff0000u)};
  }
  return {left > 0 ? __bfloat162float(x[at]) : 0.0f, left > 1 ? __bfloat162float(x[at + 1]) : 0.0f,
          left > 2 ? __bfloat162float(x[at + 2]) : 0.0f, 0.0f};
}

__device__ __forceinline__ void store4(float* x, int64_t at, int64_t left, float4 value) {
  if (left >= 4) {
    *reinterpret_cast<float4*>(x + at) = value;
    return;
  }
  if (left > 0) x[at] = value.x;
  if (left > 1) x[at + 1] = value.y;
  if (left > 2) x[at + 2] = value.z;
}
__device__ __forceinline__ void store4(__nv_bfloat16* x, int64_t at, int64_t left, float4 value) {
  if (left >= 4) {
    const __nv_bfloat162 low = __floats2bfloat162_rn(value.x, value.y), high = __floats2bfloat162_rn(value.z, value.w);
    *reinterpret_cast<uint2*>(x + at) = {*reinterpret_cast<const uint32_t*>(&low),
                                         *reinterpret_cast<const uint32_t*>(&high)};
    return;
  }
  if (left > 0) x[at] = __float2bfloat16(value.x);
  if (left > 1) x[at + 1] = __float2bfloat16(value.y);
  if (left > 2) x[at + 2] = __float2bfloat16(value.z);
}

__device__ __forceinline__ float number(float x) {
  return x;
}
__device__ __forceinline__ float number(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
__device__ __forceinline__ void put(float* to, float x) {
  *to = x;
}
__device__ __forceinline__ void put(__nv_bfloat16* to, float x) {
  *to = __float2bfloat16(x);
}

template <typename T>
__device__ __forceinline__ T warp_sum(T x) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(0xffffffffu, x, lanes);
  return x;
}
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lanes));
  return x;
}

/// Of all threads of a block of up to 1024, in every thread.
template <typename T>
__device__ T block_sum(T x) {
  __shared__ T parts[32];
  const int warp = threadIdx.x / 32, warps = (blockDim.x + 31) / 32;
  x = warp_sum(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[warp] = x;
  __syncthreads();
  T sum = 0;
  for (int i = 0; i < warps; ++i) sum += parts[i];
  return sum;
}
__device__ inline float block_max(float x) {
  __shared__ float parts[32];
  const int warp = threadIdx.x / 32, warps = (blockDim.x + 31) / 32;
  x = warp_max(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[warp] = x;
  __syncthreads();
  float largest = parts[0];
  for (int i = 1; i < warps; ++i) largest = fmaxf(largest, parts[i]);
  return largest;
}

/// Calls body with a null pointer of the type's element.
template <typename Body>
Failure with_type(Type type, const Body& body) {
  return type == Type::kFloat32 ? body(static_cast<float*>(nullptr)) : body(static_cast<__nv_bfloat16*>(nullptr));
}

}  // namespace minimax::cuda
