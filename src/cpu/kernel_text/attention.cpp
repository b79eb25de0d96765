// Softmax attention of one kv head's query group over paged keys, by the running-maximum recurrence.
//
// A row walks the pages at absolute positions in order. For each page: 64 scores (lanes are keys), the page's maximum,
// weights, one rescale of what was summed before, then the page's values in order (lanes are channels). Nothing depends
// on how many rows are computed together. Values of keys that a row may not see are not touched.
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
namespace {

constexpr int kRowTile = 4;
constexpr int kPageVectors = (int)(kChunk / kLanes);
constexpr int kColumnTile = 4;

/// scores[row][key] = q[row] . k[key] for one page.
template <int kRows, int kVectors>
void score_tile(const float* const* q, const float* k, int64_t head_dim, float* scores) {
  F32 sums[kRows][kVectors] = {};
  for (int64_t d = 0; d < head_dim; ++d) {
    F32 keys[kVectors];
    for (int v = 0; v < kVectors; ++v) keys[v] = load(k + d * kChunk + v * kLanes);
    for (int row = 0; row < kRows; ++row) {
      const F32 query = broadcast(q[row][d]);
      for (int v = 0; v < kVectors; ++v) sums[row][v] = fma(query, keys[v], sums[row][v]);
    }
  }
  for (int row = 0; row < kRows; ++row)
    for (int v = 0; v < kVectors; ++v) store(scores + row * kChunk + v * kLanes, sums[row][v]);
}

template <int kRows>
void score_page(const float* const* q, const float* k, int64_t head_dim, float* scores) {
  constexpr int kVectors = kPageVectors < 4 ? kPageVectors : 4;
  for (int v = 0; v < kPageVectors; v += kVectors)
    score_tile<kRows, kVectors>(q, k + v * kLanes, head_dim, scores + v * kLanes);
}

/// Turns one row's scores of a page into weights; returns what the row's sums so far must be multiplied with.
float weigh_page(float* scores, int64_t visible, float scale, float& max_score, float& weight_sum) {
  const float kMinusInfinity = -__builtin_inff();
  for (int64_t key = 0; key < kChunk; ++key) scores[key] = key < visible ? scores[key] * scale : kMinusInfinity;
  F32 largest = load(scores);
  for (int v = 1; v < kPageVectors; ++v) largest = max(load(scores + v * kLanes), largest);
  const float page_max = max_of_lanes(largest);
  const float new_max = page_max > max_score ? page_max : max_score;
  const float rescale = exp(broadcast(max_score - new_max))[0];  // 0 on the first page: exp(-inf)
  F32 sum{};
  for (int v = 0; v < kPageVectors; ++v) {
    const F32 weight = exp(load(scores + v * kLanes) - new_max);
    store(scores + v * kLanes, weight);
    sum += weight;
  }
  weight_sum = weight_sum * rescale + sum_of_lanes(sum);
  max_score = new_max;
  return rescale;
}

/// out[row] = out[row] * rescale[row] + sum over keys in order of weight[row][key] * v[key].
template <int kRows, int kVectors>
void value_tile(const float* weights, const float* rescale, const float* v, int64_t keys, int64_t head_dim,
                float* out) {
  F32 sums[kRows][kVectors];
  for (int row = 0; row < kRows; ++row)
    for (int c = 0; c < kVectors; ++c) sums[row][c] = load(out + row * head_dim + c * kLanes) * rescale[row];
  for (int64_t key = 0; key < keys; ++key) {
    F32 values[kVectors];
    for (int c = 0; c < kVectors; ++c) values[c] = load(v + key * head_dim + c * kLanes);
    for (int row = 0; row < kRows; ++row) {
      const F32 weight = broadcast(weights[row * kChunk + key]);
      for (int c = 0; c < kVectors; ++c) sums[row][c] = fma(weight, values[c], sums[row][c]);
    }
  }
  for (int row = 0; row < kRows; ++row)
    for (int c = 0; c < kVectors; ++c) store(out + row * head_dim + c * kLanes, sums[row][c]);
}

template <int kRows>
void add_values(const float* weights, const float* rescale, const float* v, int64_t keys, int64_t head_dim,
                float* out) {
  int64_t column = 0;
  for (; column + kColumnTile * kLanes <= head_dim; column += kColumnTile * kLanes)
    value_tile<kRows, kColumnTile>(weights, rescale, v + column, keys, head_dim, out + column);
  for (; column + kLanes <= head_dim; column += kLanes)
    value_tile<kRows, 1>(weights, rescale, v + column, keys, head_dim, out + column);
  for (; column < head_dim; ++column)
    for (int row = 0; row < kRows; ++row) {
      F32 sum = broadcast(out[row * head_dim + column] * rescale[row]);
      for (int64_t key = 0; key < keys; ++key)
        sum = fma(broadcast(weights[row * kChunk + key]), broadcast(v[key * head_dim + column]), sum);
      out[row * head_dim + column] = sum[0];
    }
}

template <int kRows>
void attend_rows(const AttentionArgs& args, int64_t first_row) {
  const float* q[kRows];
  int64_t last_key[kRows];
  for (int row = 0; row < kRows; ++row) {
    const int64_t r = first_row + row;
    q[row] = args.q + (r / args.group) * args.q_stride + (r % args.group) * args.head_dim;
    last_key[row] = args.first_position + r / args.group;
  }
  float scores[kRows * kChunk];
  float rescale[kRows];
  const int64_t first_page = args.first_key / kChunk;
  for (int64_t page = first_page; page < first_page + kSplitKeys / kChunk; ++page) {
    const int64_t page_key = page * kChunk;
    if (page_key > last_key[kRows - 1]) break;  // rows are in order of position: the last sees furthest
    // The tile's rows may stand on both sides of a page boundary. A row that sees nothing of this page keeps its sums
    // (no keys, rescale 1), which changes no bit of them.
    score_page<kRows>(q, args.k_pages[page], args.head_dim, scores);
    int64_t visible[kRows];
    int64_t shared = kChunk;
    for (int row = 0; row < kRows; ++row) {
      visible[row] = last_key[row] - page_key + 1;
      if (visible[row] > kChunk) visible[row] = kChunk;
      if (visible[row] < 0) visible[row] = 0;
      if (visible[row] < shared) shared = visible[row];
      rescale[row] = 1;
      if (visible[row] > 0)
        rescale[row] = weigh_page(scores + row * kChunk, visible[row], args.scale, args.max_score[first_row + row],
                                  args.weight_sum[first_row + row]);
    }
    // Keys every row of the tile may see, then each row's own last ones. Weight 0 would not do for those a row may not
    // see: 0 times a later token's infinity is NaN.
    float* out = args.out + first_row * args.head_dim;
    const float* v = args.v_pages[page];
    add_values<kRows>(scores, rescale, v, shared, args.head_dim, out);
    const float kKeep = 1;
    for (int row = 0; row < kRows; ++row)
      if (visible[row] > shared)
        add_values<1>(scores + row * kChunk + shared, &kKeep, v + shared * args.head_dim, visible[row] - shared,
                      args.head_dim, out + row * args.head_dim);
  }
}

}  // namespace

void attend(const AttentionArgs& args) {
  int64_t row = 0;
  for (; row + kRowTile <= args.rows; row += kRowTile) attend_rows<kRowTile>(args, row);
  for (; row < args.rows; ++row) attend_rows<1>(args, row);
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
