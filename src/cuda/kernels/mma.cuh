// Warp-wide products (m16n8k16, bfloat16 with float32 sums) and their operands, on all GPUs from compute
// capability 8.0.
//
// In a thread, with g = lane / 4 and c = 2 * (lane % 4): sums are [g][c], [g][c + 1], [g + 8][c], [g + 8][c + 1] of
// [16][8]; a is pairs [g][c], [g + 8][c], [g][c + 8], [g + 8][c + 8] of [16 rows][16 terms]; b is pairs [c][g], [c +
// 8][g] of [16 terms][8 columns].
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace minimax::cuda {

__device__ __forceinline__ void multiply_add_16x8(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ uint32_t pair_of(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

/// Four 8x8 matrices of shared memory; lane l names row l % 8 of matrix l / 8.
__device__ __forceinline__ void load_matrices(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row))));
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row))));
}

/// A tile of bfloat16 in shared memory, rows a few bytes longer than they need be so that eight of them lie in
/// different banks.
template <int kColumns>
struct SharedTile {
  static constexpr int kStride = kColumns + 8;
  __nv_bfloat16* data;

  __device__ __nv_bfloat16* at(int row, int column) const { return data + row * kStride + column; }
  static constexpr int kRowBytes = kStride * 2;

  /// a: rows row .. row + 15, terms term .. term + 15, terms along the columns.
  __device__ __forceinline__ void load_a(uint32_t (&a)[4], int row, int term) const {
    const int lane = threadIdx.x % 32;
    load_matrices(a, at(row + lane % 16, term + lane / 16 * 8));
  }
  /// b of 16 columns of a product that are rows `row` .. of this tile, terms along its columns: {b0, b1} of the first
  /// eight, {b2, b3} of the others.
  __device__ __forceinline__ void load_b(uint32_t (&b)[4], int row, int term) const {
    const int lane = threadIdx.x % 32;
    load_matrices(b, at(row + lane / 16 * 8 + lane % 8, term + lane / 8 % 2 * 8));
  }
  /// b of 16 columns of a product that are columns `column` .. of this tile, terms along its rows.
  __device__ __forceinline__ void load_b_transposed(uint32_t (&b)[4], int term, int column) const {
    const int lane = threadIdx.x % 32;
    load_matrices_transposed(b, at(term + lane / 8 % 2 * 8 + lane % 8, column + lane / 16 * 8));
  }
};

}  // namespace minimax::cuda
