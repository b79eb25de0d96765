// Random numbers made where they are wanted: for tests, benchmarks and models of random weights.
#include <cuda_bf16.h>

#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

/// A bijection of 64-bit numbers whose values look random (the finaliser of SplitMix64).
__device__ uint64_t mixed(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

// Any grid; thread i makes pair i by Box and Muller's rule.
__global__ void random_normal_kernel(__nv_bfloat16* out, int64_t count, uint64_t seed, float deviation) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t pair = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; 2 * pair < count; pair += stride) {
    const uint64_t bits = mixed(mixed(seed) + static_cast<uint64_t>(pair) * 0x9e3779b97f4a7c15u);
    const float u = (static_cast<float>(bits >> 40) + 1) / 16777217.0f;
    const float turn = static_cast<float>(bits & 0xffffff) / 8388608.0f;
    const float radius = deviation * sqrtf(-2 * logf(u));
    out[2 * pair] = __float2bfloat16(radius * cospif(turn));
    if (2 * pair + 1 < count) out[2 * pair + 1] = __float2bfloat16(radius * sinpif(turn));
  }
}

template <typename T>
__global__ void random_uniform_kernel(T* out, int64_t count, uint64_t seed, float limit) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
    const uint64_t bits = mixed(mixed(seed) + static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15u);
    put(out + i, limit * (static_cast<float>(bits >> 40) / 8388608.0f - 1.0f));
  }
}

}  // namespace

Failure random_normal(void* out, int64_t count, uint64_t seed, float deviation, Stream stream) {
  random_normal_kernel<<<1024, 256, 0, stream_of(stream)>>>(static_cast<__nv_bfloat16*>(out), count, seed, deviation);
  return launched();
}

Failure random_uniform(void* out, Type type, int64_t count, uint64_t seed, float limit, Stream stream) {
  return with_type(type, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    random_uniform_kernel<<<2048, 256, 0, stream_of(stream)>>>(static_cast<T*>(out), count, seed, limit);
    return launched();
  });
}

}  // namespace minimax::cuda
