// Softmax attention of one kv head's query group over pages of 8-bit keys and values.
//
// A query has 16 bits against its largest value, a page's weights have 15 against the largest of the row. Then q . k
// and the sum of a page's values are integers, exact in any order, and one multiply-add a page takes them into the
// row's sums. A code is at most 1/2 in 127 off: what is lost on this side of the products is nothing beside it.
#include "cpu/kernel_text/broadcast_tile.h"
#include "cpu/kernel_text/fine_codes.h"
#include "cpu/kernel_text/softmax_page.h"
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
namespace {

/// Vectors of a tile: 6 rows, two planes each, fill 24 of 32 registers; 12 of 16.
#if defined(__AVX512F__)
constexpr int kCodeVectors = 2;
#else
constexpr int kCodeVectors = 1;
#endif

/// sums[row] = sum over groups of four of fine[row] times the bytes at m, m + stride, ...
/// fine[row]: two planes, `plane` bytes apart.
template <int kRows, int kVectors, bool kSigned, typename Fetch>
MM_INLINE void add_groups(const int8_t* const (&fine)[kRows], int64_t plane, const int8_t* m, int64_t stride,
                          int64_t groups, FineSum (&sums)[kRows][kVectors], Fetch& fetch) {
  for (int64_t group = 0; group < groups; ++group, m += stride) {
    fetch.template go_on<kVectors>();
    ByteGroups<kSigned> bytes[kVectors];
    MM_UNROLL for (int v = 0; v < kVectors; ++v) bytes[v] = ByteGroups<kSigned>::load(m + v * 4 * kLanes);
    MM_UNROLL for (int row = 0; row < kRows; ++row) {
      const FineGroup four = FineGroup::load(fine[row] + group * 4, fine[row] + plane + group * 4);
      MM_UNROLL for (int v = 0; v < kVectors; ++v) sums[row][v].add(bytes[v], four);
    }
  }
}

/// totals[row][key] = q[row] . k[key] in codes, for one page.
template <int kRows, typename Fetch>
MM_INLINE void score_page(const int8_t* const (&q)[kRows], const int32_t (&offsets)[kRows], const int8_t* k,
                          int64_t head_dim, int32_t* totals, Fetch& fetch) {
  for (int first = 0; first < kPageVectors; first += kCodeVectors) {
    FineSum sums[kRows][kCodeVectors] = {};
    add_groups<kRows, kCodeVectors, false>(q, head_dim, k + first * 4 * kLanes, 4 * kChunk, head_dim / 4, sums, fetch);
    MM_UNROLL for (int row = 0; row < kRows; ++row) {
      MM_UNROLL for (int v = 0; v < kCodeVectors; ++v) {
        const U32 total = sums[row][v].total() - (uint32_t)offsets[row];
        __builtin_memcpy(totals + row * kChunk + (first + v) * kLanes, &total, sizeof(total));
      }
    }
  }
}

/// Numbers of the rows of a tile side by side, in whole vectors.
constexpr int kSlots = kLanes < 8 ? 8 : kLanes;
static_assert(kBroadcastRows <= kSlots);

/// A page's scales of keys or values.
struct Scales {
  F32 part[kPageVectors];

  MM_INLINE explicit Scales(const float* from) {
    MM_UNROLL for (int v = 0; v < kPageVectors; ++v) part[v] = load(from + v * kLanes);
  }
  /// NaN when one of them is.
  MM_INLINE float largest() const {
    F32 most = part[0], sum = part[0];
    MM_UNROLL for (int v = 1; v < kPageVectors; ++v) {
      most = max(part[v], most);
      sum += part[v];
    }
    const float check = sum_of_lanes(sum);
    return check == check ? max_of_lanes(most) : check;
  }
};

/// A tile's rows against one page, between the two products. All rows pass each step together: alone, one row's steps
/// would wait for each other.
template <int kRows>
struct PageWeights {
  float rescale[kSlots];             // of what was summed before
  float units[kSlots];               // what a weight of 1 stands for
  int8_t planes[kRows][2 * kChunk];  // weights times the scales of their values, fine

