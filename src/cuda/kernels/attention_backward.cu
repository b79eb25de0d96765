// Gradient of causal grouped-query attention over packed sequences from position 0. With P = softmax(scale Q K^T):
//   D_i = dO_i . O_i;  dP = dO V^T;  dS = P * (dP - D);  dQ = scale dS K;  dK = scale dS^T Q;  dV = P^T dO
// Scores are computed again from the rows' log-sums. Two kernels, one that owns queries and one that owns keys, so that
// nobody else adds to a block's sums: no atomics, one order. On tensor cores (m16n8k16) operands are rounded to
// bfloat16, P and dS too; the exact kernels compute in float32, one warp a row.
#include <cuda_bf16.h>

#include <cmath>

#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"
#include "cuda/kernels/mma_tiles.cuh"

namespace minimax::cuda {
namespace {

constexpr float kLog2E = 1.44269504088896340736f;

// One warp a row.
__global__ void dots_kernel(const float* out, const float* dout, float* dots, int64_t rows, int64_t head_dim) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * 8 + threadIdx.x / 32;
  if (row >= rows) return;
  float sum = 0;
  for (int64_t d = threadIdx.x % 32; d < head_dim; d += 32)
    sum = fmaf(out[row * head_dim + d], dout[row * head_dim + d], sum);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) dots[row] = sum;
}

template <int kDim>
constexpr int kSharedBytes = 4 * SharedTile<kDim>::kRowBytes * kTile + 2 * kTile * static_cast<int>(sizeof(float));

// Grid: query tiles (last first) x heads x seqs. dQ of 64 queries.
template <int kDim>
__global__ void __launch_bounds__(kTileThreads) dq_kernel(const AttentionBackwardArgs args) {
  extern __shared__ __align__(16) unsigned char shared[];
  const auto tile_at = [&](int i) {
    return SharedTile<kDim>{reinterpret_cast<__nv_bfloat16*>(shared + i * SharedTile<kDim>::kRowBytes * kTile)};
  };
  const SharedTile<kDim> q = tile_at(0), o = tile_at(1), k = tile_at(2), v = tile_at(3);
  const int64_t seq = blockIdx.z, head = blockIdx.y, kv_head = head / (args.heads / args.kv_heads);
  const int64_t begin = args.cu_seqlens[seq], count = args.cu_seqlens[seq + 1] - begin;
  const int64_t row0 = static_cast<int64_t>(gridDim.x - 1 - blockIdx.x) * kTile;
  if (row0 >= count) return;
  const int64_t q_stride = args.heads * kDim, kv_stride = args.kv_heads * kDim;
  const int64_t q_place = begin * q_stride + head * kDim, kv_place = begin * kv_stride + kv_head * kDim;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  load_tile(q, args.q + q_place, q_stride, row0, count);
  load_tile(o, args.dout + q_place, q_stride, row0, count);
  float log_sum[2], dot[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t row = min(row0 + warp * 16 + lane / 4 + half * 8, count - 1);
    log_sum[half] = args.log_sums[(begin + row) * args.heads + head] * kLog2E;
    dot[half] = args.dots[(begin + row) * args.heads + head];
  }
  float dq[kDim / 8][4] = {};
  for (int64_t key0 = 0; key0 <= row0; key0 += kTile) {
    __syncthreads();
    load_tile(k, args.k + kv_place, kv_stride, key0, count);
    load_tile(v, args.v + kv_place, kv_stride, key0, count);
    __syncthreads();
    float scores[kTile / 8][4], dscores[kTile / 8][4];
    row_products(q, warp * 16, k, scores);
    row_products(o, warp * 16, v, dscores);
#pragma unroll
    for (int tile = 0; tile < kTile / 8; ++tile)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int64_t key = key0 + tile * 8 + lane % 4 * 2 + i % 2, row = row0 + warp * 16 + lane / 4 + i / 2 * 8;
        const float p = key <= row ? exp2f(scores[tile][i] * (args.scale * kLog2E) - log_sum[i / 2]) : 0.0f;
        dscores[tile][i] = p * (dscores[tile][i] - dot[i / 2]);
      }
    add_weighted_rows(dscores, k, dq);
  }
  store_rows<kDim>(dq, args.scale, args.dq + q_place, q_stride, row0, count);
}

