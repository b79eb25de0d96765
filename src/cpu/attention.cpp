#include "cpu/attention.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "cpu/isa.h"

namespace minimax::cpu {
namespace {

/// Positions of one work item: with 8 heads to a group, 128 rows share each page they walk.
constexpr int64_t kItemPositions = 16;

/// Pages of codes have this many more rows of kChunk bytes: a float32 scale for each key.
constexpr int64_t kScaleRows = 4;

int64_t head_dim_of(const Tensor& k_pages) {
  return k_pages.dim(2) - (k_pages.dtype() == DType::kUInt8 ? kScaleRows : 0);
}
/// Of one kv head.
int64_t page_bytes(const Tensor& k_pages) {
  return k_pages.dim(2) * kChunk * size_of(k_pages.dtype());
}

/// Some consecutive tokens of one sequence against one kv head.
struct Item {
  int64_t seq, kv_head;
  int64_t token, positions;  // first token of the batch, how many
  int64_t first_position;
  int64_t splits() const { return (first_position + positions - 1) / kSplitKeys + 1; }
};

/// Running softmax of an item's rows over some of the keys.
struct Partial {
  float* out;  // [rows, head_dim]
  float* max_score;
  float* weight_sum;

  void reset(int64_t rows, int64_t head_dim) const {
    std::memset(out, 0, static_cast<size_t>(rows * head_dim) * sizeof(float));
    std::fill_n(max_score, rows, -std::numeric_limits<float>::infinity());
    std::fill_n(weight_sum, rows, 0.0f);
  }
};

class Attention {
 public:
  Attention(const Tensor& q, const Tensor& positions, const Tensor& cu_seqlens, const Tensor& page_table,
            const Tensor& k_pages, const Tensor& v_pages, const Tensor& out)
      : q_(q),
        out_(out),
        coded_(k_pages.dtype() == DType::kUInt8),
        head_dim_(head_dim_of(k_pages)),
        group_(q.dim(1) / (k_pages.dim(1) * head_dim_)) {
    const int64_t kv_heads = k_pages.dim(1), max_pages = page_table.dim(1);
    const int64_t seqs = cu_seqlens.dim(0) - 1, head_bytes = page_bytes(k_pages);
    for (int64_t seq = 0; seq < seqs; ++seq) {
      const int64_t begin = cu_seqlens.data<int32_t>()[seq], end = cu_seqlens.data<int32_t>()[seq + 1];
      const int64_t first = positions.data<int32_t>()[begin];
      const int64_t pages = (first + end - begin - 1) / kChunk + 1;
      for (int64_t kv_head = 0; kv_head < kv_heads; ++kv_head) {
        page_offsets_.push_back(static_cast<int64_t>(k_page_of_.size()));
        for (int64_t page = 0; page < pages; ++page) {
          const int64_t id = page_table.data<int32_t>()[seq * max_pages + page];
          k_page_of_.push_back(static_cast<const char*>(k_pages.raw()) + (id * kv_heads + kv_head) * head_bytes);
          v_page_of_.push_back(static_cast<const char*>(v_pages.raw()) + (id * kv_heads + kv_head) * head_bytes);
        }
      }
      for (int64_t token = begin; token < end; token += kItemPositions)
        for (int64_t kv_head = 0; kv_head < kv_heads; ++kv_head)
          items_.push_back({seq, kv_head, token, std::min(kItemPositions, end - token), first + token - begin});
    }
    kv_heads_ = kv_heads;
  }

  void run(const Context& ctx) {
    if (coded_) code_queries(ctx);
    int64_t splits = 0;
    for (const Item& item : items_) splits = std::max(splits, item.splits());
    // Few items with long contexts (decode): one thread's work is a split of an item. Many items: a whole item, whose
    // splits are merged as they come. The sums are the same either way.
    const int64_t count = static_cast<int64_t>(items_.size());
    if (splits > 1 && count < 4 * ctx.threads->size())
      run_by_split(ctx, splits);
    else
      ctx.threads->parallel_for(count, 1, [&](int64_t begin, int64_t end) {
        std::vector<float> total(partial_floats()), part(partial_floats());
        for (int64_t i = begin; i < end; ++i) {
          const Partial sum = partial_at(total.data()), next = partial_at(part.data());
          attend(items_[i], 0, sum);
          for (int64_t split = 1; split < items_[i].splits(); ++split) {
            attend(items_[i], split, next);
            merge(items_[i], sum, next);
          }
          finish(items_[i], sum);
        }
      });
  }