  /// totals: [kRows, kChunk] scores in codes; q_scales take them to scores. Updates max_score and weight_sum.
  MM_INLINE void make(const int32_t* totals, const float* q_scales, const int64_t* visible, const float* key_scales,
                      const float* value_scales, float* max_score, float* weight_sum) {
    const Scales keys(key_scales), values(value_scales);
    F32 scores[kRows][kPageVectors];
    float page_max[kSlots] = {}, old_max[kSlots] = {}, value_max[kSlots] = {};
    const float largest_value = visible[0] == kChunk ? values.largest() : 0;  // rows that see less come first
    MM_UNROLL for (int row = 0; row < kRows; ++row) {
      MM_UNROLL for (int v = 0; v < kPageVectors; ++v) {
        I32 total;
        __builtin_memcpy(&total, totals + row * kChunk + v * kLanes, sizeof(total));
        scores[row][v] = to_floats(total) * q_scales[row] * keys.part[v];
      }
      hide_keys(scores[row], visible[row], -__builtin_inff());
      F32 most = scores[row][0];
      MM_UNROLL for (int v = 1; v < kPageVectors; ++v) most = max(scores[row][v], most);
      page_max[row] = max_of_lanes(most);
      old_max[row] = max_score[row];
      value_max[row] = largest_value;
      if (visible[0] == kChunk) continue;
      Scales seen = values;  // what lies where no value was written yet may be anything
      hide_keys(seen.part, visible[row], 0);
      value_max[row] = seen.largest();
    }
    float new_max[kSlots], inverse[kSlots];
    MM_UNROLL for (int slot = 0; slot < kSlots; slot += kLanes) {
      const F32 page = load(page_max + slot), old = load(old_max + slot);
      const auto rises = page > old;
      // Of the sums so far and of this page the one with the lower maximum shrinks; the first page makes nothing of
      // nothing.
      const F32 shrink = exp(rises ? old - page : page - old), one = broadcast(1);
      store(new_max + slot, rises ? page : old);
      store(rescale + slot, rises ? shrink : one);
      // No weight is above this; a NaN stays one.
      const F32 most = (rises ? one : shrink) * load(value_max + slot);
      const auto nothing = most < broadcast(1e-30f);
      store(units + slot, nothing ? F32{} : most * (1.0f / (float)kLargestUnsigned));
      store(inverse + slot, nothing ? F32{} : broadcast((float)kLargestUnsigned) / most);
    }
    MM_UNROLL for (int row = 0; row < kRows; ++row) {
      F32 sum{};
      MM_UNROLL for (int v = 0; v < kPageVectors; ++v) {
        scores[row][v] = exp(scores[row][v] - new_max[row]);
        sum += scores[row][v];
      }
      weight_sum[row] = weight_sum[row] * rescale[row] + sum_of_lanes(sum);
      max_score[row] = new_max[row];
      Scales seen = values;
      hide_keys(seen.part, visible[row], 0);
      MM_UNROLL for (int v = 0; v < kPageVectors; ++v) {
        const F32 weight = scores[row][v] * seen.part[v] * broadcast(inverse[row]);
        split_fine(nearest(weight), false, planes[row] + v * kLanes, planes[row] + kChunk + v * kLanes);
      }
    }
  }
};

/// out[row] = out[row] * rescale[row] + units[row] * the page's values times the row's weights, for some columns.
template <int kRows, int kVectors, typename Fetch>
MM_INLINE void add_value_columns(const int8_t* const (&weights)[kRows], const float* rescale, const float* units,
                                 const int8_t* v, int64_t head_dim, float* out, int64_t columns, Fetch& fetch) {
  FineSum sums[kRows][kVectors] = {};
  add_groups<kRows, kVectors, true>(weights, kChunk, v, 4 * head_dim, kChunk / 4, sums, fetch);
  MM_UNROLL for (int row = 0; row < kRows; ++row) {
    MM_UNROLL for (int c = 0; c < kVectors; ++c) {
      float* to = out + row * head_dim + c * kLanes;
      const F32 values = to_floats((I32)sums[row][c].total());
      const bool whole = columns >= (c + 1) * kLanes;
      const F32 before = whole ? load(to) : load_partial(to, columns - c * kLanes);
      const F32 after = fma(values, broadcast(units[row]), before * broadcast(rescale[row]));
      whole ? store(to, after) : store_partial(to, after, columns - c * kLanes);
    }
  }
}

/// Rows [first_row, first_row + kRows) against one page, of which each sees something.
template <int kRows, typename Fetch>
void attend_page(const AttentionArgs& args, int64_t first_row, int64_t page, Fetch next_k, Fetch next_v) {
  const int64_t page_key = page * kChunk, head_dim = args.head_dim;
  const int8_t* q[kRows];
  int32_t offsets[kRows];
  float q_scales[kRows];
  int64_t visible[kRows];
  for (int row = 0; row < kRows; ++row) {
    const int64_t r = first_row + row;
    const CodedQuery& coded = args.coded[(r / args.group) * args.coded_stride + r % args.group];
    q[row] = coded.planes;
    offsets[row] = coded.offset;
    q_scales[row] = coded.scale * args.scale;
    visible[row] = visible_keys(args, r, page_key);
  }
  const auto* k = static_cast<const int8_t*>(args.k_pages[page]);
  const auto* v = static_cast<const int8_t*>(args.v_pages[page]);
  const auto* key_scales = (const float*)(const void*)(k + head_dim * kChunk);
  const auto* value_scales = (const float*)(const void*)(v + head_dim * kChunk);
  int32_t totals[kRows * kChunk];
  score_page(q, offsets, k, head_dim, totals, next_k);

  PageWeights<kRows> page_weights;
  page_weights.make(totals, q_scales, visible, key_scales, value_scales, args.max_score + first_row,
                    args.weight_sum + first_row);
  const int8_t* weights[kRows];
  for (int row = 0; row < kRows; ++row) weights[row] = page_weights.planes[row];
  const float *rescale = page_weights.rescale, *units = page_weights.units;
  float* out = args.out + first_row * head_dim;
  constexpr int kColumns = kCodeVectors * kLanes;
  int64_t column = 0;
  for (; column + kColumns <= head_dim; column += kColumns)
    add_value_columns<kRows, kCodeVectors>(weights, rescale, units, v + column * 4, head_dim, out + column, kColumns,
                                           next_v);
  // Bytes past the last column are the next group's, or scales.
  for (; column < head_dim; column += kLanes)
    add_value_columns<kRows, 1>(weights, rescale, units, v + column * 4, head_dim, out + column, head_dim - column,
                                next_v);
}

void fetch_scales(const char* scales) {
  for (int64_t byte = 0; byte < kChunk * (int64_t)sizeof(float); byte += 64) __builtin_prefetch(scales + byte);
}

}  // namespace

