// Lightning attention of one token of each of many sequences: o = lambda^(r+1) q S + sum of lambda^(r-j) (q . k_j) v_j.
//
// Reads the state once and writes it only where the token is a chunk's last (docs/design.md, P3). One block per head of
// a sequence; each warp takes 32 of the state's 128 key rows (512 bytes each, a warp's one load), each half-warp every
// eighth row of the window. Float32 throughout; partial sums are added in one order.
//
// Memory bound: per head 64 KiB of state, 256 bytes for each k and v row of the window.
#include <cuda_bf16.h>

#include "cuda/kernels/launch.cuh"

namespace minimax::cuda {
namespace {

constexpr int kHeadDim = 128;
constexpr int kThreads = 128, kWarps = kThreads / 32;
constexpr int kWarpKeys = kHeadDim / kWarps;
constexpr int kInFlight = 16;  // state rows a thread has under way: 32 KiB a block
constexpr int kRows = static_cast<int>(kChunk);

__device__ __forceinline__ void widen(uint4 packed, float (&out)[8]) {
  const uint32_t words[4] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    out[2 * i] = __uint_as_float(words[i] << 16);
    out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
}

__device__ __forceinline__ float4 fused(float a, float4 x, float4 sum) {
  return {fmaf(a, x.x, sum.x), fmaf(a, x.y, sum.y), fmaf(a, x.z, sum.z), fmaf(a, x.w, sum.w)};
}

/// S <- lambda^c S + sum over j of (lambda^(c-1-j) k_j)^T v_j, a warp's keys, four at a time.
__device__ void commit(float4* state, const __nv_bfloat16* k_window, const __nv_bfloat16* v_window, const float* decay,
                       bool first_chunk) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const float high = decay[kRows], low = decay[kRows + 1];
  for (int key = warp * kWarpKeys; key < (warp + 1) * kWarpKeys; key += 4) {
    float4 sums[4] = {};
#pragma unroll 4
    for (int row = 0; row < kRows; ++row) {
      const uint2 k = *reinterpret_cast<const uint2*>(k_window + row * kHeadDim + key);
      const uint2 v = *reinterpret_cast<const uint2*>(v_window + row * kHeadDim + lane * 4);
      const float weight = decay[kRows - 1 - row];
      const float4 values = {__uint_as_float(v.x << 16), __uint_as_float(v.x & 0xffff0000u), __uint_as_float(v.y << 16),
                             __uint_as_float(v.y & 0xffff0000u)};
      sums[0] = fused(__uint_as_float(k.x << 16) * weight, values, sums[0]);
      sums[1] = fused(__uint_as_float(k.x & 0xffff0000u) * weight, values, sums[1]);
      sums[2] = fused(__uint_as_float(k.y << 16) * weight, values, sums[2]);
      sums[3] = fused(__uint_as_float(k.y & 0xffff0000u) * weight, values, sums[3]);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float4* to = state + (key + i) * (kHeadDim / 4) + lane;
      *to = first_chunk ? sums[i] : fused(high, *to, fused(low, *to, sums[i]));
    }
  }
}

// Grid: heads x seqs.
__global__ void __launch_bounds__(kThreads) lightning_decode_kernel(const LightningArgs args) {
  __shared__ float q_row[kHeadDim], decay[kRows + 2];
  __shared__ float4 state_sums[kWarps][kHeadDim / 4];
  __shared__ float window_sums[2 * kWarps][kHeadDim];
  const int64_t head = blockIdx.x, seq = blockIdx.y;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, half_lane = lane % 16;
  const int32_t position = args.positions[seq];
  const int row = position % kRows;
  const int64_t slot_head = args.slots[seq] * args.heads + head;
  float4* state = reinterpret_cast<float4*>(args.state + slot_head * kHeadDim * kHeadDim);
  __nv_bfloat16* k_window = static_cast<__nv_bfloat16*>(args.k_window) + slot_head * kRows * kHeadDim;
  __nv_bfloat16* v_window = static_cast<__nv_bfloat16*>(args.v_window) + slot_head * kRows * kHeadDim;
  const __nv_bfloat16* q = static_cast<const __nv_bfloat16*>(args.qkv) + (seq * args.heads + head) * 3 * kHeadDim;
  const bool has_state = position >= kRows;

  const float4* mine = state + warp * kWarpKeys * (kHeadDim / 4) + lane;
  float4 loaded[kInFlight] = {};
  if (has_state)
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) loaded[i] = __ldcs(mine + i * (kHeadDim / 4));
  q_row[threadIdx.x] = __bfloat162float(q[threadIdx.x]);
  if (threadIdx.x < kRows + 2) decay[threadIdx.x] = args.decay[head * (kRows + 2) + threadIdx.x];
  if (threadIdx.x < 32) {  // this token's k and v join the window
    const uint4* from = reinterpret_cast<const uint4*>(q + kHeadDim) + lane;
    *(reinterpret_cast<uint4*>((lane < 16 ? k_window : v_window) + row * kHeadDim) + half_lane) = *from;
  }
  __syncthreads();

