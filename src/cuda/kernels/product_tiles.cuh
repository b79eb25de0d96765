// What the products on tensor cores share: the order of their tiles, and which operands they take.
#pragma once

#include "cuda/kernels/launch.cuh"

namespace minimax::cuda {

constexpr int kTileRows = 128;
constexpr int kBandTiles = 16;  // tiles of m that are done together, so that what b's tiles cost is shared in L2

/// One tile: rows [row, row_end) of the output from column `column`, terms [term, term_end), matrix b of `group`.
struct Tile {
  int64_t row, row_end, column, term, term_end, group;
};

/// All tiles, of kHeight rows, in the order in which they are to be done.
template <int kHeight = kTileRows>
struct Tiles {
  const ProductArgs& args;
  int64_t width, n_tiles;

  __device__ Tiles(const ProductArgs& args, int tile_width)
      : args(args), width(tile_width), n_tiles((args.n + tile_width - 1) / tile_width) {}

  /// False when there are not so many.
  __device__ bool find(int64_t at, Tile& tile) const {
    const int64_t terms = args.a_parts > 1 ? args.a_parts * args.a_part_columns : args.k;
    const int64_t m_tiles = (args.m + kHeight - 1) / kHeight;
    if (args.groups == 0) {
      if (at >= m_tiles * n_tiles) return false;
      place(tile, at, 0, args.m, m_tiles);
      tile.term = 0, tile.term_end = terms, tile.group = 0;
      return true;
    }
    if (args.groups_are_terms) {
      if (at >= m_tiles * n_tiles * args.groups) return false;
      tile.group = at / (m_tiles * n_tiles);
      place(tile, at % (m_tiles * n_tiles), 0, args.m, m_tiles);
      tile.term = args.group_starts[tile.group], tile.term_end = args.group_starts[tile.group + 1];
      return true;
    }
    for (int64_t group = 0; group < args.groups; ++group) {
      const int64_t begin = args.group_starts[group], end = args.group_starts[group + 1];
      const int64_t tiles = (end - begin + kHeight - 1) / kHeight;
      if (at < tiles * n_tiles) {
        place(tile, at, begin, end, tiles);
        tile.term = 0, tile.term_end = terms, tile.group = group;
        return true;
      }
      at -= tiles * n_tiles;
    }
    return false;
  }

  /// Band after band of kBandTiles tiles of m; within one, m first.
  __device__ void place(Tile& tile, int64_t at, int64_t begin, int64_t end, int64_t m_tiles) const {
    const int64_t band = at / (kBandTiles * n_tiles), first = band * kBandTiles;
    const int64_t tall = min(static_cast<int64_t>(kBandTiles), m_tiles - first), in_band = at - first * n_tiles;
    tile.row = begin + (first + in_band % tall) * kHeight;
    tile.row_end = min(end, tile.row + kHeight);
    tile.column = in_band / tall * width;
  }
};

inline bool aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

/// Whether tensor cores can do it: bfloat16 operands whose rows are 16-byte aligned.
inline bool tensor_cores_take(const ProductArgs& args) {
  const int64_t a_columns = args.a_transposed ? args.m : args.k, b_columns = args.b_transposed ? args.n : args.k;
  return args.a_type == Type::kBFloat16 && args.b_type == Type::kBFloat16 && (args.a_parts > 1 || a_columns % 8 == 0) &&
         b_columns % 8 == 0 && aligned(args.a) && aligned(args.b) && aligned(args.b2) && aligned(args.out) &&
         args.b_group_stride % 8 == 0 && args.b2_group_stride % 8 == 0 && !(args.a_transposed && !args.b_transposed);
}

inline int multiprocessors() {
  static const int count = [] {
    int device = 0, found = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&found, cudaDevAttrMultiProcessorCount, device);
    return found > 0 ? found : 1;
  }();
  return count;
}

}  // namespace minimax::cuda
