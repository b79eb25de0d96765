// Products with row-major weights, y = x W^T. Vector lanes run along k, so weights are read as they lie in the file;
// the order of additions is that of MatmulArgs for any number of rows.
//
// k is cut into stretches so that the rows of x of one tile stay in the first cache while all outputs of a block pass
// by, and the widened weights of the block stay in the second one while all rows pass by.
#include "cpu/kernel_text/matmul_tile.h"

namespace minimax::cpu::MM_ISA {
namespace {

/// Bytes of a row of x in a stretch: six rows take half of a 48 KiB first cache and four outputs' weights a third. Half
/// of it costs twice the sums of lanes (about 30 of a tile's 800 cycles); with more, rows push each other out.
constexpr int64_t kStretchBytes = 4096;
/// Outputs of a block: their widened stretch takes 512 KiB. The fewer, the more often x is read from further away.
constexpr int64_t kBlockOutputs = 64;
/// Up to this many rows a block is a single tile of outputs, and its widened weights stay in the first cache.
constexpr int64_t kFewRows = 4 * kTileRows;
static_assert(kBlockOutputs * kStretchBytes <= kMatmulScratchBytes);

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
constexpr int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/// [0, total) in as few parts of at most `largest` as will do, of about equal sizes, all but the last multiples of
/// `step`.
class Cut {
 public:
  Cut(int64_t total, int64_t largest, int64_t step = 1)
      : total_(total), step_(step), steps_(ceil_div(total, step)), parts_(ceil_div(total, largest)) {}
  int64_t parts() const { return parts_; }
  int64_t begin(int64_t part) const { return least(steps_ * part / parts_ * step_, total_); }
  int64_t size(int64_t part) const { return begin(part + 1) - begin(part); }

 private:
  int64_t total_, step_, steps_, parts_;
};

template <typename Kind>
class Product {
 public:
  explicit Product(const MatmulArgs& args)
      : args_(args),
        w_(static_cast<const Weight*>(args.w)),
        x_(static_cast<const Value*>(args.x)),
        kept_(static_cast<Vector*>(args.scratch)),
        stretches_(args.k, kStretchBytes / (int64_t)sizeof(Value), Kind::kStep),
        row_tiles_(args.rows, kTileRows) {}

  void multiply() const {
    if (args_.k == 0) return zero();
    if (args_.rows <= kFewRows) return few_rows();
    for (int64_t first = 0; first < args_.outputs; first += kBlockOutputs)
      many_rows(first, least(kBlockOutputs, args_.outputs - first));
  }

 private:
  using Weight = typename Kind::Weight;
  using Value = typename Kind::Value;
  using Vector = typename Kind::Vector;
  static constexpr int64_t kStepBytes = Kind::kStep * (int64_t)sizeof(Weight);

  /// Outputs first, first + apart, ...; `count` of them, at most kTileOutputs.
  struct Tile {
    int64_t first, apart;
    int count;
  };

  void zero() const {
    for (int64_t row = 0; row < args_.rows; ++row)
      for (int64_t o = 0; o < args_.outputs; ++o) args_.y[row * args_.y_stride + o] = 0;
  }

  /// Reading the weights from memory takes the time. The outputs of a tile lie a quarter of all outputs apart: each of
  /// its four streams then runs through memory without a jump, and what lies beyond an output is the next one.
  void few_rows() const {
    const int64_t apart = ceil_div(args_.outputs, kTileOutputs);
    for (int64_t first = 0; first < apart; ++first) {
      const Tile tile{first, apart, (int)ceil_div(args_.outputs - first, apart)};
      for (int64_t s = 0; s < stretches_.parts(); ++s) {
        if (row_tiles_.parts() == 1)
          run<false>(stored<false>(tile, s, kept_), tile, s, 0);
        else
          rows_of_tile(tile, s);
      }
    }
  }

  /// The row tiles share the reads of the next stretch, so that memory and multiply-adds work side by side.
  void rows_of_tile(const Tile& tile, int64_t stretch) const {
    const int64_t share = stretches_.size(stretch) * (int64_t)sizeof(Weight) / row_tiles_.parts();
    auto weights = stored<true>(tile, stretch, kept_);
    weights.reads = {reinterpret_cast<const char*>(weights.at + stretches_.size(stretch)),
                     kStepBytes / row_tiles_.parts()};
    run<false>(weights, tile, stretch, 0);
    KeptWeightsAndReads<Kind> kept{{kept_}, weights.spread, weights.reads};
    for (int64_t t = 1; t < row_tiles_.parts(); ++t) {
      kept.reads.at += share;
      run<false>(kept, tile, stretch, t);
    }
  }

