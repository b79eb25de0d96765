// Sums of outer products: out[row][column] (+)= sum over j of a[row][j] * m[j][column].
//
// What gradients are made of: dX = dY W takes a = dY and m = W, dW = dY^T X takes a = dY^T (read with swapped strides)
// and m = X. Vector lanes are columns, so m is read as it lies; a is broadcast. j runs in order: one chain for each
// element whatever the tile.
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
namespace {

constexpr int kRowTile = 6;  // with four vectors: 24 sums, 4 values and a broadcast in 32 registers
constexpr int kColumnTile = kLanes == 4 ? 2 : 4;
/// Terms added before going to the next tile: 256 rows of four vectors are 64 KiB of m, read by every row tile in turn
/// from the second-level cache.
constexpr int64_t kTerms = 256;

template <typename Element>
F32 load_widened(const Element* from);
template <>
inline F32 load_widened(const float* from) {
  return load(from);
}
template <>
inline F32 load_widened(const uint16_t* from) {
  return load_bf16(from);
}
inline float widen(float x) {
  return x;
}
inline float widen(uint16_t x) {
  const uint32_t bits = (uint32_t)x << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

template <typename Element, int kRows, int kVectors>
void tile(const OuterArgs& args, int64_t row, int64_t column, int64_t first, int64_t last) {
  const auto* m = static_cast<const Element*>(args.m) + column;
  F32 sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v)
      sums[r][v] =
          first == 0 && !args.accumulate ? F32{} : load(args.out + (row + r) * args.out_stride + column + v * kLanes);
  const float* a = args.a + row * args.a_row_stride;
  for (int64_t j = first; j < last; ++j) {
    F32 values[kVectors];
    for (int v = 0; v < kVectors; ++v) values[v] = load_widened<Element>(m + j * args.m_stride + v * kLanes);
    for (int r = 0; r < kRows; ++r) {
      const F32 factor = broadcast(a[r * args.a_row_stride + j * args.a_term_stride]);
      for (int v = 0; v < kVectors; ++v) sums[r][v] = fma(factor, values[v], sums[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) store(args.out + (row + r) * args.out_stride + column + v * kLanes, sums[r][v]);
}

template <typename Element>
void odd_column(const OuterArgs& args, int64_t rows, int64_t row, int64_t column, int64_t first, int64_t last) {
  const auto* m = static_cast<const Element*>(args.m) + column;
  for (int64_t r = row; r < row + rows; ++r) {
    float& out = args.out[r * args.out_stride + column];
    F32 sum = broadcast(first == 0 && !args.accumulate ? 0.0f : out);
    for (int64_t j = first; j < last; ++j)
      sum = fma(broadcast(args.a[r * args.a_row_stride + j * args.a_term_stride]),
                broadcast(widen(m[j * args.m_stride])), sum);
    out = sum[0];
  }
}

template <typename Element, int kRows>
void columns(const OuterArgs& args, int64_t row, int64_t first, int64_t last) {
  int64_t column = 0;
  for (; column + kColumnTile * kLanes <= args.columns; column += kColumnTile * kLanes)
    tile<Element, kRows, kColumnTile>(args, row, column, first, last);
  for (; column + kLanes <= args.columns; column += kLanes) tile<Element, kRows, 1>(args, row, column, first, last);
  for (; column < args.columns; ++column) odd_column<Element>(args, kRows, row, column, first, last);
}

template <typename Element>
void outer(const OuterArgs& args) {
  for (int64_t first = 0; first < args.terms || first == 0; first += kTerms) {
    const int64_t last = first + kTerms < args.terms ? first + kTerms : args.terms;
    int64_t row = 0;
    for (; row + kRowTile <= args.rows; row += kRowTile) columns<Element, kRowTile>(args, row, first, last);
    for (; row < args.rows; ++row) columns<Element, 1>(args, row, first, last);
  }
}

}  // namespace

void outer_f32(const OuterArgs& args) {
  outer<float>(args);
}
void outer_bf16(const OuterArgs& args) {
  outer<uint16_t>(args);
}

}  // namespace minimax::cpu::MM_ISA
