// Routing of a mixture's tokens and their order by expert, without a round trip to the host.
#include <cuda_bf16.h>

#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

constexpr int kThreads = 256;

// One warp a token; equal logits go to the lower index, as on the CPU.
__global__ void route_kernel(const float* logits, int32_t* chosen, float* weights, int64_t tokens, int64_t experts,
                             int64_t top_k) {
  const int64_t token = static_cast<int64_t>(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  if (token >= tokens) return;
  const int lane = threadIdx.x % 32;
  const float* row = logits + token * experts;
  float first = 0, sum = 0, last = INFINITY;
  int32_t last_expert = -1;
  for (int64_t rank = 0; rank < top_k; ++rank) {
    // The best of those that come after the last chosen one in the order of (logit falling, index rising).
    float best = -INFINITY;
    int32_t best_expert = INT32_MAX;
    for (int32_t e = lane; e < experts; e += 32) {
      const float value = row[e];
      const bool open = value < last || (value == last && e > last_expert);
      if (open && (value > best || (value == best && e < best_expert))) {
        best = value;
        best_expert = e;
      }
    }
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) {
      const float other = __shfl_xor_sync(0xffffffffu, best, lanes);
      const int32_t other_expert = __shfl_xor_sync(0xffffffffu, best_expert, lanes);
      if (other > best || (other == best && other_expert < best_expert)) {
        best = other;
        best_expert = other_expert;
      }
    }
    // NaN logits leave none: any expert will do, but each only once.
    if (best_expert == INT32_MAX) best_expert = static_cast<int32_t>(rank);
    if (rank == 0) first = best;
    const float weight = expf(best - first);
    sum += weight;
    if (lane == 0) {
      chosen[token * top_k + rank] = best_expert;
      weights[token * top_k + rank] = weight;
    }
    last = best;
    last_expert = best_expert;
  }
  if (lane == 0)
    for (int64_t rank = 0; rank < top_k; ++rank) weights[token * top_k + rank] /= sum;
}

// One thread a token.
__global__ void route_to_kernel(const float* logits, const int32_t* chosen, float* weights, int64_t tokens,
                                int64_t experts, int64_t top_k) {
  const int64_t token = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (token >= tokens) return;
  const auto logit = [&](int64_t rank) {
    const int64_t expert = chosen[token * top_k + rank];
    return expert >= 0 && expert < experts ? logits[token * experts + expert] : __int_as_float(0x7fffffff);
  };
  float largest = -INFINITY, sum = 0;
  for (int64_t rank = 0; rank < top_k; ++rank) largest = fmaxf(largest, logit(rank));
  for (int64_t rank = 0; rank < top_k; ++rank) sum += expf(logit(rank) - largest);
  for (int64_t rank = 0; rank < top_k; ++rank) weights[token * top_k + rank] = expf(logit(rank) - largest) / sum;
}

// One thread a token.
__global__ void count_flips_kernel(const int32_t* a, const int32_t* b, int32_t* count, int64_t tokens, int64_t top_k) {
  const int64_t token = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  bool flipped = false;
  for (int64_t i = 0; token < tokens && i < top_k; ++i) {
    bool found = false;
    for (int64_t j = 0; j < top_k; ++j) found = found || a[token * top_k + i] == b[token * top_k + j];
    flipped = flipped || !found;
  }
  const int flips = __syncthreads_count(flipped);
  if (threadIdx.x == 0) atomicAdd(count, flips);
}

// One block of kEntropyThreads: the sum is formed in one order.
constexpr int kEntropyThreads = 1024;
__global__ void __launch_bounds__(kEntropyThreads)
    add_entropy_kernel(const float* logits, double* sum, int64_t tokens, int64_t experts) {
  double mine = 0;
  for (int64_t token = threadIdx.x; token < tokens; token += kEntropyThreads) {
    const float* row = logits + token * experts;
    float largest = row[0], total = 0, mean = 0;
    for (int64_t e = 1; e < experts; ++e) largest = fmaxf(largest, row[e]);
    for (int64_t e = 0; e < experts; ++e) {
      const float weight = expf(row[e] - largest);
      total += weight;
      if (weight > 0) mean += weight * (row[e] - largest);
    }
    mine += static_cast<double>(logf(total) - mean / total);
  }
  mine = block_sum(mine);
  if (threadIdx.x == 0) sum[0] += mine;
}

