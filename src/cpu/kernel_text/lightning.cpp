// Lightning attention, anchored to absolute chunks (docs/design.md, P3), one head.
//
// With S the state at the chunk's start and r the row's place in the chunk (from 0):
//   o_r = lambda^(r+1) q_r S + sum over j <= r of lambda^(r-j) (q_r . k_j) v_j
// Every output element is one chain: first q_r S over the key dimension, then the window's rows in order. Vector lanes
// are value channels (and, for the scores, keys), so the chain is the same for one row and for a whole chunk.
#include "cpu/kernel_text/broadcast_tile.h"
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
namespace {

/// Vectors of a tile of one row: 8 chains hide the latency of the multiply-add, and a whole row of 128 channels is read
/// in one go.
constexpr int kOneRowVectors = 8;
/// One row takes as long as the state takes to come from memory: it is fetched this far ahead of its use.
constexpr int64_t kAheadBytes = 2048;

/// out[row][0, columns) += sum over j in [0, count) of coefficient(row, j) * m[j][column]; j in order.
/// Coefficients of row r lie at coefficients + r * stride.
template <int kRows, int kVectors>
void accumulate_tile(const float* coefficients, int64_t stride, const float* m, int64_t m_stride, int64_t count,
                     float* out, int64_t out_stride) {
  const float* factors[kRows];
  F32 sums[kRows][kVectors];
  MM_UNROLL for (int row = 0; row < kRows; ++row) {
    factors[row] = coefficients + row * stride;
    MM_UNROLL for (int v = 0; v < kVectors; ++v) sums[row][v] = load(out + row * out_stride + v * kLanes);
  }
  if constexpr (kRows == 1)
    add_products(factors, m, m_stride, count, sums, Later<1>{(const char*)m + kAheadBytes});
  else
    add_products(factors, m, m_stride, count, sums);
  MM_UNROLL for (int row = 0; row < kRows; ++row) {
    MM_UNROLL for (int v = 0; v < kVectors; ++v) store(out + row * out_stride + v * kLanes, sums[row][v]);
  }
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

/// All columns: the widest tiles first, then ever narrower ones.
template <int kRows, int kVectors = kRows == 1 ? kOneRowVectors : kBroadcastVectors>
void accumulate_rows(const float* coefficients, int64_t stride, const float* m, int64_t m_stride, int64_t count,
                     float* out, int64_t out_stride, int64_t columns) {
  int64_t column = 0;
  for (; column + kVectors * kLanes <= columns; column += kVectors * kLanes)
    accumulate_tile<kRows, kVectors>(coefficients, stride, m + column, m_stride, count, out + column, out_stride);
  if constexpr (kVectors > 1)
    return accumulate_rows<kRows, kVectors / 2>(coefficients, stride, m + column, m_stride, count, out + column,
                                                out_stride, columns - column);
  for (; column < columns; ++column)
    accumulate_column(coefficients, stride, m + column, m_stride, count, out + column, out_stride, kRows);
}

/// Rows [d, d + kRows) of the state, columns [0, kVectors * kLanes) of `state` and `v`. The chunk's sum is made on its
/// own and added once: adding its rows to the state one by one would round 64 times at the state's magnitude.
template <int kRows, int kVectors>
void commit_tile(const float* k, const float* v, int64_t head_dim, const float* decay, float* state) {
  const float* keys[kRows];
  MM_UNROLL for (int row = 0; row < kRows; ++row) keys[row] = k + row * kChunk;
  F32 sums[kRows][kVectors] = {};
  add_products(keys, v, head_dim, kChunk, sums);
  const F32 high = broadcast(decay[kChunk]), low = broadcast(decay[kChunk + 1]);
  MM_UNROLL for (int row = 0; row < kRows; ++row) {
    MM_UNROLL for (int c = 0; c < kVectors; ++c) {
      float* to = state + row * head_dim + c * kLanes;
      const F32 before = load(to);
      store(to, fma(before, high, fma(before, low, sums[row][c])));
    }
  }
}

template <int kRows>
void commit_rows(const LightningArgs& args, int64_t d) {
  const int64_t head_dim = args.head_dim;
  const float* k = args.k_window + d * kChunk;
  float* state = args.state + d * head_dim;
  int64_t column = 0;
  for (; column + kBroadcastVectors * kLanes <= head_dim; column += kBroadcastVectors * kLanes)
    commit_tile<kRows, kBroadcastVectors>(k, args.v_window + column, head_dim, args.decay, state + column);
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
  const RowTiles tiles(args.head_dim);
  for (int64_t tile = 0; tile < tiles.count; ++tile)
    with_rows(tiles.begin(tile + 1) - tiles.begin(tile),
              [&](auto rows) { commit_rows<rows.value>(args, tiles.begin(tile)); });
}

/// to[column][row] = from[row][column] of four rows and columns.
void transpose(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  F32x4 rows[4];
  for (int row = 0; row < 4; ++row) __builtin_memcpy(&rows[row], from + row * from_stride, sizeof(F32x4));
  const F32x4 low01 = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
  const F32x4 high01 = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
  const F32x4 low23 = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
  const F32x4 high23 = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
  const F32x4 columns[4] = {
      __builtin_shufflevector(low01, low23, 0, 1, 4, 5), __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
      __builtin_shufflevector(high01, high23, 0, 1, 4, 5), __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
  for (int column = 0; column < 4; ++column) __builtin_memcpy(to + column * to_stride, &columns[column], sizeof(F32x4));
}

/// A token's q, k and v of one head lie far from those of the next token: no hardware prefetch finds them.
constexpr int64_t kRowsAhead = 16;

MM_INLINE void fetch_row(const LightningArgs& args, int64_t row) {
  for (int64_t d = 0; d < args.head_dim; d += 16) {
    __builtin_prefetch(args.q + row * args.qkv_stride + d);
    __builtin_prefetch(args.k + row * args.qkv_stride + d);
    __builtin_prefetch(args.v + row * args.qkv_stride + d);
  }
}

/// Takes the call's k and v into the window.
void fill_window(const LightningArgs& args) {
  const int64_t head_dim = args.head_dim, blocks = head_dim / 4 * 4;
  int64_t row = 0;
  for (int64_t first = 0; first < kRowsAhead && first < args.rows; ++first) fetch_row(args, first);
  for (; row + 4 <= args.rows; row += 4) {
    for (int64_t next = row + kRowsAhead; next < row + kRowsAhead + 4 && next < args.rows; ++next)
      fetch_row(args, next);
    for (int64_t d = 0; d < blocks; d += 4)
      transpose(args.k + row * args.qkv_stride + d, args.qkv_stride, args.k_window + d * kChunk + args.filled + row,
                kChunk);
  }
  const int64_t whole = row;
  for (row = 0; row < args.rows; ++row) {
    const float* k = args.k + row * args.qkv_stride;
    for (int64_t d = row < whole ? blocks : 0; d < head_dim; ++d) args.k_window[d * kChunk + args.filled + row] = k[d];
    __builtin_memcpy(args.v_window + (args.filled + row) * head_dim, args.v + row * args.qkv_stride,
                     (uint64_t)head_dim * sizeof(float));
  }
}

/// Rows [first_row, first_row + kRows) of the call, whose keys are in the window.
template <int kRows>
void attend_rows(const LightningArgs& args, int64_t first_row) {
  const int64_t head_dim = args.head_dim, first = args.filled + first_row;
  const float* q = args.q + first_row * args.qkv_stride;
  float* out = args.out + first_row * args.out_stride;
  for (int64_t row = 0; row < kRows; ++row)
    __builtin_memset(out + row * args.out_stride, 0, (uint64_t)head_dim * sizeof(float));
  accumulate_rows<kRows>(q, args.qkv_stride, args.state, head_dim, head_dim, out, args.out_stride, head_dim);

  // Scores against the keys of the window, in whole vectors: those past a row's own place are computed and never used.
  float scores[kRows * kChunk] = {};
  const int64_t keys = (first + kRows + kLanes - 1) / kLanes * kLanes;
  accumulate_rows<kRows, kBroadcastVectors>(q, args.qkv_stride, args.k_window, kChunk, head_dim, scores, kChunk, keys);
  for (int64_t row = 0; row < kRows; ++row) {
    const int64_t place = first + row;
    for (int64_t key = 0; key <= place; ++key) scores[row * kChunk + key] *= args.decay[place - key];
    const float carried = args.decay[place + 1];
    for (int64_t d = 0; d < head_dim; ++d) out[row * args.out_stride + d] *= carried;
  }

  // Keys every row of the tile may see, then each row's own last ones: in order for each row.
  const int64_t shared = first + 1;
  accumulate_rows<kRows>(scores, kChunk, args.v_window, head_dim, shared, out, args.out_stride, head_dim);
  for (int64_t row = 1; row < kRows; ++row)
    accumulate_rows<1>(scores + row * kChunk + shared, 0, args.v_window + shared * head_dim, head_dim, row,
                       out + row * args.out_stride, 0, head_dim);
}

}  // namespace

void lightning(const LightningArgs& args) {
  fill_window(args);
  const RowTiles tiles(args.rows);
  for (int64_t tile = 0; tile < tiles.count; ++tile)
    with_rows(tiles.begin(tile + 1) - tiles.begin(tile),
              [&](auto rows) { attend_rows<rows.value>(args, tiles.begin(tile)); });

  if (args.filled + args.rows == kChunk) commit(args);
}

}  // namespace minimax::cpu::MM_ISA