 private:
  int64_t max_rows() const { return kItemPositions * group_; }
  size_t partial_floats() const { return static_cast<size_t>(max_rows() * (head_dim_ + 2)); }
  Partial partial_at(float* floats) const {
    return {floats, floats + max_rows() * head_dim_, floats + max_rows() * (head_dim_ + 1)};
  }

  void run_by_split(const Context& ctx, int64_t splits) const {
    const int64_t count = static_cast<int64_t>(items_.size()), floats = static_cast<int64_t>(partial_floats());
    const Tensor parts = ctx.empty({count, splits, floats});
    auto part = [&](int64_t item, int64_t split) {
      return partial_at(parts.data<float>() + (item * splits + split) * floats);
    };
    ctx.threads->parallel_for(count * splits, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        if (i % splits < items_[i / splits].splits())
          attend(items_[i / splits], i % splits, part(i / splits, i % splits));
    });
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t split = 1; split < items_[i].splits(); ++split) merge(items_[i], part(i, 0), part(i, split));
      finish(items_[i], part(i, 0));
    }
  }

  /// Queries as codes, once for all keys they meet.
  void code_queries(const Context& ctx) {
    const int64_t tokens = q_.dim(0), heads = kv_heads_ * group_;
    planes_ = ctx.empty({tokens, heads, 2 * head_dim_}, DType::kUInt8);
    queries_.resize(static_cast<size_t>(tokens * heads));
    ctx.threads->parallel_for(tokens, kItemPositions, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * heads; i < end * heads; ++i) {
        queries_[i].planes = static_cast<int8_t*>(planes_.raw()) + i * 2 * head_dim_;
        kernels().code_query(q_.data<float>() + i * head_dim_, head_dim_, queries_[i]);
      }
    });
  }

  void attend(const Item& item, int64_t split, const Partial& partial) const {
    const int64_t rows = item.positions * group_;
    partial.reset(rows, head_dim_);
    const int64_t pages = page_offsets_[item.seq * kv_heads_ + item.kv_head];
    const auto attend = coded_ ? kernels().attend_codes : kernels().attend;
    const CodedQuery* queries =
        coded_ ? queries_.data() + item.token * kv_heads_ * group_ + item.kv_head * group_ : nullptr;
    attend({.q = q_.data<float>() + item.token * q_.dim(1) + item.kv_head * group_ * head_dim_,
            .q_stride = q_.dim(1),
            .coded = queries,
            .coded_stride = kv_heads_ * group_,
            .k_pages = k_page_of_.data() + pages,
            .v_pages = v_page_of_.data() + pages,
            .out = partial.out,
            .max_score = partial.max_score,
            .weight_sum = partial.weight_sum,
            .first_position = item.first_position,
            .first_key = split * kSplitKeys,
            .rows = rows,
            .group = group_,
            .head_dim = head_dim_,
            .scale = 1.0f / std::sqrt(static_cast<float>(head_dim_))});
  }

  /// Rows that see none of the later split keep their bits: they are left alone, not merged with nothing. A sum that is
  /// NaN is merged, so that it shows.
  void merge(const Item& item, const Partial& sum, const Partial& next) const {
    for (int64_t row = 0; row < item.positions * group_; ++row)
      if (next.weight_sum[row] != 0)
        kernels().merge_softmax(sum.out + row * head_dim_, sum.max_score + row, sum.weight_sum + row,
                                next.out + row * head_dim_, next.max_score[row], next.weight_sum[row], head_dim_);
  }

  void finish(const Item& item, const Partial& sum) const {
    for (int64_t row = 0; row < item.positions * group_; ++row) {
      float* to = out_.data<float>() + (item.token + row / group_) * out_.dim(1) +
                  (item.kv_head * group_ + row % group_) * head_dim_;
      for (int64_t d = 0; d < head_dim_; ++d) to[d] = sum.out[row * head_dim_ + d] / sum.weight_sum[row];
    }
  }

  const Tensor& q_;
  const Tensor& out_;
  bool coded_;
  int64_t head_dim_, group_, kv_heads_;
  std::vector<const void*> k_page_of_, v_page_of_;  // by (seq, kv head, page)
  std::vector<int64_t> page_offsets_;               // by (seq, kv head)
  std::vector<Item> items_;
  Tensor planes_;
  std::vector<CodedQuery> queries_;  // by (token, head)
};

}  // namespace