// ops::route_backward, one thread a token.
__global__ void route_backward_kernel(const int32_t* chosen, const float* weights, const float* dweights,
                                      float* dlogits_sum, int64_t tokens, int64_t experts, int64_t top_k) {
  const int64_t token = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (token >= tokens) return;
  const float *w = weights + token * top_k, *dw = dweights + token * top_k;
  for (int64_t rank = 0; rank < top_k; ++rank) {
    float slope = 0;
    for (int64_t other = 0; other < top_k; ++other) slope += w[other] * (dw[rank] - dw[other]);
    dlogits_sum[token * experts + chosen[token * top_k + rank]] += w[rank] * slope;
  }
}

// Block (expert, part) sums softmax(logits)[expert] over tokens part, part + kBalanceParts, ...; one warp's lanes would
// do, but a thread a token is simpler.
__global__ void balance_parts_kernel(const float* logits, float* parts, int64_t tokens, int64_t experts) {
  const int64_t expert = blockIdx.x;
  double sum = 0;
  for (int64_t token = blockIdx.y * kThreads + threadIdx.x; token < tokens; token += kBalanceParts * kThreads) {
    const float* row = logits + token * experts;
    float largest = row[0];
    for (int64_t e = 1; e < experts; ++e) largest = fmaxf(largest, row[e]);
    float total = 0;
    for (int64_t e = 0; e < experts; ++e) total += expf(row[e] - largest);
    sum += static_cast<double>(expf(row[expert] - largest) / total);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) parts[blockIdx.y * experts + expert] = static_cast<float>(sum);
}
// One block.
__global__ void balance_kernel(const int32_t* chosen, const float* parts, float* loss, float* shares, int64_t tokens,
                               int64_t experts, int64_t top_k) {
  double total = 0;
  for (int64_t expert = 0; expert < experts; ++expert) {
    int64_t count = 0;
    for (int64_t pair = threadIdx.x; pair < tokens * top_k; pair += blockDim.x) count += chosen[pair] == expert;
    const double share = block_sum(static_cast<double>(count)) / static_cast<double>(tokens);
    double p = 0;
    for (int64_t part = 0; part < kBalanceParts; ++part) p += static_cast<double>(parts[part * experts + expert]);
    total += share * p;
    if (threadIdx.x == 0) shares[expert] = static_cast<float>(share);
  }
  if (threadIdx.x == 0)
    loss[0] = static_cast<float>(total * static_cast<double>(experts) / static_cast<double>(tokens));
}
// One thread a token.
__global__ void balance_backward_kernel(const float* logits, const float* shares, const float* dloss, float* dlogits,
                                        int64_t tokens, int64_t experts) {
  const int64_t token = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (token >= tokens) return;
  const float* row = logits + token * experts;
  float largest = row[0], total = 0, mean = 0;
  for (int64_t e = 1; e < experts; ++e) largest = fmaxf(largest, row[e]);
  for (int64_t e = 0; e < experts; ++e) {
    const float p = expf(row[e] - largest);
    total += p;
    mean += p * shares[e];
  }
  mean /= total;
  const float factor = dloss[0] * static_cast<float>(experts) / static_cast<float>(tokens);
  for (int64_t e = 0; e < experts; ++e)
    dlogits[token * experts + e] = factor * (expf(row[e] - largest) / total) * (shares[e] - mean);
}

