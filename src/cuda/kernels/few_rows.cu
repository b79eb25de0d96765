// Products of a few rows with a matrix, as in decode: the matrix is read once, 16 bytes a thread, and its bytes are the
// cost. Activations stay float32: nothing but the weights is rounded.
//
// A warp owns kOutputs rows of the matrix; lanes take every 32nd piece of 8 numbers (4 for float32) of each, and a
// fixed tree adds the lanes. x is read through L1, where all warps of a multiprocessor find it.
#include <cuda_bf16.h>

#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * 32;

/// 8 weights as float32.
struct Eight {
  float v[8];
};
__device__ __forceinline__ uint4 stream16(const void* from) {
  uint4 out;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(out.x), "=r"(out.y), "=r"(out.z), "=r"(out.w)
               : "l"(from));
  return out;
}
struct Bf16Piece {
  uint4 bits;
  __device__ __forceinline__ void load(const __nv_bfloat16* from) { bits = stream16(from); }
  __device__ __forceinline__ Eight numbers() const {
    return {__uint_as_float(bits.x << 16), __uint_as_float(bits.x & 0xffff0000u),
            __uint_as_float(bits.y << 16), __uint_as_float(bits.y & 0xffff0000u),
            __uint_as_float(bits.z << 16), __uint_as_float(bits.z & 0xffff0000u),
            __uint_as_float(bits.w << 16), __uint_as_float(bits.w & 0xffff0000u)};
  }
};
struct FloatPiece {
  uint4 low, high;
  __device__ __forceinline__ void load(const float* from) {
    low = stream16(from);
    high = stream16(from + 4);
  }
  __device__ __forceinline__ Eight numbers() const {
    return {__uint_as_float(low.x),  __uint_as_float(low.y),  __uint_as_float(low.z),  __uint_as_float(low.w),
            __uint_as_float(high.x), __uint_as_float(high.y), __uint_as_float(high.z), __uint_as_float(high.w)};
  }
};
template <typename T>
struct PieceOf {
  using Type = FloatPiece;
};
template <>
struct PieceOf<__nv_bfloat16> {
  using Type = Bf16Piece;
};

/// sums[row][output] = x[row] . weights[output], summed over the warp, in every lane. k is a multiple of 8, rows
/// 16-byte aligned; `outputs` of kOutputs exist.
template <typename T, int kRows, int kOutputs>
__device__ __forceinline__ void dot_rows(const float* x, int64_t x_stride, int rows,
                                         const T* const (&weights)[kOutputs], int64_t k, int outputs,
                                         float (&sums)[kRows][kOutputs]) {
  using Piece = typename PieceOf<T>::Type;
  constexpr int kAhead = 16 / kOutputs > 4 ? 4 : 16 / kOutputs;  // pieces of a row under way
  const int lane = threadIdx.x % 32;
  const int64_t pieces = k / 8;
#pragma unroll
  for (int row = 0; row < kRows; ++row)
#pragma unroll
    for (int output = 0; output < kOutputs; ++output) sums[row][output] = 0;
  for (int64_t first = lane; first < pieces; first += 32 * kAhead) {
    Piece piece[kAhead][kOutputs];
#pragma unroll
    for (int ahead = 0; ahead < kAhead; ++ahead)
#pragma unroll
      for (int output = 0; output < kOutputs; ++output)
        if (first + 32 * ahead < pieces && output < outputs)
          piece[ahead][output].load(weights[output] + (first + 32 * ahead) * 8);
#pragma unroll
    for (int ahead = 0; ahead < kAhead; ++ahead) {
      const int64_t at = first + 32 * ahead;
      if (at >= pieces) break;
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        if (row >= rows) break;
        const float4 low = *reinterpret_cast<const float4*>(x + row * x_stride + at * 8);
        const float4 high = *reinterpret_cast<const float4*>(x + row * x_stride + at * 8 + 4);
#pragma unroll
        for (int output = 0; output < kOutputs; ++output) {
          if (output >= outputs) break;
          const Eight w = piece[ahead][output].numbers();
          float& sum = sums[row][output];
          sum = fmaf(low.x, w.v[0], sum);
          sum = fmaf(low.y, w.v[1], sum);
          sum = fmaf(low.z, w.v[2], sum);
          sum = fmaf(low.w, w.v[3], sum);
          sum = fmaf(high.x, w.v[4], sum);
          sum = fmaf(high.y, w.v[5], sum);
          sum = fmaf(high.z, w.v[6], sum);
          sum = fmaf(high.w, w.v[7], sum);
        }
      }
    }
  }
#pragma unroll
  for (int row = 0; row < kRows; ++row)
#pragma unroll
    for (int output = 0; output < kOutputs; ++output) sums[row][output] = warp_sum(sums[row][output]);
}

/// kOutputs rows of a matrix from `first` on.
template <typename T, int kOutputs>
struct Rows {
  const T* at[kOutputs];
  __device__ __forceinline__ Rows(const T* first, int64_t k) {
#pragma unroll
    for (int i = 0; i < kOutputs; ++i) at[i] = first + i * k;
  }
};

template <typename T, int kRows, int kOutputs>
__global__ void __launch_bounds__(kThreads)
    few_rows_kernel(const float* x, const T* weight, float* out, int rows, int64_t n, int64_t k) {
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32) * kOutputs;
  if (first >= n) return;
  const int outputs = static_cast<int>(min(static_cast<int64_t>(kOutputs), n - first));
  float sums[kRows][kOutputs];
  dot_rows<T, kRows, kOutputs>(x, k, rows, Rows<T, kOutputs>(weight + first * k, k).at, k, outputs, sums);
  if (threadIdx.x % 32 != 0) return;
