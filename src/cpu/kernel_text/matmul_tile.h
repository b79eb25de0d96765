// The register tile of the products: a few outputs times a few rows, with lanes along k.
//
// A tile walks one stretch of k with one accumulator vector for each (output, row), adds each one's lanes by the tree
// of sum_of_lanes, and adds the result to y.
#pragma once

#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
namespace {

/// Outputs of a tile: as many as sums_of_lanes reduces at once.
constexpr int kTileOutputs = 4;
/// Rows of a tile at most: with their values and one vector of weights the accumulators fill the registers (32, 16,
/// 16). A tile of 4 x 6 makes 24 multiply-adds of 10 loads.
#if defined(__AVX512F__)
constexpr int kTileRows = 6;
#elif defined(__AVX2__)
constexpr int kTileRows = 3;
#else
constexpr int kTileRows = 2;
#endif

// How the vectors of a product are loaded and added up. A step is the part of k one vector covers.

template <typename WeightElement, F32 (*kLoad)(const WeightElement*),
          F32 (*kLoadPartial)(const WeightElement*, int64_t)>
struct Widened {
  using Weight = WeightElement;
  using Value = float;
  using Vector = F32;
  static constexpr int kStep = kLanes;
  static Vector load_weight(const Weight* from) { return kLoad(from); }
  static Vector load_weight_partial(const Weight* from, int64_t count) { return kLoadPartial(from, count); }
  static Vector load_value(const Value* from) { return load(from); }
  static Vector load_value_partial(const Value* from, int64_t count) { return load_partial(from, count); }
  static F32 multiply_add(Vector weight, Vector value, F32 sum) { return fma(weight, value, sum); }
};
using WeightsF32 = Widened<float, load, load_partial>;
using WeightsBF16 = Widened<uint16_t, load_bf16, load_bf16_partial>;
using WeightsF16 = Widened<uint16_t, load_f16, load_f16_partial>;

#if defined(__AVX512BF16__)
struct PairsBF16 {
  using Weight = uint16_t;
  using Value = uint16_t;
  using Vector = BF16Pairs;
  static constexpr int kStep = 2 * kLanes;
  static Vector load_weight(const Weight* from) { return load_pairs(from); }
  static Vector load_weight_partial(const Weight* from, int64_t count) { return load_pairs_partial(from, count); }
  static Vector load_value(const Value* from) { return load_pairs(from); }
  static Vector load_value_partial(const Value* from, int64_t count) { return load_pairs_partial(from, count); }
  static F32 multiply_add(Vector weight, Vector value, F32 sum) { return dot_bf16(weight, value, sum); }
};
#endif

// The places a tile reads from move on by one step at a time: pointers that run, and distances that stay. GCC would
// rather keep a pointer for every stream, and those it has no registers for in memory, at a third of the speed of few
// rows; hence move_on(), which hides from it where a pointer has been. All of it is MM_INLINE also because GCC takes a
// function that only prefetches for one without effect, and drops the calls.

template <typename T>
MM_INLINE void move_on(const T*& at, int64_t bytes) {
  at = (const T*)((const char*)at + bytes);
  asm("" : "+r"(at));
}

/// How far the weights of a tile's outputs lie from those of its first one, in bytes.
struct Spread {
  int64_t bytes[kTileOutputs];
};

/// Weights are read from memory kAheadBytes before their use, and once more from the second cache kNearBytes before it.
/// Zen 5, one row of bfloat16, share of the read bandwidth: 90% so; 85% without the second fetch; 83% with 1536 bytes
/// ahead, 74% with 4096; 77% without any.
constexpr int64_t kAheadBytes = 2048, kNearBytes = 256;

/// Weights that are on their way from memory while a tile computes with others: of each output some bytes with each
/// step.
struct Reads {
  const char* at;
  int64_t step_bytes;

  MM_INLINE void go_on(const Spread& spread) {
    MM_UNROLL for (int o = 0; o < kTileOutputs; ++o) __builtin_prefetch(at + spread.bytes[o]);
    move_on(at, step_bytes);
  }
};

/// Weights as they lie in the checkpoint. Where kKeep, they are also laid down widened, for the next tiles of the same
/// outputs; the stores vanish behind the multiply-adds.
template <typename Kind, bool kKeep>
struct StoredWeights {
  const typename Kind::Weight* at;
  Spread spread;
  typename Kind::Vector* kept;  ///< [steps][kTileOutputs]
  Reads reads;

