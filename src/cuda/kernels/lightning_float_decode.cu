// Lightning attention of one token of each of many sequences in float32: what rollouts of small models spend their time
// on. Bytes are the cost: a state and half a window for each head and token.
//
// A block has a head of a sequence. Its warps take the window's rows for the scores; then a thread has a channel of the
// output, and where head_dim is below 128 several share a channel and take keys and rows in turn.
#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/lightning_chunks.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

constexpr int kRows = kChunkRows, kThreads = 128, kWarps = kThreads / 32;
constexpr int kPiece = 16;  // rows of a window in shared memory at a time

/// At a chunk's last token: S <- lambda^64 S + sum over rows of lambda^(63 - row) k v^T.
template <int kDim>
__device__ void commit(float* state, const float* k_window, const float* v_window, const float* decay, bool is_first) {
  constexpr int kKeys = kDim * kDim / kThreads, kTile = kKeys < 32 ? kKeys : 32;
  __shared__ float k[kPiece][kDim], v[kPiece][kDim];
  const int channel = threadIdx.x % kDim, first_key = threadIdx.x / kDim * kKeys;
  for (int key0 = first_key; key0 < first_key + kKeys; key0 += kTile) {
    float sums[kTile] = {};
    for (int row0 = 0; row0 < kRows; row0 += kPiece) {
      __syncthreads();
      for (int i = threadIdx.x; i < kPiece * kDim; i += kThreads) {
        k[i / kDim][i % kDim] = k_window[row0 * kDim + i];
        v[i / kDim][i % kDim] = v_window[row0 * kDim + i];
      }
      __syncthreads();
#pragma unroll 4
      for (int row = 0; row < kPiece; ++row) {
        const float value = v[row][channel] * decay[kRows - 1 - row0 - row];
#pragma unroll
        for (int i = 0; i < kTile; ++i) sums[i] = fmaf(k[row][key0 + i], value, sums[i]);
      }
    }
#pragma unroll
    for (int i = 0; i < kTile; ++i) {
      float* at = state + (key0 + i) * kDim + channel;
      *at = decay_chunk(is_first ? 0.0f : *at, decay) + sums[i];
    }
  }
}

// Grid: heads x seqs.
template <int kDim>
__global__ void __launch_bounds__(kThreads) lightning_float_decode_kernel(const LightningFloatArgs args) {
  constexpr int kParts = kThreads / kDim;
  __shared__ float q[kDim], scores[kRows], decay[kRows + 2], sums[kThreads];
  const int64_t head = blockIdx.x, seq = blockIdx.y, token = args.cu_seqlens[seq];
  const int32_t position = args.positions[token];
  const int row = position % kRows, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t slot_head = args.slots[seq] * args.heads + head;
  float* state = args.state + slot_head * kDim * kDim;
  float *k_window = args.k_window + slot_head * kRows * kDim, *v_window = args.v_window + slot_head * kRows * kDim;
  const float* qkv = args.qkv + (token * args.heads + head) * 3 * kDim;
  const bool has_state = position >= kRows;

  if (threadIdx.x < kDim) {
    q[threadIdx.x] = qkv[threadIdx.x];
    k_window[row * kDim + threadIdx.x] = qkv[kDim + threadIdx.x];
    v_window[row * kDim + threadIdx.x] = qkv[2 * kDim + threadIdx.x];
  }
  if (threadIdx.x < kRows + 2) decay[threadIdx.x] = args.decay[head * (kRows + 2) + threadIdx.x];
  __syncthreads();

#pragma unroll 4
  for (int at = warp; at <= row; at += kWarps) {
    float dot = 0;
#pragma unroll
    for (int channel = 0; channel < kDim; channel += 32)
      dot = fmaf(q[channel + lane], k_window[at * kDim + channel + lane], dot);
    dot = warp_sum(dot);
    if (lane == 0) scores[at] = dot * decay[row - at];
  }
  const int channel = threadIdx.x % kDim, part = threadIdx.x / kDim;
  float sum = 0;
  if (has_state) {
#pragma unroll 8
    for (int key = part; key < kDim; key += kParts) sum = fmaf(q[key], state[key * kDim + channel], sum);
    sum *= decay[row + 1];
  }
  __syncthreads();
#pragma unroll 8
  for (int at = part; at <= row; at += kParts) sum = fmaf(scores[at], v_window[at * kDim + channel], sum);
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (part == 0) {
#pragma unroll
    for (int other = 1; other < kParts; ++other) sum += sums[other * kDim + channel];
    args.out[(token * args.heads + head) * kDim + channel] = sum;
  }
  if (row == kRows - 1) commit<kDim>(state, k_window, v_window, decay, !has_state);
}

}  // namespace

Failure lightning_float_decode(const LightningFloatArgs& args, Stream stream) {
  if (args.tokens == 0) return nullptr;
  if (args.tokens != args.seqs || !args.slots || args.seqs > 65535)
    return "lightning_float_decode: one token of each of at most 65,535 sequences with caches is expected";
  const dim3 grid(static_cast<unsigned>(args.heads), static_cast<unsigned>(args.seqs));
  switch (args.head_dim) {
    case 32:
      lightning_float_decode_kernel<32><<<grid, kThreads, 0, stream_of(stream)>>>(args);
      break;
    case 64:
      lightning_float_decode_kernel<64><<<grid, kThreads, 0, stream_of(stream)>>>(args);
      break;
    case 128:
      lightning_float_decode_kernel<128><<<grid, kThreads, 0, stream_of(stream)>>>(args);
      break;
    default:
      return "lightning_float_decode: head_dim is not 32, 64 or 128";
  }
  return launched();
}

}  // namespace minimax::cuda