#pragma unroll
  for (int row = 0; row < kRows; ++row)
#pragma unroll
    for (int output = 0; output < kOutputs; ++output)
      if (row < rows && output < outputs) out[row * n + first + output] = sums[row][output];
}

template <typename T, int kRows, int kOutputs>
Failure launch_few(const float* x, const void* weight, float* out, int64_t rows, int64_t n, int64_t k, Stream stream) {
  constexpr int64_t kBlock = kWarps * kOutputs;
  few_rows_kernel<T, kRows, kOutputs>
      <<<static_cast<unsigned>((n + kBlock - 1) / kBlock), kThreads, 0, stream_of(stream)>>>(
          x, static_cast<const T*>(weight), out, static_cast<int>(rows), n, k);
  return launched();
}

// Small blocks, so that the last ones leave few multiprocessors waiting.
constexpr int kExpertWarps = 4, kExpertThreads = kExpertWarps * 32;

// Grid: ffn / kExpertWarps x pairs: a warp takes one row of gate and of up of the pair's expert, for silu(gate) * up.
template <typename T>
__global__ void __launch_bounds__(kExpertThreads) expert_gate_up_kernel(const ExpertRowsArgs args) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kExpertWarps + threadIdx.x / 32, pair = blockIdx.y;
  if (row >= args.ffn) return;
  const int64_t expert = args.chosen[pair];
  const T* const weights[2] = {static_cast<const T*>(args.gate) + expert * args.gate_stride + row * args.hidden,
                               static_cast<const T*>(args.up) + expert * args.up_stride + row * args.hidden};
  float sums[1][2];
  dot_rows<T, 1, 2>(args.x + pair / args.top_k * args.hidden, 0, 1, weights, args.hidden, 2, sums);
  if (threadIdx.x % 32 == 0)
    args.hidden_rows[pair * args.ffn + row] = sums[0][0] / (1.0f + expf(-sums[0][0])) * sums[0][1];
}

// Grid: hidden / (kExpertWarps * kOutputs) x tokens: the weighted sum over the token's experts, best first.
constexpr int kDownOutputs = 2;
template <typename T>
__global__ void __launch_bounds__(kExpertThreads) expert_down_kernel(const ExpertRowsArgs args) {
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kExpertWarps + threadIdx.x / 32) * kDownOutputs;
  const int64_t token = blockIdx.y;
  if (first >= args.hidden) return;
  const int outputs = static_cast<int>(min(static_cast<int64_t>(kDownOutputs), args.hidden - first));
  float total[kDownOutputs] = {};
  for (int64_t rank = 0; rank < args.top_k; ++rank) {
    const int64_t pair = token * args.top_k + rank, expert = args.chosen[pair];
    float sums[1][kDownOutputs];
    const Rows<T, kDownOutputs> rows(static_cast<const T*>(args.down) + expert * args.down_stride + first * args.ffn,
                                     args.ffn);
    dot_rows<T, 1, kDownOutputs>(args.hidden_rows + pair * args.ffn, 0, 1, rows.at, args.ffn, outputs, sums);
#pragma unroll
    for (int output = 0; output < kDownOutputs; ++output)
      total[output] = fmaf(args.weights[pair], sums[0][output], total[output]);
  }
  if (threadIdx.x % 32 != 0) return;
#pragma unroll
  for (int output = 0; output < kDownOutputs; ++output)
    if (output < outputs) args.out[token * args.hidden + first + output] = total[output];
}

}  // namespace

Failure few_rows_product(const float* x, const void* weight, Type type, float* out, int64_t rows, int64_t n, int64_t k,
                         Stream stream) {
  if (rows == 0 || n == 0) return nullptr;
  if (rows > kFewRows || k % 8 != 0) return "few_rows_product: more than kFewRows rows, or k is no multiple of 8";
  return with_type(type, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    if (rows == 1) return launch_few<T, 1, 2>(x, weight, out, rows, n, k, stream);
    if (rows == 2) return launch_few<T, 2, 2>(x, weight, out, rows, n, k, stream);
    if (rows <= 4) return launch_few<T, 4, 4>(x, weight, out, rows, n, k, stream);
    return launch_few<T, 8, 2>(x, weight, out, rows, n, k, stream);
  });
}

Failure expert_rows(const ExpertRowsArgs& args, Stream stream) {
  if (args.tokens == 0) return nullptr;
  if (args.hidden % 8 != 0 || args.ffn % 8 != 0) return "expert_rows: hidden or ffn is no multiple of 8";
  constexpr int64_t kDownBlock = kExpertWarps * kDownOutputs;
  const dim3 ffn_grid(static_cast<unsigned>((args.ffn + kExpertWarps - 1) / kExpertWarps),
                      static_cast<unsigned>(args.tokens * args.top_k));
  const dim3 hidden_grid(static_cast<unsigned>((args.hidden + kDownBlock - 1) / kDownBlock),
                         static_cast<unsigned>(args.tokens));
  return with_type(args.type, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    expert_gate_up_kernel<T><<<ffn_grid, kExpertThreads, 0, stream_of(stream)>>>(args);
    expert_down_kernel<T><<<hidden_grid, kExpertThreads, 0, stream_of(stream)>>>(args);
    return launched();
  });
}

}  // namespace minimax::cuda