  MM_INLINE const typename Kind::Weight* of(int output) const {
    return (const typename Kind::Weight*)((const char*)at + spread.bytes[output]);
  }
  MM_INLINE typename Kind::Vector load(int output) const { return keep(output, Kind::load_weight(of(output))); }
  MM_INLINE typename Kind::Vector load_partial(int output, int64_t count) const {
    return keep(output, Kind::load_weight_partial(of(output), count));
  }
  MM_INLINE typename Kind::Vector keep(int output, typename Kind::Vector weight) const {
    if constexpr (kKeep) kept[output] = weight;
    return weight;
  }
  MM_INLINE void next_step() {
    MM_UNROLL for (int o = 0; o < kTileOutputs; ++o) {
      __builtin_prefetch(reads.at + spread.bytes[o]);
      __builtin_prefetch((const char*)of(o) + kNearBytes);
    }
    move_on(reads.at, reads.step_bytes);
    move_on(at, Kind::kStep * (int64_t)sizeof(*at));
    kept += kTileOutputs;
  }
};

/// What an earlier tile kept; the vector at the end of k is padded with zeros.
template <typename Kind>
struct KeptWeights {
  const typename Kind::Vector* kept;  ///< [steps][kTileOutputs]

  MM_INLINE typename Kind::Vector load(int output) const { return kept[output]; }
  MM_INLINE typename Kind::Vector load_partial(int output, int64_t) const { return kept[output]; }
  MM_INLINE void next_step() { kept += kTileOutputs; }
};

template <typename Kind>
struct KeptWeightsAndReads : KeptWeights<Kind> {
  Spread spread;
  Reads reads;

  MM_INLINE void next_step() {
    reads.go_on(spread);
    KeptWeights<Kind>::next_step();
  }
};

/// What a tile brings nearer while it computes: a line of x and a step of the weights with each of its steps.
struct FetchAhead {
  const char* x = nullptr;
  const char* weights = nullptr;
  int64_t weight_step_bytes = 0;

  MM_INLINE void next_step() {
    __builtin_prefetch(x);
    __builtin_prefetch(weights);
    move_on(x, sizeof(F32));
    move_on(weights, weight_step_bytes);
  }
};

template <typename Kind, int kRows, bool kFetch, typename Weights>
MM_INLINE void add_stretch(Weights weights, const typename Kind::Value* x, int64_t x_stride, int64_t count,
                           FetchAhead ahead, F32 (&sums)[kRows][kTileOutputs]) {
  typename Kind::Vector values[kRows];
  int64_t left = count;
  for (; left >= Kind::kStep; left -= Kind::kStep) {
    MM_UNROLL for (int row = 0; row < kRows; ++row) values[row] = Kind::load_value(x + row * x_stride);
    MM_UNROLL for (int o = 0; o < kTileOutputs; ++o) {
      const typename Kind::Vector weight = weights.load(o);
      MM_UNROLL for (int row = 0; row < kRows; ++row) sums[row][o] =
          Kind::multiply_add(weight, values[row], sums[row][o]);
    }
    move_on(x, sizeof(F32));
    weights.next_step();
    if constexpr (kFetch) ahead.next_step();
  }
  if (left == 0) return;
  MM_UNROLL for (int row = 0; row < kRows; ++row) values[row] = Kind::load_value_partial(x + row * x_stride, left);
  MM_UNROLL for (int o = 0; o < kTileOutputs; ++o) {
    const typename Kind::Vector weight = weights.load_partial(o, left);
    MM_UNROLL for (int row = 0; row < kRows; ++row) sums[row][o] =
        Kind::multiply_add(weight, values[row], sums[row][o]);
  }
}

/// Where a tile's results go: output o of row r to y[r * row_stride + o * output_stride], for the first `outputs`.
struct TileOut {
  float* y;
  int64_t row_stride, output_stride;
  int outputs;
  bool add;  ///< to what is there, from the second stretch on

  MM_INLINE void put(int row, F32x4 sums) const {
    float* to = y + row * row_stride;
    if (output_stride == 1 && outputs == kTileOutputs) {
      F32x4 before{};
      if (add) __builtin_memcpy(&before, to, sizeof(before));
      sums = add ? before + sums : sums;
      __builtin_memcpy(to, &sums, sizeof(sums));
      return;
    }
    for (int o = 0; o < outputs; ++o) to[o * output_stride] = add ? to[o * output_stride] + sums[o] : sums[o];
  }
};

template <typename Kind, int kRows, bool kFetch, typename Weights>
void tile(const Weights& weights, const typename Kind::Value* x, int64_t x_stride, int64_t count,
          const FetchAhead& ahead, const TileOut& out) {
  F32 sums[kRows][kTileOutputs] = {};
  add_stretch<Kind, kRows, kFetch>(weights, x, x_stride, count, ahead, sums);
  MM_UNROLL for (int row = 0; row < kRows; ++row)
      out.put(row, sums_of_lanes(sums[row][0], sums[row][1], sums[row][2], sums[row][3]));
}

/// tile() of 1 ... kTileRows rows.
template <typename Kind, bool kFetch, int kRows = kTileRows, typename... Arguments>
void tile_of_rows(int64_t rows, const Arguments&... arguments) {
  if constexpr (kRows > 1)
    if (rows < kRows) return tile_of_rows<Kind, kFetch, kRows - 1>(rows, arguments...);
  tile<Kind, kRows, kFetch>(arguments...);
}

}  // namespace
}  // namespace minimax::cpu::MM_ISA
