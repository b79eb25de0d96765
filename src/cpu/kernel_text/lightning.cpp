// Lightning attention, anchored to absolute chunks (docs/design.md, P3), one head.
//
// With S the state at the chunk's start and r the row's place in the chunk (from 0):
//   o_r = lambda^(r+1) q_r S + sum over j <= r of lambda^(r-j) (q_r . k_j) v_j
// Every output element is one chain: first q_r S over the key dimension, then the window's rows in order. Vector lanes
// are value channels (and, for the scores, keys), so the chain is the same for one row and for a whole chunk.
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
namespace {

constexpr int kRowTile = 4;  // rows and vectors of a register tile: 16 accumulators
constexpr int kColumnTile = 4;

/// out[row][0, columns) += sum over j in [0, count) of coefficient(row, j) * m[j][column]; j in order.
/// Coefficients of row r lie at coefficients + r * stride.
template <int kRows, int kVectors>
void accumulate_tile(const float* coefficients, int64_t stride, const float* m, int64_t m_stride, int64_t count,
                     float* out, int64_t out_stride) {
  F32 sums[kRows][kVectors];
  for (int row = 0; row < kRows; ++row)
    for (int v = 0; v < kVectors; ++v) sums[row][v] = load(out + row * out_stride + v * kLanes);
  for (int64_t j = 0; j < count; ++j) {
    F32 values[kVectors];
    for (int v = 0; v < kVectors; ++v) values[v] = load(m + j * m_stride + v * kLanes);
    for (int row = 0; row < kRows; ++row) {
      const F32 coefficient = broadcast(coefficients[row * stride + j]);
      for (int v = 0; v < kVectors; ++v) sums[row][v] = fma(coefficient, values[v], sums[row][v]);
    }
  }
  for (int row = 0; row < kRows; ++row)
    for (int v = 0; v < kVectors; ++v) store(out + row * out_stride + v * kLanes, sums[row][v]);
}

/// Columns that do not fill a vector: the same chain, element by element. a * b + c is spelled with the vector fma so
/// that it rounds as the tiles do.
void accumulate_column(const float* coefficients, int64_t stride, const float* m, int64_t m_stride, int64_t count,
                       float* out, int64_t out_stride, int64_t rows) {
  for (int64_t row = 0; row < rows; ++row) {
    F32 sum = broadcast(out[row * out_stride]);
    for (int64_t j = 0; j < count; ++j)
      sum = fma(broadcast(coefficients[row * stride + j]), broadcast(m[j * m_stride]), sum);
    out[row * out_stride] = sum[0];
  }
}

template <int kRows>
void accumulate_rows(const float* coefficients, int64_t stride, const float* m, int64_t m_stride, int64_t count,
                     float* out, int64_t out_stride, int64_t columns) {
  int64_t column = 0;
  for (; column + kColumnTile * kLanes <= columns; column += kColumnTile * kLanes)
    accumulate_tile<kRows, kColumnTile>(coefficients, stride, m + column, m_stride, count, out + column, out_stride);
  for (; column + kLanes <= columns; column += kLanes)
    accumulate_tile<kRows, 1>(coefficients, stride, m + column, m_stride, count, out + column, out_stride);
  for (; column < columns; ++column)
    accumulate_column(coefficients, stride, m + column, m_stride, count, out + column, out_stride, kRows);
}

/// Rows [d, d + kRows) of the state, columns [0, kVectors * kLanes) of `state` and `v`. The chunk's sum is made on its
/// own and added once: adding its rows to the state one by one would round 64 times at the state's magnitude.
template <int kRows, int kVectors>
void commit_tile(const float* k, const float* v, int64_t head_dim, const float* decay, float* state) {
  F32 sums[kRows][kVectors] = {};
  for (int64_t key = 0; key < kChunk; ++key) {
    F32 values[kVectors];
    for (int c = 0; c < kVectors; ++c) values[c] = load(v + key * head_dim + c * kLanes);
    for (int row = 0; row < kRows; ++row) {
      const F32 weight = broadcast(k[row * kChunk + key]);
      for (int c = 0; c < kVectors; ++c) sums[row][c] = fma(weight, values[c], sums[row][c]);
    }
  }
  const F32 high = broadcast(decay[kChunk]), low = broadcast(decay[kChunk + 1]);
  for (int row = 0; row < kRows; ++row)
    for (int c = 0; c < kVectors; ++c) {
      float* to = state + row * head_dim + c * kLanes;
      const F32 before = load(to);
      store(to, fma(before, high, fma(before, low, sums[row][c])));
    }
}

template <int kRows>
void commit_rows(const LightningArgs& args, int64_t d) {
  const int64_t head_dim = args.head_dim;
  const float* k = args.k_window + d * kChunk;
  float* state = args.state + d * head_dim;
  int64_t column = 0;
  for (; column + kColumnTile * kLanes <= head_dim; column += kColumnTile * kLanes)
    commit_tile<kRows, kColumnTile>(k, args.v_window + column, head_dim, args.decay, state + column);
  for (; column + kLanes <= head_dim; column += kLanes)
    commit_tile<kRows, 1>(k, args.v_window + column, head_dim, args.decay, state + column);
  for (; column < head_dim; ++column)
    for (int row = 0; row < kRows; ++row) {
      F32 sum{};
      for (int64_t key = 0; key < kChunk; ++key)
        sum = fma(broadcast(k[row * kChunk + key]), broadcast(args.v_window[key * head_dim + column]), sum);
      float& to = state[row * head_dim + column];
      const F32 low = fma(broadcast(to), broadcast(args.decay[kChunk + 1]), sum);
      to = fma(broadcast(to), broadcast(args.decay[kChunk]), low)[0];
    }
}

/// S <- lambda^C S + sum over j of (lambda^(C-1-j) k_j)^T v_j
void commit(const LightningArgs& args) {
  for (int64_t d = 0; d < args.head_dim; ++d)  // the window is spent: weigh its keys in place
    for (int64_t key = 0; key < kChunk; ++key) args.k_window[d * kChunk + key] *= args.decay[kChunk - 1 - key];
  int64_t d = 0;
  for (; d + kRowTile <= args.head_dim; d += kRowTile) commit_rows<kRowTile>(args, d);
  for (; d < args.head_dim; ++d) commit_rows<1>(args, d);
}

}  // namespace

