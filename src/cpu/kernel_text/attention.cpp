// Softmax attention of one kv head's query group over paged keys, by the running-maximum recurrence.
//
// A row walks the pages at absolute positions in order. For each page: 64 scores (lanes are keys), the page's maximum,
// weights, one rescale of what was summed before, then the page's values in order (lanes are channels). Nothing depends
// on how many rows are computed together. Values of keys that a row may not see are not touched.
#include "cpu/kernel_text/broadcast_tile.h"
#include "cpu/kernel_text/softmax_page.h"
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
namespace {

static_assert(kPageVectors % kBroadcastVectors == 0);

/// scores[row][key] = q[row] . k[key] for one page.
template <int kRows, typename Fetch>
MM_INLINE void score_page(const float* const (&q)[kRows], const float* k, int64_t head_dim, float* scores,
                          Fetch& fetch) {
  for (int first = 0; first < kPageVectors; first += kBroadcastVectors) {
    F32 sums[kRows][kBroadcastVectors] = {};
    add_products(q, k + first * kLanes, kChunk, head_dim, sums, fetch);
    MM_UNROLL for (int row = 0; row < kRows; ++row) {
      MM_UNROLL for (int v = 0; v < kBroadcastVectors; ++v)
          store(scores + row * kChunk + (first + v) * kLanes, sums[row][v]);
    }
  }
}

/// out[row] = out[row] * rescale[row] + sum over keys in order of weight[row][key] * v[key], for some columns.
template <int kRows, int kVectors, typename Fetch>
MM_INLINE void add_value_columns(const float* const (&weights)[kRows], const float* rescale, const float* v,
                                 int64_t keys, int64_t head_dim, float* out, Fetch& fetch) {
  F32 sums[kRows][kVectors];
  MM_UNROLL for (int row = 0; row < kRows; ++row) {
    MM_UNROLL for (int c = 0; c < kVectors; ++c) sums[row][c] = load(out + row * head_dim + c * kLanes) * rescale[row];
  }
  add_products(weights, v, head_dim, keys, sums, fetch);
  MM_UNROLL for (int row = 0; row < kRows; ++row) {
    MM_UNROLL for (int c = 0; c < kVectors; ++c) store(out + row * head_dim + c * kLanes, sums[row][c]);
  }
}

/// The same for all columns; row r's weights lie at weights + r * kChunk.
template <int kRows, typename Fetch>
void add_values(const float* weights, const float* rescale, const float* v, int64_t keys, int64_t head_dim, float* out,
                Fetch& fetch) {
  const float* rows[kRows];
  for (int row = 0; row < kRows; ++row) rows[row] = weights + row * kChunk;
  int64_t column = 0;
  for (; column + kBroadcastVectors * kLanes <= head_dim; column += kBroadcastVectors * kLanes)
    add_value_columns<kRows, kBroadcastVectors>(rows, rescale, v + column, keys, head_dim, out + column, fetch);
  for (; column + kLanes <= head_dim; column += kLanes)
    add_value_columns<kRows, 1>(rows, rescale, v + column, keys, head_dim, out + column, fetch);
  for (; column < head_dim; ++column)
    for (int row = 0; row < kRows; ++row) {
      F32 sum = broadcast(out[row * head_dim + column] * rescale[row]);
      for (int64_t key = 0; key < keys; ++key)
        sum = fma(broadcast(rows[row][key]), broadcast(v[key * head_dim + column]), sum);
      out[row * head_dim + column] = sum[0];
    }
}

/// Rows [first_row, first_row + kRows) against one page. They may stand on both sides of its end. A row that sees
/// nothing of the page keeps its sums (no keys, rescale 1), which changes no bit of them.
template <int kRows, typename Fetch>
void attend_page(const AttentionArgs& args, int64_t first_row, int64_t page, Fetch fetch) {
  const int64_t page_key = page * kChunk;
  if (page_key > position_of(args, first_row + kRows - 1)) return;  // rows are in order of position
  const float* q[kRows];
  for (int row = 0; row < kRows; ++row) {
    const int64_t r = first_row + row;
    q[row] = args.q + (r / args.group) * args.q_stride + (r % args.group) * args.head_dim;
  }
  float scores[kRows * kChunk];
  const auto* k = static_cast<const float*>(args.k_pages[page]);
  const auto* v = static_cast<const float*>(args.v_pages[page]);
  score_page(q, k, args.head_dim, scores, fetch);

  float rescale[kRows];
  int64_t visible[kRows];
  int64_t shared = kChunk;
  for (int row = 0; row < kRows; ++row) {
    visible[row] = visible_keys(args, first_row + row, page_key);
    if (visible[row] < shared) shared = visible[row];
    rescale[row] = 1;
    if (visible[row] == 0) continue;
    F32 weights[kPageVectors];
    MM_UNROLL for (int c = 0; c < kPageVectors; ++c) weights[c] = load(scores + row * kChunk + c * kLanes) * args.scale;
    hide_keys(weights, visible[row], -__builtin_inff());
    rescale[row] = weigh_page(weights, args.max_score[first_row + row], args.weight_sum[first_row + row]);
    MM_UNROLL for (int c = 0; c < kPageVectors; ++c) store(scores + row * kChunk + c * kLanes, weights[c]);
  }
  // Keys every row of the tile may see, then each row's own last ones. Weight 0 would not do for those a row may not
  // see: 0 times a later token's infinity is NaN.
  float* out = args.out + first_row * args.head_dim;
  add_values<kRows>(scores, rescale, v, shared, args.head_dim, out, fetch);
  const float kKeep = 1;
  Nothing nothing;
  for (int row = 0; row < kRows; ++row)
    if (visible[row] > shared)
      add_values<1>(scores + row * kChunk + shared, &kKeep, v + shared * args.head_dim, visible[row] - shared,
                    args.head_dim, out + row * args.head_dim, nothing);
}

}  // namespace

/// Page by page, so that a page is read from memory once for all rows. The first two tiles of rows bring the next page
/// nearer, one its k and one its v: with the 8 rows of a decode step reading and computing take about as long.
void attend(const AttentionArgs& args) {
  const RowTiles tiles(args.rows);
  const int64_t last_seen = position_of(args, args.rows - 1) / kChunk;
  const int64_t first = args.first_key / kChunk, split_end = first + kSplitKeys / kChunk;
  const int64_t end = last_seen < split_end ? last_seen + 1 : split_end;
  for (int64_t page = first; page < end; ++page)
    for (int64_t tile = 0; tile < tiles.count; ++tile) {
      const int64_t row = tiles.begin(tile), rows = tiles.begin(tile + 1) - row;
      if (tile < 2 && page + 1 < end) {
        const Later<2> later{(const char*)(tile == 0 ? args.k_pages : args.v_pages)[page + 1]};
        with_rows(rows, [&](auto count) { attend_page<count.value>(args, row, page, later); });
      } else {
        with_rows(rows, [&](auto count) { attend_page<count.value>(args, row, page, Nothing{}); });
      }
    }
}

void merge_softmax(float* out, float* max_score, float* weight_sum, const float* split_out, float split_max,
                   float split_sum, int64_t head_dim) {
  const float new_max = split_max > *max_score ? split_max : *max_score;
  const float old_scale = exp(broadcast(*max_score - new_max))[0];
  const float split_scale = exp(broadcast(split_max - new_max))[0];
  for (int64_t d = 0; d < head_dim; ++d) out[d] = out[d] * old_scale + split_out[d] * split_scale;
  *weight_sum = *weight_sum * old_scale + split_sum * split_scale;
  *max_score = new_max;
}

}  // namespace minimax::cpu::MM_ISA
