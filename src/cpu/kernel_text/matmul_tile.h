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

/// Weights as they lie in the checkpoint: one pointer for each output. Where kKeep, they are also laid down widened,
/// for the next tiles of the same outputs; the stores vanish behind the multiply-adds.
template <typename Kind, bool kKeep>
struct StoredWeights {
  /// Prefetched this far ahead of each output's place, as in probe_read.
  static constexpr int64_t kAheadBytes = 1024;

  const typename Kind::Weight* outputs[kTileOutputs];
  typename Kind::Vector* kept;  ///< [steps][kTileOutputs]

  typename Kind::Vector load(int output, int64_t step) const {
    return keep(output, step, Kind::load_weight(outputs[output] + step * Kind::kStep));
  }
  typename Kind::Vector load_partial(int output, int64_t step, int64_t count) const {
    return keep(output, step, Kind::load_weight_partial(outputs[output] + step * Kind::kStep, count));
  }
  typename Kind::Vector keep(int output, int64_t step, typename Kind::Vector weight) const {
    if constexpr (kKeep) kept[step * kTileOutputs + output] = weight;
    return weight;
  }
  void fetch_ahead(int64_t step) const {
    MM_UNROLL for (int o = 0; o < kTileOutputs; ++o)
        __builtin_prefetch((const char*)(outputs[o] + step * Kind::kStep) + kAheadBytes);
  }
};

/// What an earlier tile kept; the vector at the end of k is padded with zeros.
template <typename Kind>
struct KeptWeights {
  const typename Kind::Vector* kept;  ///< [steps][kTileOutputs]

  typename Kind::Vector load(int output, int64_t step) const { return kept[step * kTileOutputs + output]; }
  typename Kind::Vector load_partial(int output, int64_t step, int64_t) const { return load(output, step); }
  void fetch_ahead(int64_t) const {}
};

/// The same, while the weights of the next stretch are on their way.
template <typename Kind>
struct KeptWeightsBetweenReads : KeptWeights<Kind> {
  const typename Kind::Weight* next[kTileOutputs];

  void fetch_ahead(int64_t step) const {
    MM_UNROLL for (int o = 0; o < kTileOutputs; ++o) __builtin_prefetch(next[o] + step * Kind::kStep);
  }
};

/// What a tile brings nearer while it computes: a line of x and a step of the weights with each of its steps.
struct FetchAhead {
  const char* x = nullptr;
  const char* weights = nullptr;
  int64_t weight_step_bytes = 0;
};

template <typename Kind, int kRows, bool kFetch, typename Weights>
MM_INLINE void add_stretch(const Weights& weights, const typename Kind::Value* x, int64_t x_stride, int64_t count,
                           const FetchAhead& ahead, F32 (&sums)[kRows][kTileOutputs]) {
  const int64_t steps = count / Kind::kStep, rest = count % Kind::kStep;
  for (int64_t step = 0; step < steps; ++step) {
    weights.fetch_ahead(step);
    if constexpr (kFetch) {
      __builtin_prefetch(ahead.x + step * (int64_t)sizeof(F32));
      __builtin_prefetch(ahead.weights + step * ahead.weight_step_bytes);
    }
    typename Kind::Vector values[kRows];
    MM_UNROLL for (int row = 0; row < kRows; ++row) values[row] =
        Kind::load_value(x + row * x_stride + step * Kind::kStep);
    MM_UNROLL for (int o = 0; o < kTileOutputs; ++o) {
      const typename Kind::Vector weight = weights.load(o, step);
      MM_UNROLL for (int row = 0; row < kRows; ++row) sums[row][o] =
          Kind::multiply_add(weight, values[row], sums[row][o]);
    }
  }
  if (rest == 0) return;
  typename Kind::Vector values[kRows];
  MM_UNROLL for (int row = 0; row < kRows; ++row) values[row] =
      Kind::load_value_partial(x + row * x_stride + steps * Kind::kStep, rest);
  MM_UNROLL for (int o = 0; o < kTileOutputs; ++o) {
    const typename Kind::Vector weight = weights.load_partial(o, steps, rest);
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
