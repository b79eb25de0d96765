// A float32 product with few outputs, as the router has: x [rows, k] times weight [n, k], n up to a few dozen.
// A block takes 32 rows and 32 outputs, a thread 4 x 2 of them; tiles of 32 terms come some stages ahead.
#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

constexpr int kRows = 32, kOutputs = 32, kTerms = 32, kThreads = 128, kStages = 4;
constexpr int kStride = kTerms + 4;  // 16 lanes' rows then lie in different banks

__device__ __forceinline__ void copy16(float* to, const float* from, bool there) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(to))),
      "l"(from), "r"(there ? 16 : 0)
      : "memory");
}

// Grid: n tiles x row tiles.
__global__ void __launch_bounds__(kThreads)
    thin_product_kernel(const float* x, const float* weight, float* out, int64_t rows, int64_t n, int64_t k) {
  __shared__ __align__(16) float tiles[kStages][(kRows + kOutputs) * kStride];
  const int64_t row0 = static_cast<int64_t>(blockIdx.y) * kRows, n0 = static_cast<int64_t>(blockIdx.x) * kOutputs;
  const int64_t steps = (k + kTerms - 1) / kTerms;
  auto load = [&](int64_t step) {
    if (step < steps) {
      float* tile = tiles[step % kStages];
      for (int piece = threadIdx.x; piece < (kRows + kOutputs) * kTerms / 4; piece += kThreads) {
        const int row = piece / (kTerms / 4);
        const int64_t term = step * kTerms + piece % (kTerms / 4) * 4;
        const bool is_x = row < kRows;
        const int64_t from = is_x ? row0 + row : n0 + row - kRows;
        const bool there = term < k && from < (is_x ? rows : n);
        copy16(tile + row * kStride + piece % (kTerms / 4) * 4, (is_x ? x : weight) + (there ? from * k + term : 0),
               there);
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  const int row = threadIdx.x / 16, column = threadIdx.x % 16;
  float sums[4][2] = {};
  for (int64_t step = 0; step < kStages - 1; ++step) load(step);
  for (int64_t step = 0; step < steps; ++step) {
    asm volatile("cp.async.wait_group %0;" ::"n"(kStages - 2) : "memory");
    __syncthreads();
    load(step + kStages - 1);
    const float* tile = tiles[step % kStages];
#pragma unroll
    for (int term = 0; term < kTerms; term += 4) {
      float4 w[2];
#pragma unroll
      for (int j = 0; j < 2; ++j)
        w[j] = *reinterpret_cast<const float4*>(tile + (kRows + column + 16 * j) * kStride + term);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float4 v = *reinterpret_cast<const float4*>(tile + (row + 8 * i) * kStride + term);
#pragma unroll
        for (int j = 0; j < 2; ++j)
          sums[i][j] = fmaf(v.w, w[j].w, fmaf(v.z, w[j].z, fmaf(v.y, w[j].y, fmaf(v.x, w[j].x, sums[i][j]))));
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 2; ++j)
      if (row0 + row + 8 * i < rows && n0 + column + 16 * j < n)
        out[(row0 + row + 8 * i) * n + n0 + column + 16 * j] = sums[i][j];
}

}  // namespace

Failure thin_product(const float* x, const float* weight, float* out, int64_t rows, int64_t n, int64_t k,
                     Stream stream) {
  if (rows == 0 || n == 0) return nullptr;
  if (k % 4 != 0) return "thin_product: k is no multiple of 4";
  const dim3 grid(static_cast<unsigned>((n + kOutputs - 1) / kOutputs),
                  static_cast<unsigned>((rows + kRows - 1) / kRows));
  if (grid.y > 65535) return "thin_product: more than 2 million rows";
  thin_product_kernel<<<grid, kThreads, 0, stream_of(stream)>>>(x, weight, out, rows, n, k);
  return launched();
}

}  // namespace minimax::cuda
