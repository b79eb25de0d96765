// Lightning attention in float32, and its gradient, any head_dim up to 128: what training of small models, exact mode
// and other GPUs use. Chunk by chunk as docs/design.md, P3; products in tiles of 64 x 64, 4 x 4 a thread.
//
// Within a chunk of m rows a, b, with S the state at its start and dS the gradient of the state at its end:
//   P = (Q K^T) * D, D[a][b] = lambda^(a-b) for a >= b;  O = lambda^(a+1) Q S + P V;  S <- lambda^m S + K^T
//   lambda^(m-1-b) V dP = (dO V^T) * D;  dQ = lambda^(a+1) dO S^T + dP K;  dK = dP^T Q + lambda^(m-1-b) V dS^T dV = P^T
//   dO + lambda^(m-1-b) K dS;  dS <- lambda^m dS + (lambda^(a+1) Q)^T dO
// The gradient's chunks are independent once all S and dS are known, and these are sums of what each chunk adds.
#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/lightning_chunks.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

constexpr int kRows = kChunkRows, kThreads = 256;
constexpr int kMaxDim = 128;

/// store(row, column, sum over k of a(row, k) b(k, column)) for all rows below `rows` and columns below `columns`.
template <typename A, typename B, typename Store>
__device__ __forceinline__ void multiply(int rows, int columns, int terms, const A& a, const B& b, const Store& store) {
  const int row = threadIdx.x / 16, column = threadIdx.x % 16;
  for (int row0 = 0; row0 < rows; row0 += 64)
    for (int column0 = 0; column0 < columns; column0 += 64) {
      float sums[4][4] = {};
      for (int k = 0; k < terms; ++k) {
        float left[4], right[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          left[i] = row0 + row + 16 * i < rows ? a(row0 + row + 16 * i, k) : 0.0f;
          right[i] = column0 + column + 16 * i < columns ? b(k, column0 + column + 16 * i) : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) sums[i][j] = fmaf(left[i], right[j], sums[i][j]);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          if (row0 + row + 16 * i < rows && column0 + column + 16 * j < columns)
            store(row0 + row + 16 * i, column0 + column + 16 * j, sums[i][j]);
    }
}

/// Rows of 64 of one of q, k, v in shared memory, odd strides against bank conflicts.
struct RowTile {
  float* data;
  int stride;
  __device__ float& operator()(int row, int column) const { return data[row * stride + column]; }
};

// Grid: heads x seqs. Shared: q, k, v [64][dim + 1], scores [64][65], state [dim][dim + 1].
__global__ void __launch_bounds__(kThreads) lightning_float_kernel(const LightningFloatArgs args) {
  extern __shared__ float memory[];
  const int dim = static_cast<int>(args.head_dim), stride = dim + 1;
  const RowTile q{memory, stride}, k{memory + kRows * stride, stride}, v{memory + 2 * kRows * stride, stride};
  const RowTile scores{memory + 3 * kRows * stride, kRows + 1};
  const RowTile state{memory + 3 * kRows * stride + kRows * (kRows + 1), stride};
  __shared__ float decay[kRows + 2];
  const int64_t head = blockIdx.x, seq = blockIdx.y;
  const int64_t first = args.cu_seqlens[seq], end = args.cu_seqlens[seq + 1];
  if (first == end) return;
  const int64_t start = args.positions[first], length = start + end - first;
  const int64_t slot_head = args.slots ? args.slots[seq] * args.heads + head : 0;
  float* stored = args.slots ? args.state + slot_head * dim * dim : nullptr;
  for (int i = threadIdx.x; i < kRows + 2; i += kThreads) decay[i] = args.decay[head * (kRows + 2) + i];
  for (int i = threadIdx.x; i < dim * dim; i += kThreads)
    state(i / dim, i % dim) = stored && start >= kRows ? stored[i] : 0.0f;

  for (int64_t chunk = start / kRows * kRows; chunk < length; chunk += kRows) {
    const int from = static_cast<int>(max(start - chunk, int64_t{0}));
    const int to = static_cast<int>(min(length - chunk, static_cast<int64_t>(kRows)));
    __syncthreads();
    for (int i = threadIdx.x; i < to * dim; i += kThreads) {
      const int row = i / dim, channel = i % dim;
      if (row < from) {
        k(row, channel) = args.k_window[(slot_head * kRows + row) * dim + channel];
        v(row, channel) = args.v_window[(slot_head * kRows + row) * dim + channel];
        continue;
      }
      const float* token = args.qkv + ((first + chunk + row - start) * args.heads + head) * 3 * dim + channel;
      q(row, channel) = token[0];
      k(row, channel) = token[dim];
      v(row, channel) = token[2 * dim];
    }
    __syncthreads();
    multiply(
        to - from, to, dim, [&](int row, int i) { return q(from + row, i); }, [&](int i, int key) { return k(key, i); },
        [&](int row, int key, float sum) {
          scores(from + row, key) = key <= from + row ? sum * decay[from + row - key] : 0.0f;
        });
    __syncthreads();
    // One sum over the state's keys, then the chunk's rows.
    multiply(
        to - from, dim, dim + to,
        [&](int row, int i) {
          return i < dim ? q(from + row, i) * decay[from + row + 1] : scores(from + row, i - dim);
        },
        [&](int i, int channel) { return i < dim ? state(i, channel) : v(i - dim, channel); },
        [&](int row, int channel, float sum) {
          args.out[((first + chunk + from + row - start) * args.heads + head) * dim + channel] = sum;
        });
    __syncthreads();
    if (to == kRows) {
      multiply(
          dim, dim, kRows, [&](int key, int row) { return k(row, key) * decay[kRows - 1 - row]; },
          [&](int row, int channel) { return v(row, channel); },
          [&](int key, int channel, float sum) {
            state(key, channel) = decay_chunk(state(key, channel), decay) + sum;
          });
      __syncthreads();
      if (stored)
        for (int i = threadIdx.x; i < dim * dim; i += kThreads) stored[i] = state(i / dim, i % dim);
    } else if (stored) {
      for (int i = threadIdx.x; i < (to - from) * dim; i += kThreads) {
        const int row = from + i / dim, channel = i % dim;
        args.k_window[(slot_head * kRows + row) * dim + channel] = k(row, channel);
        args.v_window[(slot_head * kRows + row) * dim + channel] = v(row, channel);
      }
    }
  }
}

__device__ void load_rows(const LightningBackwardArgs& args, const ChunkPlace& place, int64_t head, int part,
                          const RowTile& tile) {
  const int dim = static_cast<int>(args.head_dim);
  for (int i = threadIdx.x; i < place.rows * dim; i += kThreads) {
    const int64_t token = (place.first + i / dim) * args.heads + head;
    tile(i / dim, i % dim) =
        part < 3 ? args.qkv[token * 3 * dim + part * dim + i % dim] : args.dout[token * dim + i % dim];
  }
}

// Grid: heads x chunks. What each chunk adds to the state behind it and to the state's gradient before it.
__global__ void __launch_bounds__(kThreads) chunk_sums_kernel(const LightningBackwardArgs args) {
  extern __shared__ float memory[];
  const int dim = static_cast<int>(args.head_dim), stride = dim + 1;
  const RowTile left{memory, stride}, right{memory + kRows * stride, stride};
  const int64_t head = blockIdx.x, chunk = blockIdx.y, at = (chunk * args.heads + head) * dim * dim;
  const float* decay = args.decay + head * (kRows + 2);
  const ChunkPlace place = chunk_place(args, chunk);
  const int rows = static_cast<int>(place.rows);
  load_rows(args, place, head, 1, left);
  load_rows(args, place, head, 2, right);
  __syncthreads();
  multiply(
      dim, dim, rows, [&](int key, int row) { return left(row, key) * decay[rows - 1 - row]; },
      [&](int row, int channel) { return right(row, channel); },
      [&](int key, int channel, float sum) { args.states[at + key * dim + channel] = sum; });
  __syncthreads();
  load_rows(args, place, head, 0, left);
  load_rows(args, place, head, 3, right);
  __syncthreads();
  multiply(
      dim, dim, rows, [&](int key, int row) { return left(row, key) * decay[row + 1]; },
      [&](int row, int channel) { return right(row, channel); },
      [&](int key, int channel, float sum) { args.dstates[at + key * dim + channel] = sum; });
}

// Grid: heads x chunks. Shared: q, k, v, dO [64][dim + 1], P and dP [64][65].
__global__ void __launch_bounds__(kThreads) chunk_gradients_kernel(const LightningBackwardArgs args) {
  extern __shared__ float memory[];
  const int dim = static_cast<int>(args.head_dim), stride = dim + 1;
  const RowTile q{memory, stride}, k{memory + kRows * stride, stride}, v{memory + 2 * kRows * stride, stride};
  const RowTile o{memory + 3 * kRows * stride, stride};
  const RowTile p{memory + 4 * kRows * stride, kRows + 1};
  const RowTile dp{memory + 4 * kRows * stride + kRows * (kRows + 1), kRows + 1};
  const int64_t head = blockIdx.x, chunk = blockIdx.y, at = (chunk * args.heads + head) * dim * dim;
  const float* decay = args.decay + head * (kRows + 2);
  const float *state = args.states + at, *dstate = args.dstates + at;
  const ChunkPlace place = chunk_place(args, chunk);
  const int rows = static_cast<int>(place.rows);
  load_rows(args, place, head, 0, q);
  load_rows(args, place, head, 1, k);
  load_rows(args, place, head, 2, v);
  load_rows(args, place, head, 3, o);
  __syncthreads();
  const auto decayed = [&](const RowTile& x, const RowTile& y, const RowTile& out) {
    multiply(
        rows, rows, dim, [&](int row, int i) { return x(row, i); }, [&](int i, int key) { return y(key, i); },
        [&](int row, int key, float sum) { out(row, key) = key <= row ? sum * decay[row - key] : 0.0f; });
  };
  decayed(q, k, p);
  decayed(o, v, dp);
  __syncthreads();
  float* out = args.dqkv + (place.first * args.heads + head) * 3 * dim;
  const int64_t token = args.heads * 3 * dim;
  multiply(
      rows, dim, dim + rows, [&](int row, int i) { return i < dim ? o(row, i) * decay[row + 1] : dp(row, i - dim); },
      [&](int i, int channel) { return i < dim ? state[channel * dim + i] : k(i - dim, channel); },
      [&](int row, int channel, float sum) { out[row * token + channel] = sum; });
  multiply(
      rows, dim, dim + rows,
      [&](int row, int i) { return i < dim ? v(row, i) * decay[rows - 1 - row] : dp(i - dim, row); },
      [&](int i, int channel) { return i < dim ? dstate[channel * dim + i] : q(i - dim, channel); },
      [&](int row, int channel, float sum) { out[row * token + dim + channel] = sum; });
  multiply(
      rows, dim, dim + rows,
      [&](int row, int i) { return i < dim ? k(row, i) * decay[rows - 1 - row] : p(i - dim, row); },
      [&](int i, int channel) { return i < dim ? dstate[i * dim + channel] : o(i - dim, channel); },
      [&](int row, int channel, float sum) { out[row * token + 2 * dim + channel] = sum; });
}

Failure allow_shared(const void* kernel, int64_t bytes) {
  return failure(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
}

}  // namespace

Failure lightning_float(const LightningFloatArgs& args, Stream stream) {
  if (args.tokens == 0 || args.seqs == 0) return nullptr;
  if (args.head_dim < 1 || args.head_dim > kMaxDim || args.seqs > 65535)
    return "lightning_float: head_dim is above 128, or there are more than 65,535 sequences";
  const int64_t floats = 3 * kRows * (args.head_dim + 1) + kRows * (kRows + 1) + args.head_dim * (args.head_dim + 1);
  const int64_t bytes = floats * static_cast<int64_t>(sizeof(float));
  if (Failure wrong = allow_shared(reinterpret_cast<const void*>(lightning_float_kernel), bytes)) return wrong;
  const dim3 grid(static_cast<unsigned>(args.heads), static_cast<unsigned>(args.seqs));
  lightning_float_kernel<<<grid, kThreads, static_cast<size_t>(bytes), stream_of(stream)>>>(args);
  return launched();
}

Failure lightning_backward(const LightningBackwardArgs& args, Stream stream) {
  if (args.tokens == 0 || args.seqs == 0) return nullptr;
  if (args.head_dim < 1 || args.head_dim > kMaxDim || args.seqs > 65535 || args.chunks > 65535)
    return "lightning_backward: head_dim is above 128, or there are more than 65,535 sequences or chunks";
  const auto size = static_cast<int64_t>(sizeof(float));
  const int64_t sums_bytes = 2 * kRows * (args.head_dim + 1) * size;
  const int64_t bytes = (4 * kRows * (args.head_dim + 1) + 2 * kRows * (kRows + 1)) * size;
  if (Failure wrong = allow_shared(reinterpret_cast<const void*>(chunk_sums_kernel), sums_bytes)) return wrong;
  if (Failure wrong = allow_shared(reinterpret_cast<const void*>(chunk_gradients_kernel), bytes)) return wrong;
  const dim3 grid(static_cast<unsigned>(args.heads), static_cast<unsigned>(args.chunks));
  if (!args.exact && lightning_backward_rounds(args)) return lightning_backward_rounded(args, stream);
  chunk_sums_kernel<<<grid, kThreads, static_cast<size_t>(sums_bytes), stream_of(stream)>>>(args);
  if (Failure wrong = lightning_scan(args, stream)) return wrong;
  chunk_gradients_kernel<<<grid, kThreads, static_cast<size_t>(bytes), stream_of(stream)>>>(args);
  return launched();
}

}  // namespace minimax::cuda