  float4 sum = {};
  if (has_state)
#pragma unroll
    for (int first = 0; first < kWarpKeys; first += kInFlight) {
#pragma unroll
      for (int i = 0; i < kInFlight; ++i) sum = fused(q_row[warp * kWarpKeys + first + i], loaded[i], sum);
      if (first + kInFlight < kWarpKeys)
#pragma unroll
        for (int i = 0; i < kInFlight; ++i) loaded[i] = __ldcs(mine + (first + kInFlight + i) * (kHeadDim / 4));
    }
  state_sums[warp][lane] = sum;

  // Half-warp h takes rows h, h + 8, ...; its lanes hold 8 channels each. The token's own row is read where it came
  // from.
  float query[8], total[8] = {};
#pragma unroll
  for (int i = 0; i < 8; ++i) query[i] = q_row[half_lane * 8 + i];
  const int half_warp = threadIdx.x / 16;
#pragma unroll 4
  for (int first = 0; first <= row; first += 2 * kWarps) {
    const int at = first + half_warp;
    const bool seen = at <= row;
    const __nv_bfloat16* k = at < row ? k_window + at * kHeadDim : q + kHeadDim;
    const __nv_bfloat16* v = at < row ? v_window + at * kHeadDim : q + 2 * kHeadDim;
    float keys[8], values[8];
    widen(*(reinterpret_cast<const uint4*>(k) + half_lane), keys);
    widen(*(reinterpret_cast<const uint4*>(v) + half_lane), values);
    float score = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) score = fmaf(query[i], keys[i], score);
#pragma unroll
    for (int distance = 8; distance > 0; distance /= 2) score += __shfl_xor_sync(~0u, score, distance);
    if (seen) {
      score *= decay[row - at];
#pragma unroll
      for (int i = 0; i < 8; ++i) total[i] = fmaf(score, values[i], total[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) window_sums[half_warp][half_lane * 8 + i] = total[i];
  __syncthreads();

  const int channel = threadIdx.x;
  float out = 0;
#pragma unroll
  for (int i = 0; i < kWarps; ++i) out += reinterpret_cast<const float*>(state_sums[i])[channel];
  out *= decay[row + 1];
#pragma unroll
  for (int i = 0; i < 2 * kWarps; ++i) out += window_sums[i][channel];
  const int64_t to = (seq * args.heads + head) * kHeadDim + channel;
  if (args.out_type == Type::kFloat32)
    static_cast<float*>(args.out)[to] = out;
  else
    static_cast<__nv_bfloat16*>(args.out)[to] = __float2bfloat16(out);

  if (row == kRows - 1) commit(state, k_window, v_window, decay, !has_state);
}

}  // namespace

Failure lightning_decode(const LightningArgs& args, Stream stream) {
  if (Failure wrong = check_lightning(args)) return wrong;
  if (args.tokens != args.seqs) return "lightning_decode: one token of each sequence is expected";
  if (!args.slots) return "lightning_decode: a cache is required";
  if (args.head_dim != kHeadDim) return "lightning_decode: head_dim is not 128";
  if (args.seqs == 0) return nullptr;
  const dim3 grid(static_cast<unsigned>(args.heads), static_cast<unsigned>(args.seqs));
  lightning_decode_kernel<<<grid, kThreads, 0, stream_of(stream)>>>(args);
  return launched();
}

}  // namespace minimax::cuda
