// Products on float32 units, any sizes, types and layouts: what tensor cores cannot do, and the check of what they do.
// A block of 16 x 16 threads computes 64 x 64 outputs, 4 x 4 a thread, 16 terms at a time from shared memory; every
// output is one sum over k in order.
#include <cuda_bf16.h>

#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

constexpr int kTile = 64, kStep = 16;

struct Piece {
  int64_t row_begin, row_end;    ///< of the output
  int64_t term_begin, term_end;  ///< of the sums
  int64_t group;
};

/// What block (.., m_tile, group) of a grouped or plain product does; empty when it has nothing to do.
__device__ Piece piece_of(const ProductArgs& args, int64_t m_tile, int64_t group) {
  if (args.groups == 0) return {m_tile * kTile, min(args.m, (m_tile + 1) * kTile), 0, args.k, 0};
  const int64_t begin = args.group_starts[group], end = args.group_starts[group + 1];
  if (args.groups_are_terms) return {m_tile * kTile, min(args.m, (m_tile + 1) * kTile), begin, end, group};
  return {begin + m_tile * kTile, min(end, begin + (m_tile + 1) * kTile), 0, args.k, group};
}

template <typename T>
__device__ float element(const T* x, bool transposed, int64_t row, int64_t term, int64_t rows, int64_t terms) {
  return number(transposed ? x[term * rows + row] : x[row * terms + term]);
}

template <typename A, typename B>
__device__ void sum_tile(const ProductArgs& args, const Piece& piece, const B* b, int64_t n0, float (&sums)[4][4]) {
  __shared__ float a_tile[kStep][kTile + 1], b_tile[kStep][kTile + 1];
  const A* a = static_cast<const A*>(args.a);
  const int thread = threadIdx.x, row = thread / 16, column = thread % 16;
  for (int64_t k0 = piece.term_begin; k0 < piece.term_end; k0 += kStep) {
    for (int item = thread; item < kTile * kStep; item += 256) {
      const int term = args.a_transposed ? item / kTile : item % kStep;
      const int r = args.a_transposed ? item % kTile : item / kStep;
      const bool there = piece.row_begin + r < piece.row_end && k0 + term < piece.term_end;
      a_tile[term][r] = there ? element(a, args.a_transposed, piece.row_begin + r, k0 + term, args.m, args.k) : 0.0f;
    }
    for (int item = thread; item < kTile * kStep; item += 256) {
      const int term = args.b_transposed ? item / kTile : item % kStep;
      const int r = args.b_transposed ? item % kTile : item / kStep;
      const bool there = n0 + r < args.n && k0 + term < piece.term_end;
      b_tile[term][r] = there ? element(b, args.b_transposed, n0 + r, k0 + term, args.n, args.k) : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int term = 0; term < kStep; ++term)
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sums[i][j] = fmaf(a_tile[term][row + 16 * i], b_tile[term][column + 16 * j], sums[i][j]);
    __syncthreads();
  }
}

// Grid: n tiles x m tiles x groups, 256 threads.
template <typename A, typename B, typename Out>
__global__ void __launch_bounds__(256) product_simple_kernel(const ProductArgs args) {
  const Piece piece = piece_of(args, blockIdx.y, blockIdx.z);
  if (piece.row_begin >= piece.row_end) return;
  const int64_t n0 = static_cast<int64_t>(blockIdx.x) * kTile;
  float sums[4][4] = {}, more[4][4] = {};
  sum_tile<A, B>(args, piece, static_cast<const B*>(args.b) + piece.group * args.b_group_stride, n0, sums);
  if (args.b2)
    sum_tile<A, B>(args, piece, static_cast<const B*>(args.b2) + piece.group * args.b2_group_stride, n0, more);
  Out* out = args.groups_are_terms ? reinterpret_cast<Out*>(args.group_outs[piece.group]) : static_cast<Out*>(args.out);
  if (!out || (args.groups_are_terms && piece.term_begin == piece.term_end)) return;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) {
      const int64_t row = piece.row_begin + threadIdx.x / 16 + 16 * i, column = n0 + threadIdx.x % 16 + 16 * j;
      if (row >= piece.row_end || column >= args.n) continue;
      float value = sums[i][j];
      if (args.b2) value = value / (1.0f + expf(-value)) * more[i][j];
      Out* to = out + row * args.n + column;
      put(to, args.accumulate || args.groups_are_terms ? number(*to) + value : value);
    }
}

}  // namespace

Failure product_simple(const ProductArgs& args, Stream stream) {
  if (args.m == 0 || args.n == 0) return nullptr;
  if (args.groups > kMaxGroups) return "product: more groups than kMaxGroups";
  if (args.a_parts != 1) return "product_simple: a comes in parts";
  const dim3 grid(static_cast<unsigned>((args.n + kTile - 1) / kTile),
                  static_cast<unsigned>((args.m + kTile - 1) / kTile),
                  static_cast<unsigned>(args.groups ? args.groups : 1));
  if (grid.y > 65535) return "product_simple: more than 4 million rows";
  return with_type(args.a_type, [&](auto* a) {
    return with_type(args.b_type, [&](auto* b) {
      return with_type(args.out_type, [&](auto* out) {
        using A = std::remove_pointer_t<decltype(a)>;
        using B = std::remove_pointer_t<decltype(b)>;
        using Out = std::remove_pointer_t<decltype(out)>;
        product_simple_kernel<A, B, Out><<<grid, 256, 0, stream_of(stream)>>>(args);
        return launched();
      });
    });
  });
}

}  // namespace minimax::cuda