namespace {

/// One head's k or v of one token into its page: value d to place d * stride.
void store_floats(const float* from, int64_t head_dim, int64_t stride, float* to) {
  for (int64_t d = 0; d < head_dim; ++d) to[d * stride] = from[d];
}

/// As codes + `offset`; four neighbouring values together in a page of keys (kKeys), else 4 bytes apart. Returns their
/// scale.
template <bool kKeys>
float store_codes(const float* from, int64_t head_dim, int8_t* to) {
  float peak = 0;
  bool finite = true;
  for (int64_t d = 0; d < head_dim; ++d) {
    peak = std::max(peak, std::abs(from[d]));
    finite &= std::isfinite(from[d]);  // max() takes no notice of a NaN
  }
  const float inverse = finite && peak > 1e-30f ? 127.0f / peak : 0.0f;
  for (int64_t d = 0; d < head_dim; ++d) {
    // Adding 1.5 * 2^23 rounds to an integer, to even in the middle.
    const float shifted = (inverse == 0 ? 0 : from[d] * inverse) + 12582912.0f;
    const int32_t code = std::bit_cast<int32_t>(shifted) - 0x4b400000;
    if (kKeys)
      to[d / 4 * 4 * kChunk + d % 4] = static_cast<int8_t>(static_cast<uint8_t>(code + 128));
    else
      to[d * 4] = static_cast<int8_t>(code);
  }
  return !finite ? std::numeric_limits<float>::quiet_NaN() : inverse == 0 ? 0.0f : peak / 127.0f;
}

}  // namespace

void store_kv(const Context& ctx, const Tensor& k, const Tensor& v, const Tensor& positions, const Tensor& cu_seqlens,
              const Tensor& page_table, const Tensor& k_pages, const Tensor& v_pages) {
  const bool coded = k_pages.dtype() == DType::kUInt8;
  const int64_t kv_heads = k_pages.dim(1), head_dim = head_dim_of(k_pages), max_pages = page_table.dim(1);
  const int64_t seqs = cu_seqlens.dim(0) - 1, head_bytes = page_bytes(k_pages);
  // [head_dim, kChunk] and [kChunk, head_dim], or codes as Kernels::attend_codes wants them.
  const auto store = [&](const float* key, const float* value, int64_t place, int64_t row) {
    char* k_page = static_cast<char*>(k_pages.raw()) + place * head_bytes;
    char* v_page = static_cast<char*>(v_pages.raw()) + place * head_bytes;
    if (!coded) {
      store_floats(key, head_dim, kChunk, reinterpret_cast<float*>(k_page) + row);
      return store_floats(value, head_dim, 1, reinterpret_cast<float*>(v_page) + row * head_dim);
    }
    auto *k_codes = reinterpret_cast<int8_t*>(k_page), *v_codes = reinterpret_cast<int8_t*>(v_page);
    const int64_t codes = head_dim * kChunk;
    reinterpret_cast<float*>(k_page + codes)[row] = store_codes<true>(key, head_dim, k_codes + row * 4);
    reinterpret_cast<float*>(v_page + codes)[row] =
        store_codes<false>(value, head_dim, v_codes + row / 4 * 4 * head_dim + row % 4);
  };
  for (int64_t seq = 0; seq < seqs; ++seq) {
    const int64_t first = cu_seqlens.data<int32_t>()[seq], end = cu_seqlens.data<int32_t>()[seq + 1];
    ctx.threads->parallel_for(end - first, 64, [&](int64_t begin, int64_t stop) {
      for (int64_t token = first + begin; token < first + stop; ++token) {
        const int64_t position = positions.data<int32_t>()[token];
        const int64_t page = page_table.data<int32_t>()[seq * max_pages + position / kChunk];
        const int64_t row = position % kChunk;
        for (int64_t head = 0; head < kv_heads; ++head) {
          const int64_t from = (token * kv_heads + head) * head_dim;
          store(k.data<float>() + from, v.data<float>() + from, page * kv_heads + head, row);
        }
      }
    });
  }
}

void attention(const Context& ctx, const Tensor& q, const Tensor& positions, const Tensor& cu_seqlens,
               const Tensor& page_table, const Tensor& k_pages, const Tensor& v_pages, const Tensor& out) {
  Attention(q, positions, cu_seqlens, page_table, k_pages, v_pages, out).run(ctx);
}

}  // namespace minimax::cpu
