// The gradient of lightning attention on tensor cores (m16n8k16), operands rounded to bfloat16, sums and the scan of
// states in float32. The formulas are in lightning_float.cu. One block of four warps for each head of each chunk: first
// what the chunk adds to the states, then, when all states are known, its rows' gradients. P and dP are made transposed
// where their sum runs over queries, so that a warp owns 16 rows of every output and nothing is added twice.
#include "cuda/kernels/lightning_chunks.cuh"
#include "cuda/kernels/mma_tiles.cuh"

namespace minimax::cuda {
namespace {

constexpr int kScanThreads = 256;

// Grid: elements / 256 x heads x seqs: sums become the states at the chunks' starts and the gradients at their ends.
__global__ void __launch_bounds__(kScanThreads) scan_states_kernel(const LightningBackwardArgs args) {
  const int64_t size = args.head_dim * args.head_dim,
                element = static_cast<int64_t>(blockIdx.x) * kScanThreads + threadIdx.x;
  if (element >= size) return;
  const int64_t head = blockIdx.y, seq = blockIdx.z;
  const float* decay = args.decay + head * (kChunkRows + 2);
  const int64_t begin = args.chunk_starts[seq], end = args.chunk_starts[seq + 1];
  const int64_t tokens = args.cu_seqlens[seq + 1] - args.cu_seqlens[seq];
  float state = 0;
  for (int64_t chunk = begin; chunk < end; ++chunk) {
    float* at = args.states + (chunk * args.heads + head) * size + element;
    const float more = *at;
    *at = state;
    state = decay_chunk(state, decay) + more;  // of a last, shorter chunk nobody uses it
  }
  float dstate = 0;
  for (int64_t chunk = end; chunk-- > begin;) {
    float* at = args.dstates + (chunk * args.heads + head) * size + element;
    const float more = *at;
    *at = dstate;
    const int64_t rows = min(static_cast<int64_t>(kChunkRows), tokens - (chunk - begin) * kChunkRows);
    dstate = (rows == kChunkRows ? decay_chunk(dstate, decay) : dstate * decay[rows]) + more;
  }
}

/// Row i times factor(i), rounded; `part` 0 to 2: q, k, v, 3: dO.
template <int kDim, typename Factor>
__device__ void load_chunk(const LightningBackwardArgs& args, const ChunkPlace& place, int64_t head, int part,
                           const SharedTile<kDim>& tile, const Factor& factor) {
  const float* from = part < 3 ? args.qkv + (place.first * args.heads + head) * 3 * kDim + part * kDim
                               : args.dout + (place.first * args.heads + head) * kDim;
  const int64_t stride = args.heads * (part < 3 ? 3 : 1) * kDim;
  for (int piece = threadIdx.x; piece < kTile * kDim / 4; piece += kTileThreads) {
    const int row = piece / (kDim / 4), column = piece % (kDim / 4) * 4;
    float4 v = {0, 0, 0, 0};
    if (row < place.rows) {
      v = *reinterpret_cast<const float4*>(from + row * stride + column);
      const float f = factor(row);
      v = {v.x * f, v.y * f, v.z * f, v.w * f};
    }
    *reinterpret_cast<uint2*>(tile.at(row, column)) = {pair_of(v.x, v.y), pair_of(v.z, v.w)};
  }
}

/// a of rows `row` .. of a product that are columns of this tile, terms along its rows.
template <int kDim>
__device__ __forceinline__ void load_a_transposed(const SharedTile<kDim>& tile, uint32_t (&a)[4], int row, int term) {
  const int lane = threadIdx.x % 32;
  load_matrices_transposed(a, tile.at(term + lane / 16 * 8 + lane % 8, row + lane / 8 % 2 * 8));
}

/// out[kDim, kDim] = x^T y over the chunk's rows.
template <int kDim>
__device__ void outer_product(const SharedTile<kDim>& x, const SharedTile<kDim>& y, float* out) {
  const int lane = threadIdx.x % 32;
  for (int row = threadIdx.x / 32 * 16; row < kDim; row += kTileWarps * 16) {
    float sums[kDim / 8][4] = {};
#pragma unroll
    for (int step = 0; step < kTile / 16; ++step) {
      uint32_t a[4];
      load_a_transposed(x, a, row, step * 16);
#pragma unroll
      for (int tile = 0; tile < kDim / 8; tile += 2) {
        uint32_t b[4];
        y.load_b_transposed(b, step * 16, tile * 8);
        multiply_add_16x8(sums[tile], a, b[0], b[1]);
        multiply_add_16x8(sums[tile + 1], a, b[2], b[3]);
      }
    }
#pragma unroll
    for (int tile = 0; tile < kDim / 8; ++tile)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        *reinterpret_cast<float2*>(out + (row + lane / 4 + half * 8) * kDim + tile * 8 + lane % 4 * 2) = {
            sums[tile][half * 2], sums[tile][half * 2 + 1]};
  }
}

// Grid: heads x chunks.
template <int kDim>
__global__ void __launch_bounds__(kTileThreads) chunk_sums_kernel(const LightningBackwardArgs args) {
  extern __shared__ __align__(16) unsigned char shared[];
  const SharedTile<kDim> x{reinterpret_cast<__nv_bfloat16*>(shared)};
  const SharedTile<kDim> y{reinterpret_cast<__nv_bfloat16*>(shared + SharedTile<kDim>::kRowBytes * kTile)};
  const int64_t head = blockIdx.x, chunk = blockIdx.y, at = (chunk * args.heads + head) * kDim * kDim;
  const float* decay = args.decay + head * (kChunkRows + 2);
  const ChunkPlace place = chunk_place(args, chunk);
  const int rows = static_cast<int>(place.rows);
  const auto one = [](int) { return 1.0f; };
  load_chunk(args, place, head, 1, x, [&](int row) { return decay[rows - 1 - row]; });
  load_chunk(args, place, head, 2, y, one);
  __syncthreads();
  outer_product(x, y, args.states + at);
  __syncthreads();
  load_chunk(args, place, head, 0, x, [&](int row) { return decay[row + 1]; });
  load_chunk(args, place, head, 3, y, one);
  __syncthreads();
  outer_product(x, y, args.dstates + at);
}

/// A [kDim, kDim] float32 matrix, rounded.
template <int kDim>
__device__ void load_state(const SharedTile<kDim>& tile, const float* from) {
  for (int piece = threadIdx.x; piece < kDim * kDim / 4; piece += kTileThreads) {
    const int row = piece / (kDim / 4), column = piece % (kDim / 4) * 4;
    const float4 v = *reinterpret_cast<const float4*>(from + row * kDim + column);
    *reinterpret_cast<uint2*>(tile.at(row, column)) = {pair_of(v.x, v.y), pair_of(v.z, v.w)};
  }
}

/// out[16, kDim] = rows `row` .. of x times the matrix y; kAlongRows: sums over y's columns, as with y transposed.
template <int kDim, bool kAlongRows>
__device__ __forceinline__ void times_state(const SharedTile<kDim>& x, int row, const SharedTile<kDim>& y,
                                            float (&out)[kDim / 8][4]) {
#pragma unroll
  for (int tile = 0; tile < kDim / 8; ++tile) out[tile][0] = out[tile][1] = out[tile][2] = out[tile][3] = 0;
#pragma unroll
  for (int step = 0; step < kDim / 16; ++step) {
    uint32_t a[4];
    x.load_a(a, row, step * 16);
#pragma unroll
    for (int tile = 0; tile < kDim / 8; tile += 2) {
      uint32_t b[4];
      if constexpr (kAlongRows)
        y.load_b(b, tile * 8, step * 16);
      else
        y.load_b_transposed(b, step * 16, tile * 8);
      multiply_add_16x8(out[tile], a, b[0], b[1]);
      multiply_add_16x8(out[tile + 1], a, b[2], b[3]);
    }
  }
}

template <int kDim>
constexpr int kGradientBytes = SharedTile<kDim>::kRowBytes * (4 * kTile + kDim);

// Grid: heads x chunks. One state at a time lies in shared memory: the chunk's own, then the gradient's.
template <int kDim>
__global__ void __launch_bounds__(kTileThreads) chunk_gradients_kernel(const LightningBackwardArgs args) {
  extern __shared__ __align__(16) unsigned char shared[];
  const auto tile_at = [&](int i) {
    return SharedTile<kDim>{reinterpret_cast<__nv_bfloat16*>(shared + i * SharedTile<kDim>::kRowBytes * kTile)};
  };
  const SharedTile<kDim> q = tile_at(0), k = tile_at(1), v = tile_at(2), o = tile_at(3), state = tile_at(4);
  __shared__ float decay[kChunkRows + 2];
  const int64_t head = blockIdx.x, chunk = blockIdx.y, at = (chunk * args.heads + head) * kDim * kDim;
  const ChunkPlace place = chunk_place(args, chunk);
  const int rows = static_cast<int>(place.rows), lane = threadIdx.x % 32, own = threadIdx.x / 32 * 16;
  for (int i = threadIdx.x; i < kChunkRows + 2; i += kTileThreads) decay[i] = args.decay[head * (kChunkRows + 2) + i];
  const auto one = [](int) { return 1.0f; };
  load_chunk(args, place, head, 0, q, one);
  load_chunk(args, place, head, 1, k, one);
  load_chunk(args, place, head, 2, v, one);
  load_chunk(args, place, head, 3, o, one);
  load_state(state, args.states + at);
  __syncthreads();
  float* out = args.dqkv + (place.first * args.heads + head) * 3 * kDim;
  const int64_t stride = args.heads * 3 * kDim;
  const auto scale_rows = [&](float(&sums)[kDim / 8][4], const auto& factor) {
#pragma unroll
    for (int tile = 0; tile < kDim / 8; ++tile)
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[tile][i] *= factor(own + lane / 4 + i / 2 * 8);
  };
  // x y^T * D, or with the key a row the same transposed.
  const auto decayed = [&](const SharedTile<kDim>& x, const SharedTile<kDim>& y, bool transposed,
                           float(&scores)[kTile / 8][4]) {
    row_products(x, own, y, scores);
#pragma unroll
    for (int tile = 0; tile < kTile / 8; ++tile)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = own + lane / 4 + i / 2 * 8, column = tile * 8 + lane % 4 * 2 + i % 2;
        const int age = transposed ? column - row : row - column;
        scores[tile][i] = age >= 0 ? scores[tile][i] * decay[age] : 0.0f;
      }
  };
  const auto key_decay = [&](int row) { return row < rows ? decay[rows - 1 - row] : 0.0f; };