void code_query(const float* q, int64_t head_dim, CodedQuery& coded) {
  // As integers, so that a NaN is the largest of all.
  int32_t bits = 0;
  for (int64_t d = 0; d < head_dim; ++d) {
    int32_t magnitude;
    __builtin_memcpy(&magnitude, q + d, sizeof(magnitude));
    magnitude &= 0x7fffffff;
    bits = magnitude > bits ? magnitude : bits;
  }
  float peak;
  __builtin_memcpy(&peak, &bits, sizeof(peak));
  const bool finite = bits < 0x7f800000, nothing = !finite || peak < 1e-30f;
  coded.scale = !finite ? __builtin_nanf("") : nothing ? 0 : peak / (float)kLargestSigned;
  const float inverse = nothing ? 0 : (float)kLargestSigned / peak;
  U32 total{};
  for (int64_t d = 0; d < head_dim; d += kLanes) {
    float part[kLanes] = {};
    for (int64_t i = d; i < d + kLanes && i < head_dim; ++i) part[i - d] = q[i];
    const I32 codes = nothing ? I32{} : nearest(load(part) * inverse);
    total += (U32)codes;
    int8_t first[kLanes], second[kLanes];
    split_fine(codes, true, first, second);
    const int64_t count = head_dim - d < kLanes ? head_dim - d : kLanes;
    __builtin_memcpy(coded.planes + d, first, (uint64_t)count);
    __builtin_memcpy(coded.planes + head_dim + d, second, (uint64_t)count);
  }
  uint32_t sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += total[lane];
  coded.offset = (int32_t)(sum * 128);
}

/// Page by page, so that a page is read from memory once for all rows; the first tile of rows brings the next page
/// nearer, k and then v.
void attend_codes(const AttentionArgs& args) {
  const RowTiles tiles(args.rows);
  const int64_t last_seen = position_of(args, args.rows - 1) / kChunk;
  const int64_t first = args.first_key / kChunk, split_end = first + kSplitKeys / kChunk;
  const int64_t end = last_seen < split_end ? last_seen + 1 : split_end;
  for (int64_t page = first; page < end; ++page)
    for (int64_t tile = 0; tile < tiles.count; ++tile) {
      const int64_t row = tiles.begin(tile), rows = tiles.begin(tile + 1) - row;
      if (position_of(args, row) < page * kChunk) {
        // Rows are in order of position: those of the tile that see the page, one by one.
        for (int64_t r = row; r < row + rows; ++r)
          if (position_of(args, r) >= page * kChunk) attend_page<1>(args, r, page, Nothing{}, Nothing{});
      } else if (tile == 0 && page + 1 < end) {
        const auto *next_k = (const char*)args.k_pages[page + 1], *next_v = (const char*)args.v_pages[page + 1];
        fetch_scales(next_k + args.head_dim * kChunk);
        fetch_scales(next_v + args.head_dim * kChunk);
        with_rows(rows,
                  [&](auto count) { attend_page<count.value>(args, row, page, Later<1>{next_k}, Later<1>{next_v}); });
      } else {
        with_rows(rows, [&](auto count) { attend_page<count.value>(args, row, page, Nothing{}, Nothing{}); });
      }
    }
}

}  // namespace minimax::cpu::MM_ISA