// Block e counts the pairs of expert e into starts[e + 1].
__global__ void count_pairs_kernel(const int32_t* chosen, int64_t pairs, ExpertOrder order) {
  int count = 0;
  for (int64_t pair = threadIdx.x; pair < pairs; pair += kThreads)
    count += chosen[pair] == static_cast<int>(blockIdx.x);
  count = block_sum(count);
  if (threadIdx.x == 0) order.starts[blockIdx.x + 1] = count;
}
// One thread: counts become starts.
__global__ void start_groups_kernel(ExpertOrder order, int64_t experts, int64_t align) {
  int64_t start = 0;
  order.starts[0] = 0;
  for (int64_t e = 0; e < experts; ++e) {
    start = (start + order.starts[e + 1] + align - 1) / align * align;
    order.starts[e + 1] = static_cast<int32_t>(start);
  }
}
// Block e gives the pairs of expert e their rows, in order.
__global__ void place_pairs_kernel(const int32_t* chosen, int64_t pairs, ExpertOrder order) {
  __shared__ int warp_counts[kThreads / 32];
  const int expert = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int64_t next = order.starts[expert];
  for (int64_t first = 0; first < pairs; first += kThreads) {
    const int64_t pair = first + threadIdx.x;
    const bool mine = pair < pairs && chosen[pair] == expert;
    const unsigned mask = __ballot_sync(0xffffffffu, mine);
    if (lane == 0) warp_counts[warp] = __popc(mask);
    __syncthreads();
    int before = 0, all = 0;
    for (int w = 0; w < kThreads / 32; ++w) {
      if (w < warp) before += warp_counts[w];
      all += warp_counts[w];
    }
    if (mine) {
      const int64_t row = next + before + __popc(mask & ((1u << lane) - 1));
      order.row_of[pair] = static_cast<int32_t>(row);
      order.pair_of[row] = static_cast<int32_t>(pair);
    }
    next += all;
    __syncthreads();
  }
  for (int64_t row = next + threadIdx.x; row < order.starts[expert + 1]; row += kThreads) order.pair_of[row] = -1;
}

// Grid: capacity rows.
template <typename T>
__global__ void gather_pairs_kernel(const float* x, ExpertOrder order, int64_t experts, int64_t top_k,
                                    const float* scale, T* out, int64_t hidden) {
  const int64_t row = blockIdx.x;
  if (row >= order.starts[experts]) return;
  const int64_t pair = order.pair_of[row];
  const float factor = pair < 0 ? 0.0f : scale ? scale[pair] : 1.0f;
  const float* from = x + (pair < 0 ? 0 : pair / top_k) * hidden;
  T* to = out + row * hidden;
  if (hidden % 4 == 0) {
    for (int64_t i = 4 * threadIdx.x; i < hidden; i += 4 * kThreads) {
      float4 v = pair < 0 ? float4{0, 0, 0, 0} : *reinterpret_cast<const float4*>(from + i);
      if (scale) v = {v.x * factor, v.y * factor, v.z * factor, v.w * factor};
      store4(to, i, 4, v);
    }
  } else {
    for (int64_t i = threadIdx.x; i < hidden; i += kThreads) put(to + i, pair < 0 ? 0.0f : factor * from[i]);
  }
}

// One block a token.
__global__ void combine_pairs_kernel(const float* rows, const int32_t* row_of, const float* weights, float* out,
                                     int64_t top_k, int64_t hidden) {
  const int64_t token = blockIdx.x;
  for (int64_t i = threadIdx.x; i < hidden; i += kThreads) {
    float sum = 0;
    for (int64_t pair = token * top_k; pair < (token + 1) * top_k; ++pair)
      sum += (weights ? weights[pair] : 1.0f) * rows[row_of[pair] * hidden + i];
    out[token * hidden + i] = sum;
  }
}
// One block a pair.
__global__ void pair_dots_kernel(const float* dout, const float* rows, const int32_t* row_of, float* dweights,
                                 int64_t top_k, int64_t hidden) {
  const int64_t pair = blockIdx.x;
  const float *a = dout + pair / top_k * hidden, *b = rows + row_of[pair] * hidden;
  double dot = 0;
  for (int64_t i = threadIdx.x; i < hidden; i += kThreads) dot += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  dot = block_sum(dot);
  if (threadIdx.x == 0) dweights[pair] = static_cast<float>(dot);
}

unsigned blocks_for(int64_t items, int64_t each) {
  return static_cast<unsigned>((items + each - 1) / each);
}

}  // namespace

Failure route(const float* logits, int32_t* chosen, float* weights, int64_t tokens, int64_t experts, int64_t top_k,
              Stream stream) {
  if (tokens == 0) return nullptr;
  route_kernel<<<blocks_for(tokens, kThreads / 32), kThreads, 0, stream_of(stream)>>>(logits, chosen, weights, tokens,
                                                                                      experts, top_k);
  return launched();
}
Failure route_to(const float* logits, const int32_t* chosen, float* weights, int64_t tokens, int64_t experts,
                 int64_t top_k, Stream stream) {
  if (tokens == 0) return nullptr;
  route_to_kernel<<<blocks_for(tokens, kThreads), kThreads, 0, stream_of(stream)>>>(logits, chosen, weights, tokens,
                                                                                    experts, top_k);
  return launched();
}
Failure add_entropy(const float* logits, double* sum, int64_t tokens, int64_t experts, Stream stream) {
  if (tokens == 0) return nullptr;
  add_entropy_kernel<<<1, kEntropyThreads, 0, stream_of(stream)>>>(logits, sum, tokens, experts);
  return launched();
}

