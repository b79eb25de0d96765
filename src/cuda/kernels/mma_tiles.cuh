// Tiles of 64 rows in shared memory, multiplied by blocks of four warps, 16 rows each: what the gradients of both kinds
// of attention are made of.
#pragma once

#include "cuda/kernels/loads.cuh"
#include "cuda/kernels/mma.cuh"

namespace minimax::cuda {

constexpr int kTile = 64;                                      // rows of a tile
constexpr int kTileWarps = 4, kTileThreads = kTileWarps * 32;  // a warp for 16 of the block's own rows

/// Rows first .. first + 63 of one head (row stride `stride`), rounded; zeros from row `count` on.
template <int kDim>
__device__ void load_tile(const SharedTile<kDim>& tile, const float* from, int64_t stride, int64_t first,
                          int64_t count) {
  for (int piece = threadIdx.x; piece < kTile * kDim / 4; piece += kTileThreads) {
    const int row = piece / (kDim / 4), column = piece % (kDim / 4) * 4;
    float4 v = {0, 0, 0, 0};
    if (first + row < count) v = *reinterpret_cast<const float4*>(from + (first + row) * stride + column);
    *reinterpret_cast<uint2*>(tile.at(row, column)) = {pair_of(v.x, v.y), pair_of(v.z, v.w)};
  }
}

/// sums[16, 64] = a rows (16 of tile x) times rows of tile y, along the channels.
template <int kDim>
__device__ __forceinline__ void row_products(const SharedTile<kDim>& x, int row, const SharedTile<kDim>& y,
                                             float (&sums)[kTile / 8][4]) {
#pragma unroll
  for (int tile = 0; tile < kTile / 8; ++tile) sums[tile][0] = sums[tile][1] = sums[tile][2] = sums[tile][3] = 0;
#pragma unroll
  for (int step = 0; step < kDim / 16; ++step) {
    uint32_t a[4];
    x.load_a(a, row, step * 16);
#pragma unroll
    for (int tile = 0; tile < kTile / 8; tile += 2) {
      uint32_t b[4];
      y.load_b(b, tile * 8, step * 16);
      multiply_add_16x8(sums[tile], a, b[0], b[1]);
      multiply_add_16x8(sums[tile + 1], a, b[2], b[3]);
    }
  }
}

/// out[16, kDim] += weights[16, 64] (rounded) times the rows of tile y.
template <int kDim>
__device__ __forceinline__ void add_weighted_rows(const float (&weights)[kTile / 8][4], const SharedTile<kDim>& y,
                                                  float (&out)[kDim / 8][4]) {
#pragma unroll
  for (int step = 0; step < kTile / 16; ++step) {
    const uint32_t a[4] = {pair_of(weights[2 * step][0], weights[2 * step][1]),
                           pair_of(weights[2 * step][2], weights[2 * step][3]),
                           pair_of(weights[2 * step + 1][0], weights[2 * step + 1][1]),
                           pair_of(weights[2 * step + 1][2], weights[2 * step + 1][3])};
#pragma unroll
    for (int tile = 0; tile < kDim / 8; tile += 2) {
      uint32_t b[4];
      y.load_b_transposed(b, step * 16, tile * 8);
      multiply_add_16x8(out[tile], a, b[0], b[1]);
      multiply_add_16x8(out[tile + 1], a, b[2], b[3]);
    }
  }
}

template <int kDim>
__device__ __forceinline__ void store_rows(const float (&sums)[kDim / 8][4], float factor, float* to, int64_t stride,
                                           int64_t first, int64_t count) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t row = first + threadIdx.x / 32 * 16 + lane / 4 + half * 8;
    if (row >= count) continue;
#pragma unroll
    for (int tile = 0; tile < kDim / 8; ++tile)
      *reinterpret_cast<float2*>(to + row * stride + tile * 8 + lane % 4 * 2) = {factor * sums[tile][half * 2],
                                                                                 factor * sums[tile][half * 2 + 1]};
  }
}

}  // namespace minimax::cuda
