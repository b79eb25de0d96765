// Rows picked by index, rotary embedding, log-probabilities of rows of logits.
#include <cuda_bf16.h>

#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

constexpr int kThreads = 256;

// One block an index.
template <typename T>
__global__ void take_rows_kernel(const T* table, int64_t table_rows, const int32_t* indices, float* out,
                                 int64_t width) {
  const int64_t index = indices[blockIdx.x], to = static_cast<int64_t>(blockIdx.x) * width;
  const bool there = index >= 0 && index < table_rows;
  for (int64_t i = threadIdx.x; i < width; i += kThreads)
    out[to + i] = there ? number(table[index * width + i]) : __int_as_float(0x7fffffff);
}

// One block an index; the first block of each index adds all rows of it, in order, the others have nothing to do.
__global__ void add_rows_kernel(const float* rows, const int32_t* indices, float* sum, int64_t count, int64_t width) {
  const int32_t index = indices[blockIdx.x];
  bool earlier = false;
  for (int64_t other = threadIdx.x; other < blockIdx.x && !earlier; other += kThreads)
    earlier = indices[other] == index;
  if (__syncthreads_or(earlier)) return;
  __shared__ int32_t found[kThreads];
  __shared__ int32_t warp_counts[kThreads / 32];
  float* to = sum + static_cast<int64_t>(index) * width;
  for (int64_t first = blockIdx.x; first < count; first += kThreads) {
    // The matches of this stretch, in order.
    const int64_t other = first + threadIdx.x;
    const bool same = other < count && indices[other] == index;
    const unsigned mask = __ballot_sync(0xffffffffu, same);
    if (threadIdx.x % 32 == 0) warp_counts[threadIdx.x / 32] = __popc(mask);
    __syncthreads();
    int before = 0, all = 0;
    for (int warp = 0; warp < kThreads / 32; ++warp) {
      if (warp < static_cast<int>(threadIdx.x) / 32) before += warp_counts[warp];
      all += warp_counts[warp];
    }
    if (same) found[before + __popc(mask & ((1u << threadIdx.x % 32) - 1))] = static_cast<int32_t>(other);
    __syncthreads();
    for (int64_t i = threadIdx.x; all && i < width; i += kThreads) {
      float total = to[i];
      for (int match = 0; match < all; ++match) total += rows[found[match] * width + i];
      to[i] = total;
    }
    __syncthreads();
  }
}

__global__ void rotary_table_kernel(const int32_t* positions, const RotaryFrequencies frequencies, float* table,
                                    int64_t tokens, int64_t pairs) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= tokens * pairs) return;
  const int64_t token = at / pairs, pair = at % pairs;
  // The published float32 product; its cosine is exact (cpu/elementwise.cpp).
  const double angle = static_cast<double>(__fmul_rn(static_cast<float>(positions[token]), frequencies.inverse[pair]));
  table[token * 2 * pairs + pair] = static_cast<float>(cos(angle));
  table[(token * 2 + 1) * pairs + pair] = static_cast<float>(sin(angle));
}

__global__ void rotate_kernel(const float* x, const float* table, float* out, int64_t tokens, int64_t heads,
                              int64_t head_dim, int64_t pairs, float direction) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= tokens * heads * head_dim) return;
  const int64_t channel = at % head_dim, token = at / (heads * head_dim);
  if (channel >= 2 * pairs) {
    out[at] = x[at];
    return;
  }
  const int64_t pair = channel % pairs;
  const float cosine = table[token * 2 * pairs + pair], sine = direction * table[(token * 2 + 1) * pairs + pair];
  out[at] = channel < pairs ? x[at] * cosine - x[at + pairs] * sine : x[at] * cosine + x[at - pairs] * sine;
}