void lightning(const LightningArgs& args) {
  const int64_t head_dim = args.head_dim;
  const int64_t filled = args.filled;
  const int64_t end = filled + args.rows;

  for (int64_t row = filled; row < end; ++row) {
    const float* k = args.k + (row - filled) * args.qkv_stride;
    const float* v = args.v + (row - filled) * args.qkv_stride;
    for (int64_t d = 0; d < head_dim; ++d) args.k_window[d * kChunk + row] = k[d];
    __builtin_memcpy(args.v_window + row * head_dim, v, (uint64_t)head_dim * sizeof(float));
  }

  // Scores of up to kRowTile rows against the keys of the window, in whole vectors: lanes past a row's own place are
  // computed and never used.
  float scores[kRowTile * kChunk];
  for (int64_t first = filled; first < end; first += kRowTile) {
    const int64_t rows = end - first < kRowTile ? end - first : kRowTile;
    const float* q = args.q + (first - filled) * args.qkv_stride;
    float* out = args.out + (first - filled) * args.out_stride;
    const int64_t keys = (first + rows + kLanes - 1) / kLanes * kLanes;

    for (int64_t row = 0; row < rows; ++row) {
      __builtin_memset(out + row * args.out_stride, 0, (uint64_t)head_dim * sizeof(float));
      __builtin_memset(scores + row * kChunk, 0, (uint64_t)keys * sizeof(float));
    }
    if (rows == kRowTile) {
      accumulate_rows<kRowTile>(q, args.qkv_stride, args.state, head_dim, head_dim, out, args.out_stride, head_dim);
      accumulate_rows<kRowTile>(q, args.qkv_stride, args.k_window, kChunk, head_dim, scores, kChunk, keys);
    } else {
      for (int64_t row = 0; row < rows; ++row) {
        accumulate_rows<1>(q + row * args.qkv_stride, 0, args.state, head_dim, head_dim, out + row * args.out_stride, 0,
                           head_dim);
        accumulate_rows<1>(q + row * args.qkv_stride, 0, args.k_window, kChunk, head_dim, scores + row * kChunk, 0,
                           keys);
      }
    }
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t place = first + row;
      for (int64_t key = 0; key <= place; ++key) scores[row * kChunk + key] *= args.decay[place - key];
      const float carried = args.decay[place + 1];
      for (int64_t d = 0; d < head_dim; ++d) out[row * args.out_stride + d] *= carried;
    }
    // Keys every row of the tile may see, then each row's own last ones: in order for each row.
    const int64_t shared = rows == kRowTile ? first + 1 : 0;
    if (shared > 0)
      accumulate_rows<kRowTile>(scores, kChunk, args.v_window, head_dim, shared, out, args.out_stride, head_dim);
    for (int64_t row = 0; row < rows; ++row)
      accumulate_rows<1>(scores + row * kChunk + shared, 0, args.v_window + shared * head_dim, head_dim,
                         first + row + 1 - shared, out + row * args.out_stride, 0, head_dim);
  }

  if (end == kChunk) commit(args);
}

}  // namespace minimax::cpu::MM_ISA