  float sums[kDim / 8][4], scores[kTile / 8][4];
  times_state<kDim, true>(o, own, state, sums);
  scale_rows(sums, [&](int row) { return decay[row + 1]; });
  decayed(o, v, false, scores);
  add_weighted_rows(scores, k, sums);
  store_rows<kDim>(sums, 1.0f, out, stride, 0, rows);

  __syncthreads();
  load_state(state, args.dstates + at);
  __syncthreads();
  times_state<kDim, true>(v, own, state, sums);
  scale_rows(sums, key_decay);
  decayed(v, o, true, scores);
  add_weighted_rows(scores, q, sums);
  store_rows<kDim>(sums, 1.0f, out + kDim, stride, 0, rows);

  times_state<kDim, false>(k, own, state, sums);
  scale_rows(sums, key_decay);
  decayed(k, q, true, scores);
  add_weighted_rows(scores, o, sums);
  store_rows<kDim>(sums, 1.0f, out + 2 * kDim, stride, 0, rows);
}

template <int kDim>
Failure launch(const LightningBackwardArgs& args, Stream stream) {
  constexpr int kSumsBytes = 2 * SharedTile<kDim>::kRowBytes * kTile;
  if (Failure wrong = failure(
          cudaFuncSetAttribute(chunk_sums_kernel<kDim>, cudaFuncAttributeMaxDynamicSharedMemorySize, kSumsBytes)))
    return wrong;
  if (Failure wrong = failure(cudaFuncSetAttribute(chunk_gradients_kernel<kDim>,
                                                   cudaFuncAttributeMaxDynamicSharedMemorySize, kGradientBytes<kDim>)))
    return wrong;
  const dim3 grid(static_cast<unsigned>(args.heads), static_cast<unsigned>(args.chunks));
  chunk_sums_kernel<kDim><<<grid, kTileThreads, kSumsBytes, stream_of(stream)>>>(args);
  if (Failure wrong = lightning_scan(args, stream)) return wrong;
  chunk_gradients_kernel<kDim><<<grid, kTileThreads, kGradientBytes<kDim>, stream_of(stream)>>>(args);
  return launched();
}

}  // namespace

Failure lightning_scan(const LightningBackwardArgs& args, Stream stream) {
  const dim3 elements(static_cast<unsigned>((args.head_dim * args.head_dim + kScanThreads - 1) / kScanThreads),
                      static_cast<unsigned>(args.heads), static_cast<unsigned>(args.seqs));
  scan_states_kernel<<<elements, kScanThreads, 0, stream_of(stream)>>>(args);
  return launched();
}

bool lightning_backward_rounds(const LightningBackwardArgs& args) {
  for (const int64_t head_dim : {16, 32, 48, 64, 96, 128})
    if (args.head_dim == head_dim) return true;
  return false;
}

Failure lightning_backward_rounded(const LightningBackwardArgs& args, Stream stream) {
  switch (args.head_dim) {
    case 16:
      return launch<16>(args, stream);
    case 32:
      return launch<32>(args, stream);
    case 48:
      return launch<48>(args, stream);
    case 64:
      return launch<64>(args, stream);
    case 96:
      return launch<96>(args, stream);
    case 128:
      return launch<128>(args, stream);
    default:
      return "lightning_backward: head_dim is none that tensor cores take";
  }
}

}  // namespace minimax::cuda