// One block a row.
__global__ void log_probs_kernel(const float* logits, const int32_t* targets, float* out, float* log_sums,
                                 int64_t vocab) {
  const float* row = logits + static_cast<int64_t>(blockIdx.x) * vocab;
  float largest = -INFINITY;
  for (int64_t i = threadIdx.x; i < vocab; i += blockDim.x) largest = fmaxf(largest, row[i]);
  largest = block_max(largest);
  double sum = 0;
  for (int64_t i = threadIdx.x; i < vocab; i += blockDim.x) sum += static_cast<double>(expf(row[i] - largest));
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    const double log_sum = static_cast<double>(largest) + log(sum);
    log_sums[blockIdx.x] = static_cast<float>(log_sum);
    out[blockIdx.x] = static_cast<float>(static_cast<double>(row[targets[blockIdx.x]]) - log_sum);
  }
}

// Grid: rows x pieces of 1024 ids.
template <typename T>
__global__ void log_probs_backward_kernel(const float* logits, const int32_t* targets, const float* log_sums,
                                          const float* dy, T* out, int64_t vocab) {
  const int64_t row = blockIdx.x, target = targets[row];
  const float log_sum = log_sums[row], factor = dy[row];
  for (int64_t i = blockIdx.y * 1024 + threadIdx.x; i < min(vocab, (blockIdx.y + 1) * int64_t{1024}); i += kThreads) {
    const float p = expf(logits[row * vocab + i] - log_sum);
    put(out + row * vocab + i, factor * ((i == target ? 1.0f : 0.0f) - p));
  }
}

}  // namespace

Failure take_rows(const void* table, Type type, int64_t table_rows, const int32_t* indices, float* out, int64_t count,
                  int64_t width, Stream stream) {
  if (count == 0) return nullptr;
  return with_type(type, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    take_rows_kernel<<<static_cast<unsigned>(count), kThreads, 0, stream_of(stream)>>>(static_cast<const T*>(table),
                                                                                       table_rows, indices, out, width);
    return launched();
  });
}

Failure add_rows(const float* rows, const int32_t* indices, float* sum, int64_t count, int64_t width, Stream stream) {
  if (count == 0) return nullptr;
  add_rows_kernel<<<static_cast<unsigned>(count), kThreads, 0, stream_of(stream)>>>(rows, indices, sum, count, width);
  return launched();
}

Failure rotary_table(const int32_t* positions, const RotaryFrequencies& frequencies, float* table, int64_t tokens,
                     int64_t pairs, Stream stream) {
  if (tokens * pairs == 0) return nullptr;
  rotary_table_kernel<<<static_cast<unsigned>((tokens * pairs + 127) / 128), 128, 0, stream_of(stream)>>>(
      positions, frequencies, table, tokens, pairs);
  return launched();
}

Failure rotate(const float* x, const float* table, float* out, int64_t tokens, int64_t heads, int64_t head_dim,
               int64_t pairs, float direction, Stream stream) {
  const int64_t count = tokens * heads * head_dim;
  if (count == 0) return nullptr;
  rotate_kernel<<<static_cast<unsigned>((count + kThreads - 1) / kThreads), kThreads, 0, stream_of(stream)>>>(
      x, table, out, tokens, heads, head_dim, pairs, direction);
  return launched();
}

Failure log_probs(const float* logits, const int32_t* targets, float* out, float* log_sums, int64_t rows, int64_t vocab,
                  Stream stream) {
  if (rows == 0) return nullptr;
  log_probs_kernel<<<static_cast<unsigned>(rows), 512, 0, stream_of(stream)>>>(logits, targets, out, log_sums, vocab);
  return launched();
}

Failure log_probs_backward(const float* logits, const int32_t* targets, const float* log_sums, const float* dy,
                           void* out, Type type, int64_t rows, int64_t vocab, Stream stream) {
  if (rows == 0) return nullptr;
  const dim3 grid(static_cast<unsigned>(rows), static_cast<unsigned>((vocab + 1023) / 1024));
  return with_type(type, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    log_probs_backward_kernel<<<grid, kThreads, 0, stream_of(stream)>>>(logits, targets, log_sums, dy,
                                                                        static_cast<T*>(out), vocab);
    return launched();
  });
}

}  // namespace minimax::cuda