// Grid: key tiles x kv heads x seqs. dK and dV of 64 keys, over the queries of all heads of the group.
template <int kDim>
__global__ void __launch_bounds__(kTileThreads) dkv_kernel(const AttentionBackwardArgs args) {
  extern __shared__ __align__(16) unsigned char shared[];
  const auto tile_at = [&](int i) {
    return SharedTile<kDim>{reinterpret_cast<__nv_bfloat16*>(shared + i * SharedTile<kDim>::kRowBytes * kTile)};
  };
  const SharedTile<kDim> q = tile_at(0), o = tile_at(1), k = tile_at(2), v = tile_at(3);
  float* log_sums = reinterpret_cast<float*>(shared + 4 * SharedTile<kDim>::kRowBytes * kTile);
  float* dots = log_sums + kTile;
  const int64_t seq = blockIdx.z, kv_head = blockIdx.y, group = args.heads / args.kv_heads;
  const int64_t begin = args.cu_seqlens[seq], count = args.cu_seqlens[seq + 1] - begin;
  const int64_t key0 = static_cast<int64_t>(blockIdx.x) * kTile;
  if (key0 >= count) return;
  const int64_t q_stride = args.heads * kDim, kv_stride = args.kv_heads * kDim;
  const int64_t kv_place = begin * kv_stride + kv_head * kDim;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  load_tile(k, args.k + kv_place, kv_stride, key0, count);
  load_tile(v, args.v + kv_place, kv_stride, key0, count);
  float dk[kDim / 8][4] = {}, dv[kDim / 8][4] = {};
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const int64_t q_place = begin * q_stride + head * kDim;
    for (int64_t row0 = key0; row0 < count; row0 += kTile) {
      __syncthreads();
      load_tile(q, args.q + q_place, q_stride, row0, count);
      load_tile(o, args.dout + q_place, q_stride, row0, count);
      for (int row = threadIdx.x; row < kTile; row += kTileThreads) {
        const int64_t at = (begin + min(row0 + row, count - 1)) * args.heads + head;
        log_sums[row] = args.log_sums[at] * kLog2E;
        dots[row] = args.dots[at];
      }
      __syncthreads();
      // Transposed: keys are rows, queries columns.
      float scores[kTile / 8][4], dscores[kTile / 8][4];
      row_products(k, warp * 16, q, scores);
      row_products(v, warp * 16, o, dscores);
#pragma unroll
      for (int tile = 0; tile < kTile / 8; ++tile)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int column = tile * 8 + lane % 4 * 2 + i % 2;
          const int64_t row = row0 + column, key = key0 + warp * 16 + lane / 4 + i / 2 * 8;
          const bool seen = key <= row && row < count;
          const float p = seen ? exp2f(scores[tile][i] * (args.scale * kLog2E) - log_sums[column]) : 0.0f;
          scores[tile][i] = p;
          dscores[tile][i] = p * (dscores[tile][i] - dots[column]);
        }
      add_weighted_rows(scores, o, dv);
      add_weighted_rows(dscores, q, dk);
    }
  }
  store_rows<kDim>(dk, args.scale, args.dk + kv_place, kv_stride, key0, count);
  store_rows<kDim>(dv, 1.0f, args.dv + kv_place, kv_stride, key0, count);
}