Failure count_flips(const int32_t* a, const int32_t* b, int32_t* count, int64_t tokens, int64_t top_k, Stream stream) {
  if (tokens == 0) return nullptr;
  count_flips_kernel<<<static_cast<unsigned>((tokens + kThreads - 1) / kThreads), kThreads, 0, stream_of(stream)>>>(
      a, b, count, tokens, top_k);
  return launched();
}

Failure route_backward(const int32_t* chosen, const float* weights, const float* dweights, float* dlogits_sum,
                       int64_t tokens, int64_t experts, int64_t top_k, Stream stream) {
  if (tokens == 0) return nullptr;
  route_backward_kernel<<<blocks_for(tokens, kThreads), kThreads, 0, stream_of(stream)>>>(
      chosen, weights, dweights, dlogits_sum, tokens, experts, top_k);
  return launched();
}

Failure balance(const float* logits, const int32_t* chosen, float* loss, float* shares, float* workspace,
                int64_t tokens, int64_t experts, int64_t top_k, Stream stream) {
  balance_parts_kernel<<<dim3(static_cast<unsigned>(experts), kBalanceParts), kThreads, 0, stream_of(stream)>>>(
      logits, workspace, tokens, experts);
  balance_kernel<<<1, 1024, 0, stream_of(stream)>>>(chosen, workspace, loss, shares, tokens, experts, top_k);
  return launched();
}
Failure balance_backward(const float* logits, const float* shares, const float* dloss, float* dlogits, int64_t tokens,
                         int64_t experts, Stream stream) {
  if (tokens == 0) return nullptr;
  balance_backward_kernel<<<blocks_for(tokens, kThreads), kThreads, 0, stream_of(stream)>>>(logits, shares, dloss,
                                                                                            dlogits, tokens, experts);
  return launched();
}

Failure expert_order(const int32_t* chosen, int64_t pairs, int64_t experts, int64_t align, const ExpertOrder& order,
                     Stream stream) {
  const auto blocks = static_cast<unsigned>(experts);
  count_pairs_kernel<<<blocks, kThreads, 0, stream_of(stream)>>>(chosen, pairs, order);
  start_groups_kernel<<<1, 1, 0, stream_of(stream)>>>(order, experts, align);
  place_pairs_kernel<<<blocks, kThreads, 0, stream_of(stream)>>>(chosen, pairs, order);
  return launched();
}

Failure gather_pairs(const float* x, const ExpertOrder& order, int64_t experts, int64_t top_k, const float* scale,
                     void* out, Type type, int64_t hidden, Stream stream) {
  if (order.capacity == 0) return nullptr;
  return with_type(type, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    gather_pairs_kernel<<<static_cast<unsigned>(order.capacity), kThreads, 0, stream_of(stream)>>>(
        x, order, experts, top_k, scale, static_cast<T*>(out), hidden);
    return launched();
  });
}

Failure combine_pairs(const float* rows, const int32_t* row_of, const float* weights, float* out, int64_t tokens,
                      int64_t top_k, int64_t hidden, Stream stream) {
  if (tokens == 0) return nullptr;
  combine_pairs_kernel<<<static_cast<unsigned>(tokens), kThreads, 0, stream_of(stream)>>>(rows, row_of, weights, out,
                                                                                          top_k, hidden);
  return launched();
}
Failure pair_dots(const float* dout, const float* rows, const int32_t* row_of, float* dweights, int64_t pairs,
                  int64_t top_k, int64_t hidden, Stream stream) {
  if (pairs == 0) return nullptr;
  pair_dots_kernel<<<static_cast<unsigned>(pairs), kThreads, 0, stream_of(stream)>>>(dout, rows, row_of, dweights,
                                                                                     top_k, hidden);
  return launched();
}

}  // namespace minimax::cuda
