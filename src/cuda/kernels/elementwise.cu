// Element by element: casts, SiLU, gates, residuals and their gradients. Memory bound: four numbers a thread.
#include <cuda_bf16.h>

#include <algorithm>

#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

constexpr int kThreads = 256;

/// body(at, left): the up to four elements from `at`.
template <typename Body>
__global__ void __launch_bounds__(kThreads) fours_kernel(int64_t count, const Body body) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * 4;
  if (at < count) body(at, count - at);
}

/// One element a thread, for addresses that are not aligned.
template <typename Body>
__global__ void __launch_bounds__(kThreads) ones_kernel(int64_t count, const Body body) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at < count) body(at, 1);
}

template <typename Body>
Failure for_each_four(int64_t count, const Body& body, Stream stream) {
  if (count == 0) return nullptr;
  fours_kernel<<<static_cast<unsigned>((count + 4 * kThreads - 1) / (4 * kThreads)), kThreads, 0, stream_of(stream)>>>(
      count, body);
  return launched();
}

__device__ __forceinline__ float sigmoid(float x) {
  return 1.0f / (1.0f + expf(-x));
}
/// The derivative of x sigmoid(x).
__device__ __forceinline__ float silu_slope(float x) {
  const float s = sigmoid(x);
  return s * (1.0f + x * (1.0f - s));
}

template <typename F>
__device__ __forceinline__ float4 each(float4 a, const F& f) {
  return {f(a.x), f(a.y), f(a.z), f(a.w)};
}
template <typename F>
__device__ __forceinline__ float4 each(float4 a, float4 b, const F& f) {
  return {f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w)};
}
template <typename F>
__device__ __forceinline__ float4 each(float4 a, float4 b, float4 c, const F& f) {
  return {f(a.x, b.x, c.x), f(a.y, b.y, c.y), f(a.z, b.z, c.z), f(a.w, b.w, c.w)};
}

template <typename From, typename To>
struct Cast {
  const From* x;
  To* out;
  __device__ void operator()(int64_t at, int64_t left) const { store4(out, at, left, load4(x, at, left)); }
};

template <typename To>
struct Silu {
  const float* x;
  To* out;
  __device__ void operator()(int64_t at, int64_t left) const {
    store4(out, at, left, each(load4(x, at, left), [](float v) { return v * sigmoid(v); }));
  }
};
struct SiluBackward {
  const float *x, *dy;
  float* dx;
  __device__ void operator()(int64_t at, int64_t left) const {
    store4(dx, at, left,
           each(load4(x, at, left), load4(dy, at, left), [](float v, float g) { return g * silu_slope(v); }));
  }
};
template <typename To>
struct SiluMul {
  const float *gate, *up;
  To* out;
  __device__ void operator()(int64_t at, int64_t left) const {
    store4(out, at, left,
           each(load4(gate, at, left), load4(up, at, left), [](float g, float u) { return g * sigmoid(g) * u; }));
  }
};
template <typename To>
struct SiluMulBackward {
  const float *gate, *up, *dy;
  To *dgate, *dup;
  __device__ void operator()(int64_t at, int64_t left) const {
    const float4 g = load4(gate, at, left), u = load4(up, at, left), d = load4(dy, at, left);
    store4(dgate, at, left, each(g, u, d, [](float g, float u, float d) { return d * u * silu_slope(g); }));
    store4(dup, at, left, each(g, d, [](float g, float d) { return d * g * sigmoid(g); }));
  }
};
struct SigmoidMul {
  const float *gate, *x;
  float* out;
  __device__ void operator()(int64_t at, int64_t left) const {
    store4(out, at, left,
           each(load4(gate, at, left), load4(x, at, left), [](float g, float v) { return sigmoid(g) * v; }));
  }
};
struct SigmoidMulBackward {
  const float *gate, *x, *dy;
  float *dgate, *dx;
  __device__ void operator()(int64_t at, int64_t left) const {
    const float4 g = load4(gate, at, left), v = load4(x, at, left), d = load4(dy, at, left);
    store4(dgate, at, left, each(g, v, d, [](float g, float v, float d) {
             const float s = sigmoid(g);
             return d * v * s * (1.0f - s);
           }));
    store4(dx, at, left, each(g, d, [](float g, float d) { return d * sigmoid(g); }));
  }
};
struct ScaledAdd {
  float alpha, beta;
  const float *x, *y;
  float* out;
  __device__ void operator()(int64_t at, int64_t left) const {
    const float4 a = load4(x, at, left);
    if (!y) return store4(out, at, left, each(a, [this](float v) { return alpha * v; }));
    store4(out, at, left, each(a, load4(y, at, left), [this](float v, float w) { return alpha * v + beta * w; }));
  }
};
struct Fill {
  float value;
  float* out;
  __device__ void operator()(int64_t at, int64_t left) const { store4(out, at, left, {value, value, value, value}); }
};

/// One bfloat16 after the other takes what those before have left. Grid: enough threads for rows * padded.
__global__ void split_kernel(const float* x, int64_t rows, int64_t columns, int64_t parts, int64_t padded,
                             __nv_bfloat16* out) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= rows * padded) return;
  const int64_t row = at / padded, column = at % padded;
  float left = column < columns ? x[row * columns + column] : 0.0f;
  for (int64_t part = 0; part < parts; ++part) {
    const __nv_bfloat16 taken = __float2bfloat16(left);
    out[(row * parts + part) * padded + column] = taken;
    left -= __bfloat162float(taken);
  }
}

