// AdamW and the global norm of gradients, with float32 masters and moments as on the CPU (train/adamw.cpp).
#include <cuda_bf16.h>

#include <algorithm>

#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

constexpr int kThreads = 256;

// Grid: kSquareParts blocks; each sums its own stretches in order.
__global__ void square_parts_kernel(const float* x, int64_t count, double* parts) {
  double sum = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += kSquareParts * kThreads)
    sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
__global__ void add_square_parts_kernel(const double* parts, double* out) {
  const double sum = block_sum(parts[threadIdx.x]);
  if (threadIdx.x == 0) out[0] += sum;
}

// Products and quotients in float64, as on the CPU: moments reach 1e-36, where float32 has few bits left.
__global__ void adamw_kernel(const AdamWArgs args) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= args.count) return;
  const double g = args.gradient ? args.scale * static_cast<double>(args.gradient[i]) : 0.0;
  const float m = static_cast<float>(args.beta1 * static_cast<double>(args.m[i]) + (1 - args.beta1) * g);
  const float v = static_cast<float>(args.beta2 * static_cast<double>(args.v[i]) + (1 - args.beta2) * g * g);
  const double direction =
      static_cast<double>(m) * args.correction1 / (sqrt(static_cast<double>(v) * args.correction2) + args.eps);
  const double before = static_cast<double>(args.master[i]);
  const float w = static_cast<float>(before - args.rate * (direction + args.decay * before));
  args.m[i] = m;
  args.v[i] = v;
  args.master[i] = w;
  if (args.working) static_cast<__nv_bfloat16*>(args.working)[i] = __float2bfloat16(w);
}

}  // namespace

Failure add_squares(const float* x, int64_t count, double* parts, double* out, Stream stream) {
  square_parts_kernel<<<kSquareParts, kThreads, 0, stream_of(stream)>>>(x, count, parts);
  add_square_parts_kernel<<<1, kSquareParts, 0, stream_of(stream)>>>(parts, out);
  return launched();
}

Failure adamw(const AdamWArgs& args, Stream stream) {
  if (args.count == 0) return nullptr;
  adamw_kernel<<<static_cast<unsigned>((args.count + kThreads - 1) / kThreads), kThreads, 0, stream_of(stream)>>>(args);
  return launched();
}

}  // namespace minimax::cuda
