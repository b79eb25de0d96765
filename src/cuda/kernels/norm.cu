// RMSNorm: one block a row, which is read twice, the second time from L1 or L2.
#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

constexpr int kThreads = 256;

/// 1 / sqrt(mean(x^2) + eps) of the block's row.
__device__ float inverse_rms(const float* x, int64_t hidden, float eps) {
  float squares = 0;
  for (int64_t i = threadIdx.x; i < hidden; i += kThreads) squares += x[i] * x[i];
  return rsqrtf(block_sum(squares) / static_cast<float>(hidden) + eps);
}

__global__ void __launch_bounds__(kThreads)
    rms_norm_kernel(const float* x, const float* weight, float eps, float* out, int64_t hidden) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * hidden;
  const float scale = inverse_rms(x + row, hidden, eps);
  for (int64_t i = threadIdx.x; i < hidden; i += kThreads) out[row + i] = x[row + i] * scale * weight[i];
}

/// Rows of a multiple of four numbers: float4 at a time.
__global__ void __launch_bounds__(kThreads)
    rms_norm_fours_kernel(const float4* x, const float4* weight, float eps, float4* out, int64_t fours) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * fours;
  float squares = 0;
  for (int64_t i = threadIdx.x; i < fours; i += kThreads) {
    const float4 v = x[row + i];
    squares += v.x * v.x + v.y * v.y + (v.z * v.z + v.w * v.w);
  }
  const float scale = rsqrtf(block_sum(squares) / static_cast<float>(4 * fours) + eps);
  for (int64_t i = threadIdx.x; i < fours; i += kThreads) {
    const float4 v = x[row + i], w = weight[i];
    out[row + i] = {v.x * scale * w.x, v.y * scale * w.y, v.z * scale * w.z, v.w * scale * w.w};
  }
}

/// With y_i = x_i s w_i and s = (mean(x^2) + eps)^-1/2:  dx_i = s (w_i dy_i - x_i s^2 mean(w dy x)).
__global__ void __launch_bounds__(kThreads)
    rms_norm_backward_kernel(const float* x, const float* weight, float eps, const float* dy, float* dx, float* scales,
                             int64_t hidden) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * hidden;
  const float scale = inverse_rms(x + row, hidden, eps);
  float dot = 0;
  for (int64_t i = threadIdx.x; i < hidden; i += kThreads) dot += weight[i] * dy[row + i] * x[row + i];
  const float shrink = block_sum(dot) / static_cast<float>(hidden) * scale * scale;
  for (int64_t i = threadIdx.x; i < hidden; i += kThreads)
    dx[row + i] = scale * (weight[i] * dy[row + i] - x[row + i] * shrink);
  if (threadIdx.x == 0) scales[blockIdx.x] = scale;
}

// Grid: columns / kThreads x kNormParts; block (.., part) sums rows part, part + kNormParts, ...
__global__ void weight_parts_kernel(const float* x, const float* dy, const float* scales, float* parts, int64_t rows,
                                    int64_t hidden) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (column >= hidden) return;
  float sum = 0;
  for (int64_t row = blockIdx.y; row < rows; row += kNormParts)
    sum += dy[row * hidden + column] * (x[row * hidden + column] * scales[row]);
  parts[blockIdx.y * hidden + column] = sum;
}
__global__ void add_parts_kernel(const float* parts, float* sum, int64_t hidden) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (column >= hidden) return;
  float total = 0;
  for (int64_t part = 0; part < kNormParts; ++part) total += parts[part * hidden + column];
  sum[column] += total;
}

}  // namespace

Failure rms_norm(const float* x, const float* weight, float eps, float* out, int64_t rows, int64_t hidden,
                 Stream stream) {
  if (rows == 0 || hidden == 0) return nullptr;
  const auto grid = static_cast<unsigned>(rows);
  if (hidden % 4 == 0)
    rms_norm_fours_kernel<<<grid, kThreads, 0, stream_of(stream)>>>(reinterpret_cast<const float4*>(x),
                                                                    reinterpret_cast<const float4*>(weight), eps,
                                                                    reinterpret_cast<float4*>(out), hidden / 4);
  else
    rms_norm_kernel<<<grid, kThreads, 0, stream_of(stream)>>>(x, weight, eps, out, hidden);
  return launched();
}

Failure rms_norm_backward(const float* x, const float* weight, float eps, const float* dy, float* dx,
                          float* dweight_sum, float* workspace, int64_t rows, int64_t hidden, Stream stream) {
  if (rows == 0 || hidden == 0) return nullptr;
  float* parts = workspace;
  float* scales = workspace + kNormParts * hidden;
  rms_norm_backward_kernel<<<static_cast<unsigned>(rows), kThreads, 0, stream_of(stream)>>>(x, weight, eps, dy, dx,
                                                                                            scales, hidden);
  const auto columns = static_cast<unsigned>((hidden + kThreads - 1) / kThreads);
  weight_parts_kernel<<<dim3(columns, kNormParts), kThreads, 0, stream_of(stream)>>>(x, dy, scales, parts, rows,
                                                                                     hidden);
  add_parts_kernel<<<columns, kThreads, 0, stream_of(stream)>>>(parts, dweight_sum, hidden);
  return launched();
}

}  // namespace minimax::cuda
