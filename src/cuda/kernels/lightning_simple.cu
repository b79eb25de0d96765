// Lightning attention the way it is defined, one token after another in float64: slow, and the check of the fast
// kernels. One block per head of a sequence, one thread per value channel; the state lies in shared memory.
#include <cuda_bf16.h>

#include "cuda/kernels/launch.cuh"

namespace minimax::cuda {
namespace {

constexpr int64_t kMaxHeadDim = 128;

/// lambda from lambda^kChunk, which the table has to twice float32's precision.
__device__ double lambda_of(const float* decay) {
  const double chunk = static_cast<double>(decay[kChunk]) + static_cast<double>(decay[kChunk + 1]);
  return chunk > 0 ? pow(chunk, 1.0 / kChunk) : static_cast<double>(decay[1]);
}

// Grid: heads x seqs blocks of head_dim threads.
__global__ void lightning_simple_kernel(const LightningArgs args) {
  extern __shared__ double s[];  // [head_dim (key), head_dim (value)]
  const int64_t head = blockIdx.x, seq = blockIdx.y, head_dim = args.head_dim, d = threadIdx.x;
  const int64_t first = args.cu_seqlens[seq], end = args.cu_seqlens[seq + 1];
  if (first == end) return;
  const int64_t start = args.positions[first];
  const double lambda = lambda_of(args.decay + head * (kChunk + 2));
  const int64_t slot_head = args.slots ? args.slots[seq] * args.heads + head : 0;
  float* state = args.slots ? args.state + slot_head * head_dim * head_dim : nullptr;

  for (int64_t key = 0; key < head_dim; ++key)
    s[key * head_dim + d] = state && start >= kChunk ? static_cast<double>(state[key * head_dim + d]) : 0;
  auto step = [&](const __nv_bfloat16* k, const __nv_bfloat16* v) {
    const double value = static_cast<double>(__bfloat162float(v[d]));
    for (int64_t key = 0; key < head_dim; ++key)
      s[key * head_dim + d] = lambda * s[key * head_dim + d] + static_cast<double>(__bfloat162float(k[key])) * value;
  };
  for (int64_t row = 0; row < start % kChunk; ++row) {
    const int64_t offset = (slot_head * kChunk + row) * head_dim;
    step(static_cast<const __nv_bfloat16*>(args.k_window) + offset,
         static_cast<const __nv_bfloat16*>(args.v_window) + offset);
  }
  for (int64_t token = first; token < end; ++token) {
    const __nv_bfloat16* q = static_cast<const __nv_bfloat16*>(args.qkv) + (token * args.heads + head) * 3 * head_dim;
    step(q + head_dim, q + 2 * head_dim);
    double out = 0;
    for (int64_t key = 0; key < head_dim; ++key)
      out += static_cast<double>(__bfloat162float(q[key])) * s[key * head_dim + d];
    const int64_t to = (token * args.heads + head) * head_dim + d;
    if (args.out_type == Type::kFloat32)
      static_cast<float*>(args.out)[to] = static_cast<float>(out);
    else
      static_cast<__nv_bfloat16*>(args.out)[to] = __double2bfloat16(out);
    if (state && (start + token - first + 1) % kChunk == 0)
      for (int64_t key = 0; key < head_dim; ++key)
        state[key * head_dim + d] = static_cast<float>(s[key * head_dim + d]);
  }
}

// Grid: heads x seqs blocks. Not part of the kernels above: another block of the same head may still read the window.
__global__ void keep_window_kernel(const LightningArgs args) {
  const int64_t head = blockIdx.x, seq = blockIdx.y, head_dim = args.head_dim;
  const int64_t first = args.cu_seqlens[seq], count = args.cu_seqlens[seq + 1] - first;
  if (count == 0) return;
  const int64_t start = args.positions[first], end = start + count;
  const int64_t chunk = end / kChunk * kChunk, kept = start > chunk ? start : chunk;
  const int64_t slot_head = args.slots[seq] * args.heads + head;
  for (int64_t item = threadIdx.x; item < (end - kept) * head_dim; item += blockDim.x) {
    const int64_t position = kept + item / head_dim, d = item % head_dim;
    const __nv_bfloat16* q =
        static_cast<const __nv_bfloat16*>(args.qkv) + ((first + position - start) * args.heads + head) * 3 * head_dim;
    const int64_t to = (slot_head * kChunk + position - chunk) * head_dim + d;
    static_cast<__nv_bfloat16*>(args.k_window)[to] = q[head_dim + d];
    static_cast<__nv_bfloat16*>(args.v_window)[to] = q[2 * head_dim + d];
  }
}

}  // namespace

Failure check_lightning(const LightningArgs& args) {
  if (args.tokens < 0 || args.seqs < 0 || args.heads < 1) return "lightning: negative tokens or seqs, or no heads";
  if (args.head_dim < 1 || args.head_dim > kMaxHeadDim || args.head_dim % 8 != 0)
    return "lightning: head_dim is not a multiple of 8 up to 128";
  const bool any = args.slots || args.state || args.k_window || args.v_window;
  if (any && !(args.slots && args.state && args.k_window && args.v_window))
    return "lightning: a cache needs slots, state, k_window and v_window";
  if (args.seqs > 65535 || args.tokens > INT32_MAX) return "lightning: more than 65,535 sequences or 2^31 tokens";
  return nullptr;
}

Failure lightning_keep_window(const LightningArgs& args, Stream stream) {
  const dim3 grid(static_cast<unsigned>(args.heads), static_cast<unsigned>(args.seqs));
  keep_window_kernel<<<grid, 256, 0, stream_of(stream)>>>(args);
  return launched();
}

Failure lightning_simple(const LightningArgs& args, Stream stream) {
  if (Failure wrong = check_lightning(args)) return wrong;
  if (args.tokens == 0 || args.seqs == 0) return nullptr;
  const int64_t shared_bytes = args.head_dim * args.head_dim * static_cast<int64_t>(sizeof(double));
  if (Failure wrong = failure(cudaFuncSetAttribute(lightning_simple_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   static_cast<int>(shared_bytes))))
    return wrong;
  const dim3 grid(static_cast<unsigned>(args.heads), static_cast<unsigned>(args.seqs));
  lightning_simple_kernel<<<grid, static_cast<unsigned>(args.head_dim), static_cast<size_t>(shared_bytes),
                            stream_of(stream)>>>(args);
  if (Failure wrong = launched()) return wrong;
  return args.slots ? lightning_keep_window(args, stream) : nullptr;
}

}  // namespace minimax::cuda