  /// The multiply-adds take the time: everything else hides behind them.
  void many_rows(int64_t first, int64_t outputs) const {
    const int64_t tiles = ceil_div(outputs, kTileOutputs);
    for (int64_t s = 0; s < stretches_.parts(); ++s) {
      const int64_t vectors = ceil_div(stretches_.size(s), Kind::kStep) * kTileOutputs;
      for (int64_t t = 0; t < row_tiles_.parts(); ++t)
        for (int64_t o = 0; o < tiles; ++o) {
          const Tile tile{first + o * kTileOutputs, 1, (int)least(kTileOutputs, outputs - o * kTileOutputs)};
          Vector* kept = kept_ + o * vectors;
          if (t == 0)
            run<false>(stored<true>(tile, s, kept), tile, s, t);
          else if (o + kTileRows < tiles && (row_tiles_.parts() - t) * tiles - o > outputs)
            run<false>(KeptWeights<Kind>{kept}, tile, s, t);
          else
            run<true>(KeptWeights<Kind>{kept}, tile, s, t, fetch_ahead(first, outputs, s, t, o));
        }
    }
  }

  template <bool kKeep>
  StoredWeights<Kind, kKeep> stored(const Tile& tile, int64_t stretch, Vector* kept) const {
    StoredWeights<Kind, kKeep> weights;
    weights.at = w_ + tile.first * args_.k + stretches_.begin(stretch);
    for (int o = 0; o < kTileOutputs; ++o)  // a tile with fewer outputs computes its last one again and again
      weights.spread.bytes[o] = least(o, tile.count - 1) * tile.apart * args_.k * (int64_t)sizeof(Weight);
    weights.kept = kept;
    weights.reads = {reinterpret_cast<const char*>(weights.at) + kAheadBytes, kStepBytes};
    return weights;
  }

  template <bool kFetch, typename Weights>
  void run(const Weights& weights, const Tile& tile, int64_t stretch, int64_t row_tile,
           const FetchAhead& ahead = {}) const {
    const int64_t row = row_tiles_.begin(row_tile);
    tile_of_rows<Kind, kFetch>(
        row_tiles_.size(row_tile), weights, x_ + row * args_.k + stretches_.begin(stretch), args_.k,
        stretches_.size(stretch), ahead,
        TileOut{args_.y + row * args_.y_stride + tile.first, args_.y_stride, tile.apart, tile.count, stretch > 0});
  }

  /// The last tiles of a row tile fetch the rows of the next one, not sooner because the rows in use need the room; the
  /// last tiles of a stretch the weights of the next. Elsewhere what is fetched is here already.
  FetchAhead fetch_ahead(int64_t first, int64_t outputs, int64_t stretch, int64_t row_tile, int64_t output_tile) const {
    const int64_t tiles = ceil_div(outputs, kTileOutputs), next = least(stretch + 1, stretches_.parts() - 1);
    const bool last_rows = row_tile + 1 == row_tiles_.parts();
    const int64_t next_row = last_rows ? 0 : row_tiles_.begin(row_tile + 1);
    const int64_t fetched_row = output_tile + kTileRows < tiles ? 0 : output_tile + kTileRows - tiles;
    const Value* x = x_ + least(next_row + fetched_row, args_.rows - 1) * args_.k;
    const int64_t tiles_left = (row_tiles_.parts() - row_tile) * tiles - output_tile;
    const Weight* w = tiles_left > outputs ? w_ + first * args_.k + stretches_.begin(stretch)
                                           : w_ + (first + outputs - tiles_left) * args_.k + stretches_.begin(next);
    return {reinterpret_cast<const char*>(x + stretches_.begin(last_rows ? next : stretch)),
            reinterpret_cast<const char*>(w), kStepBytes};
  }

  const MatmulArgs& args_;
  const Weight* w_;
  const Value* x_;
  Vector* kept_;  ///< widened weights of the current stretch and block: [output tiles][steps][kTileOutputs]
  Cut stretches_, row_tiles_;
};

}  // namespace

void matmul_f32(const MatmulArgs& args) {
  Product<WeightsF32>(args).multiply();
}
void matmul_bf16(const MatmulArgs& args) {
  Product<WeightsBF16>(args).multiply();
}
void matmul_f16(const MatmulArgs& args) {
  Product<WeightsF16>(args).multiply();
}
#if defined(__AVX512BF16__)
void matmul_bf16_bf16(const MatmulArgs& args) {
  Product<PairsBF16>(args).multiply();
}
#endif

}  // namespace minimax::cpu::MM_ISA