// The exact kernels: one warp a row, lanes over channels. Grid: longest / 8 x heads x seqs.
constexpr int kMaxDim = 256;
__device__ float lane_dot(const float* a, const float* b, int64_t dim) {
  float sum = 0;
  for (int64_t d = threadIdx.x % 32; d < dim; d += 32) sum = fmaf(a[d], b[d], sum);
  return warp_sum(sum);
}
__global__ void dq_exact_kernel(const AttentionBackwardArgs args) {
  const int64_t seq = blockIdx.z, head = blockIdx.y, kv_head = head / (args.heads / args.kv_heads), dim = args.head_dim;
  const int64_t begin = args.cu_seqlens[seq], count = args.cu_seqlens[seq + 1] - begin;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * 8 + threadIdx.x / 32;
  if (row >= count) return;
  const int64_t at = (begin + row) * args.heads + head;
  float dq[kMaxDim / 32] = {};
  for (int64_t key = 0; key <= row; ++key) {
    const int64_t kv = ((begin + key) * args.kv_heads + kv_head) * dim;
    const float p = expf(lane_dot(args.q + at * dim, args.k + kv, dim) * args.scale - args.log_sums[at]);
    const float ds = p * (lane_dot(args.dout + at * dim, args.v + kv, dim) - args.dots[at]) * args.scale;
    for (int i = 0; i < kMaxDim / 32; ++i) {
      const int64_t d = threadIdx.x % 32 + 32 * i;
      if (d < dim) dq[i] = fmaf(ds, args.k[kv + d], dq[i]);
    }
  }
  for (int i = 0; i < kMaxDim / 32; ++i) {
    const int64_t d = threadIdx.x % 32 + 32 * i;
    if (d < dim) args.dq[at * dim + d] = dq[i];
  }
}
__global__ void dkv_exact_kernel(const AttentionBackwardArgs args) {
  const int64_t seq = blockIdx.z, kv_head = blockIdx.y, group = args.heads / args.kv_heads, dim = args.head_dim;
  const int64_t begin = args.cu_seqlens[seq], count = args.cu_seqlens[seq + 1] - begin;
  const int64_t key = static_cast<int64_t>(blockIdx.x) * 8 + threadIdx.x / 32;
  if (key >= count) return;
  const int64_t kv = ((begin + key) * args.kv_heads + kv_head) * dim;
  float dk[kMaxDim / 32] = {}, dv[kMaxDim / 32] = {};
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
    for (int64_t row = key; row < count; ++row) {
      const int64_t at = (begin + row) * args.heads + head;
      const float p = expf(lane_dot(args.q + at * dim, args.k + kv, dim) * args.scale - args.log_sums[at]);
      const float ds = p * (lane_dot(args.dout + at * dim, args.v + kv, dim) - args.dots[at]) * args.scale;
      for (int i = 0; i < kMaxDim / 32; ++i) {
        const int64_t d = threadIdx.x % 32 + 32 * i;
        if (d >= dim) continue;
        dk[i] = fmaf(ds, args.q[at * dim + d], dk[i]);
        dv[i] = fmaf(p, args.dout[at * dim + d], dv[i]);
      }
    }
  for (int i = 0; i < kMaxDim / 32; ++i) {
    const int64_t d = threadIdx.x % 32 + 32 * i;
    if (d >= dim) continue;
    args.dk[kv + d] = dk[i];
    args.dv[kv + d] = dv[i];
  }
}

template <int kDim>
Failure launch_backward(const AttentionBackwardArgs& args, Stream stream) {
  for (const void* kernel :
       {reinterpret_cast<const void*>(dq_kernel<kDim>), reinterpret_cast<const void*>(dkv_kernel<kDim>)})
    if (Failure wrong =
            failure(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes<kDim>)))
      return wrong;
  const auto tiles = static_cast<unsigned>((args.longest + kTile - 1) / kTile), seqs = static_cast<unsigned>(args.seqs);
  dq_kernel<kDim>
      <<<dim3(tiles, static_cast<unsigned>(args.heads), seqs), kTileThreads, kSharedBytes<kDim>, stream_of(stream)>>>(
          args);
  dkv_kernel<kDim><<<dim3(tiles, static_cast<unsigned>(args.kv_heads), seqs), kTileThreads, kSharedBytes<kDim>,
                     stream_of(stream)>>>(args);
  return launched();
}

}  // namespace

Failure attention_backward(const AttentionBackwardArgs& args, Stream stream) {
  if (args.tokens == 0) return nullptr;
  if (args.head_dim < 1 || args.head_dim > kMaxDim || args.seqs > 65535)
    return "attention_backward: head_dim is above 256, or there are more than 65,535 sequences";
  const int64_t rows = args.tokens * args.heads;
  dots_kernel<<<static_cast<unsigned>((rows + 7) / 8), 256, 0, stream_of(stream)>>>(args.out, args.dout, args.dots,
                                                                                    rows, args.head_dim);
  if (!args.exact) {
    if (args.head_dim == 128) return launch_backward<128>(args, stream);
    if (args.head_dim == 96) return launch_backward<96>(args, stream);
    if (args.head_dim == 64) return launch_backward<64>(args, stream);
    if (args.head_dim == 48) return launch_backward<48>(args, stream);
    if (args.head_dim == 32) return launch_backward<32>(args, stream);
    if (args.head_dim == 16) return launch_backward<16>(args, stream);
  }
  const auto tiles = static_cast<unsigned>((args.longest + 7) / 8), seqs = static_cast<unsigned>(args.seqs);
  dq_exact_kernel<<<dim3(tiles, static_cast<unsigned>(args.heads), seqs), 256, 0, stream_of(stream)>>>(args);
  dkv_exact_kernel<<<dim3(tiles, static_cast<unsigned>(args.kv_heads), seqs), 256, 0, stream_of(stream)>>>(args);
  return launched();
}

}  // namespace minimax::cuda