// One block a token.
__global__ void mix_shared_kernel(const float* logits, const float* routed, const float* shared, float* out,
                                  int64_t hidden) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * hidden;
  const float c = sigmoid(logits[blockIdx.x]);
  for (int64_t i = threadIdx.x; i < hidden; i += blockDim.x)
    out[row + i] = (1.0f - c) * routed[row + i] + c * shared[row + i];
}
__global__ void mix_shared_backward_kernel(const float* logits, const float* routed, const float* shared,
                                           const float* dout, float* dlogits, float* drouted, float* dshared,
                                           int64_t hidden) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * hidden;
  const float c = sigmoid(logits[blockIdx.x]);
  float dot = 0;
  for (int64_t i = threadIdx.x; i < hidden; i += blockDim.x) {
    const float dy = dout[row + i];
    dot += dy * (shared[row + i] - routed[row + i]);
    drouted[row + i] = (1.0f - c) * dy;
    dshared[row + i] = c * dy;
  }
  dot = block_sum(dot);
  if (threadIdx.x == 0) dlogits[blockIdx.x] = dot * c * (1.0f - c);
}

}  // namespace

Failure cast(const void* x, Type from, void* out, Type to, int64_t count, Stream stream) {
  return with_type(from, [&](auto* source) {
    return with_type(to, [&](auto* target) {
      using From = std::remove_pointer_t<decltype(source)>;
      using To = std::remove_pointer_t<decltype(target)>;
      const Cast<From, To> body{static_cast<const From*>(x), static_cast<To*>(out)};
      if ((reinterpret_cast<uintptr_t>(x) | reinterpret_cast<uintptr_t>(out)) % 16 == 0)
        return for_each_four(count, body, stream);
      ones_kernel<<<static_cast<unsigned>((count + kThreads - 1) / kThreads), kThreads, 0, stream_of(stream)>>>(count,
                                                                                                                body);
      return launched();
    });
  });
}

Failure split(const float* x, int64_t rows, int64_t columns, int64_t parts, int64_t padded, void* out, Stream stream) {
  if (rows * padded == 0) return nullptr;
  split_kernel<<<static_cast<unsigned>((rows * padded + kThreads - 1) / kThreads), kThreads, 0, stream_of(stream)>>>(
      x, rows, columns, parts, padded, static_cast<__nv_bfloat16*>(out));
  return launched();
}

Failure silu(const float* x, void* out, Type type, int64_t count, Stream stream) {
  return with_type(type, [&](auto* target) {
    using To = std::remove_pointer_t<decltype(target)>;
    return for_each_four(count, Silu<To>{x, static_cast<To*>(out)}, stream);
  });
}
Failure silu_backward(const float* x, const float* dy, float* dx, int64_t count, Stream stream) {
  return for_each_four(count, SiluBackward{x, dy, dx}, stream);
}
Failure silu_mul(const float* gate, const float* up, void* out, Type type, int64_t count, Stream stream) {
  return with_type(type, [&](auto* target) {
    using To = std::remove_pointer_t<decltype(target)>;
    return for_each_four(count, SiluMul<To>{gate, up, static_cast<To*>(out)}, stream);
  });
}
Failure silu_mul_backward(const float* gate, const float* up, const float* dy, void* dgate, void* dup, Type type,
                          int64_t count, Stream stream) {
  return with_type(type, [&](auto* target) {
    using To = std::remove_pointer_t<decltype(target)>;
    return for_each_four(count, SiluMulBackward<To>{gate, up, dy, static_cast<To*>(dgate), static_cast<To*>(dup)},
                         stream);
  });
}
Failure sigmoid_mul(const float* gate, const float* x, float* out, int64_t count, Stream stream) {
  return for_each_four(count, SigmoidMul{gate, x, out}, stream);
}
Failure sigmoid_mul_backward(const float* gate, const float* x, const float* dy, float* dgate, float* dx, int64_t count,
                             Stream stream) {
  return for_each_four(count, SigmoidMulBackward{gate, x, dy, dgate, dx}, stream);
}
Failure scaled_add(float alpha, const float* x, float beta, const float* y, float* out, int64_t count, Stream stream) {
  return for_each_four(count, ScaledAdd{alpha, beta, x, y, out}, stream);
}
Failure fill_float(float* out, float value, int64_t count, Stream stream) {
  return for_each_four(count, Fill{value, out}, stream);
}

Failure mix_shared(const float* logits, const float* routed, const float* shared, float* out, int64_t tokens,
                   int64_t hidden, Stream stream) {
  if (tokens == 0) return nullptr;
  mix_shared_kernel<<<static_cast<unsigned>(tokens), kThreads, 0, stream_of(stream)>>>(logits, routed, shared, out,
                                                                                       hidden);
  return launched();
}
Failure mix_shared_backward(const float* logits, const float* routed, const float* shared, const float* dout,
                            float* dlogits, float* drouted, float* dshared, int64_t tokens, int64_t hidden,
                            Stream stream) {
  if (tokens == 0) return nullptr;
  mix_shared_backward_kernel<<<static_cast<unsigned>(tokens), kThreads, 0, stream_of(stream)>>>(
      logits, routed, shared, dout, dlogits, drouted, dshared, hidden);
  return launched();
}

}  // namespace minimax::cuda
