// AdamW and the global norm of gradients, with float32 masters and moments as on the CPU (train/adamw.cpp).
#include <cuda_bf16.h>

#include <algorithm>

#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1024;  // of a tensor: each thread goes on from there

struct Squares {
  const float* x[kOptimizerTensors];
  int64_t count[kOptimizerTensors];
};
struct Updates {
  AdamWArgs of[kOptimizerTensors];
};
static_assert(sizeof(Updates) <= 4000);  // a kernel's parameters

// Grid: kSquareParts x tensors; each block sums its own stretches in order.
__global__ void __launch_bounds__(kThreads)
    square_parts_kernel(const __grid_constant__ Squares squares, double* parts) {
  const float* x = squares.x[blockIdx.y];
  const int64_t count = squares.count[blockIdx.y];
  double sum = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += kSquareParts * kThreads)
    sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) parts[blockIdx.y * kSquareParts + blockIdx.x] = sum;
}
__global__ void add_square_parts_kernel(const double* parts, int64_t tensors, double* out) {
  double total = out[0];
  __syncthreads();
  for (int64_t tensor = 0; tensor < tensors; ++tensor) total += block_sum(parts[tensor * kSquareParts + threadIdx.x]);
  if (threadIdx.x == 0) out[0] = total;
}

// Grid: blocks x tensors. Products and quotients in float64, as on the CPU: moments reach 1e-36, where float32 has few
// bits left.
__global__ void __launch_bounds__(kThreads) adamw_kernel(const __grid_constant__ Updates updates) {
  const AdamWArgs& args = updates.of[blockIdx.y];
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < args.count;
       i += static_cast<int64_t>(gridDim.x) * kThreads) {
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
}

}  // namespace

Failure add_squares(const float* const* x, const int64_t* counts, int64_t tensors, double* parts, double* out,
                    Stream stream) {
  if (tensors == 0) return nullptr;
  if (tensors > kOptimizerTensors) return "add_squares: more than kOptimizerTensors tensors";
  Squares squares{};
  std::copy_n(x, tensors, squares.x);
  std::copy_n(counts, tensors, squares.count);
  square_parts_kernel<<<dim3(kSquareParts, static_cast<unsigned>(tensors)), kThreads, 0, stream_of(stream)>>>(squares,
                                                                                                              parts);
  add_square_parts_kernel<<<1, kSquareParts, 0, stream_of(stream)>>>(parts, tensors, out);
  return launched();
}

Failure adamw(const AdamWArgs* args, int64_t tensors, Stream stream) {
  if (tensors == 0) return nullptr;
  if (tensors > kOptimizerTensors) return "adamw: more than kOptimizerTensors tensors";
  Updates updates{};
  std::copy_n(args, tensors, updates.of);
  int64_t longest = 1;
  for (int64_t i = 0; i < tensors; ++i) longest = std::max(longest, args[i].count);
  const int64_t blocks = std::min((longest + kThreads - 1) / kThreads, kMostBlocks);
  adamw_kernel<<<dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(tensors)), kThreads, 0, stream_of(stream)>>>(
      updates);
  return launched();
}

}  // namespace minimax::cuda
