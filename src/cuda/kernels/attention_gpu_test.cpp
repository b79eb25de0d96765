#include <gtest/gtest.h>

#include <algorithm>

#include "core/rng.h"
#include "cuda/kernels/gpu_support.h"

namespace minimax::cuda {
namespace {

using Launcher = Failure (*)(const AttentionDecodeArgs&, Stream);

/// Sequences of given numbers of keys over shuffled pages; what no key was written to holds NaN.
struct Case {
  int64_t heads, kv_heads, head_dim, max_pages;
  std::vector<int64_t> contexts;
  std::vector<uint16_t> q, k, v;
  std::vector<int32_t> page_table, positions;

  int64_t seqs() const { return static_cast<int64_t>(contexts.size()); }
  int64_t place(int64_t seq, int64_t key, int64_t kv_head) const {
    const int64_t page = page_table[seq * max_pages + key / kChunk];
    return ((page * kv_heads + kv_head) * kChunk + key % kChunk) * head_dim;
  }
};

Case random_case(int64_t heads, int64_t kv_heads, int64_t head_dim, std::vector<int64_t> contexts, int64_t spare_pages,
                 uint64_t seed) {
  Case c{heads, kv_heads, head_dim, 0, std::move(contexts), {}, {}, {}, {}, {}};
  Rng rng(seed);
  int64_t pages = 1;
  for (int64_t context : c.contexts) {
    c.max_pages = std::max(c.max_pages, (context + kChunk - 1) / kChunk + spare_pages);
    pages += (context + kChunk - 1) / kChunk;
    c.positions.push_back(static_cast<int32_t>(context - 1));
  }
  std::vector<int32_t> free;
  for (int64_t page = 0; page < pages; ++page) free.push_back(static_cast<int32_t>(page));
  for (size_t i = free.size(); i > 1; --i) std::swap(free[i - 1], free[rng.below(i)]);
  c.page_table.assign(static_cast<size_t>(c.seqs() * c.max_pages), -1);  // never to be followed
  c.k.assign(static_cast<size_t>(pages * kv_heads * kChunk * head_dim), 0x7fc0);
  c.v = c.k;
  for (int64_t seq = 0; seq < c.seqs(); ++seq) {
    for (int64_t page = 0; page * kChunk < c.contexts[seq]; ++page) {
      c.page_table[seq * c.max_pages + page] = free.back();
      free.pop_back();
    }
    for (int64_t key = 0; key < c.contexts[seq]; ++key)
      for (int64_t kv_head = 0; kv_head < kv_heads; ++kv_head)
        for (int64_t d = 0; d < head_dim; ++d) {
          c.k[c.place(seq, key, kv_head) + d] = to_bf16(static_cast<float>(rng.normal()));
          c.v[c.place(seq, key, kv_head) + d] = to_bf16(static_cast<float>(rng.normal() + 0.25));
        }
    // Some queries look at one key, some at all.
    for (int64_t i = 0; i < heads * head_dim; ++i)
      c.q.push_back(to_bf16(static_cast<float>(rng.normal() * (i / head_dim % 3))));
  }
  return c;
}

std::vector<uint16_t> run(Launcher launch, const Case& c) {
  const DeviceArray<uint16_t> q(c.q), k(c.k), v(c.v);
  const DeviceArray<int32_t> page_table(c.page_table), positions(c.positions);
  DeviceArray<uint16_t> out(static_cast<int64_t>(c.q.size()));
  DeviceArray<float> workspace(attention_workspace_bytes(c.seqs(), c.heads, c.head_dim, c.max_pages) / 4);
  out.poison(), workspace.poison();
  check(launch({.q = q.get(),
                .k_pages = k.get(),
                .v_pages = v.get(),
                .page_table = page_table.get(),
                .positions = positions.get(),
                .out = out.get(),
                .workspace = workspace.get(),
                .seqs = c.seqs(),
                .heads = c.heads,
                .kv_heads = c.kv_heads,
                .head_dim = c.head_dim,
                .max_pages = c.max_pages,
                .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c.head_dim)))},
               nullptr));
  return out.host();
}

std::vector<double> reference(const Case& c) {
  std::vector<double> out(c.q.size());
  for (int64_t seq = 0; seq < c.seqs(); ++seq)
    for (int64_t head = 0; head < c.heads; ++head) {
      const int64_t kv_head = head / (c.heads / c.kv_heads), row = (seq * c.heads + head) * c.head_dim;
      std::vector<double> weights;
      for (int64_t key = 0; key < c.contexts[seq]; ++key) {
        double score = 0;
        for (int64_t d = 0; d < c.head_dim; ++d)
          score += from_bf16(c.q[row + d]) * from_bf16(c.k[c.place(seq, key, kv_head) + d]);
        weights.push_back(score / std::sqrt(static_cast<double>(c.head_dim)));
      }
      const double largest = *std::max_element(weights.begin(), weights.end());
      double total = 0;
      for (double& weight : weights) total += weight = std::exp(weight - largest);
      for (int64_t key = 0; key < c.contexts[seq]; ++key)
        for (int64_t d = 0; d < c.head_dim; ++d)
          out[row + d] += weights[key] / total * from_bf16(c.v[c.place(seq, key, kv_head) + d]);
    }
  return out;
}

double relative_error(const std::vector<uint16_t>& got, const std::vector<double>& want) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double x = from_bf16(got[i]);
    if (!std::isfinite(x)) return INFINITY;
    difference += (x - want[i]) * (x - want[i]);
    norm += want[i] * want[i];
  }
  return std::sqrt(difference / norm);
}

TEST(AttentionGpu, SimpleAgreesWithFloat64) {
  const Case c = random_case(6, 2, 32, {1, 65, 200}, 1, 1);
  EXPECT_LT(relative_error(run(gpu().attention_decode_simple, c), reference(c)), 2e-3);
}

TEST(AttentionGpu, AgreesWithFloat64) {
  for (int64_t context : {1, 15, 16, 33, 63, 64, 65, 100, 1023, 1024, 1025, 5000}) {
    const Case c = random_case(16, 2, 128, {context}, context % 3, static_cast<uint64_t>(context));
    const std::vector<uint16_t> got = run(gpu().attention_decode, c);
    const double error = relative_error(got, reference(c));
    EXPECT_LT(error, 4e-3) << context;
    EXPECT_EQ(got, run(gpu().attention_decode, c)) << "not the same bits twice";
    std::printf("  %lld keys: error %.2e\n", static_cast<long long>(context), error);
  }
}

// A sequence's result is the same bits alone and in company, and with a page table sized for a longer one.
TEST(AttentionGpu, CompanyChangesNoBit) {
  const Case many = random_case(64, 8, 128, {3, 1500, 64, 2049, 700}, 0, 3);
  const std::vector<uint16_t> all = run(gpu().attention_decode, many);
  EXPECT_LT(relative_error(all, reference(many)), 4e-3);
  for (int64_t seq = 0; seq < many.seqs(); ++seq) {
    Case one = many;
    const int64_t row = many.heads * many.head_dim;
    one.contexts = {many.contexts[seq]};
    one.positions = {many.positions[seq]};
    one.q.assign(many.q.begin() + seq * row, many.q.begin() + (seq + 1) * row);
    one.max_pages = many.max_pages + 40;
    one.page_table.assign(static_cast<size_t>(one.max_pages), -1);
    std::copy_n(many.page_table.begin() + seq * many.max_pages, many.max_pages, one.page_table.begin());
    const std::vector<uint16_t> alone = run(gpu().attention_decode, one);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), all.begin() + seq * row)) << seq;
  }
}

TEST(AttentionGpu, RefusesWhatItCannotDo) {
  EXPECT_STREQ(gpu().attention_decode({.seqs = 1, .heads = 6, .kv_heads = 2, .head_dim = 128, .max_pages = 1}, nullptr),
               "attention_decode: head_dim is not 128, or there are not 8 query heads for each kv head");
  EXPECT_STREQ(gpu().attention_decode({.seqs = 1, .heads = 7, .kv_heads = 2, .head_dim = 128, .max_pages = 1}, nullptr),
               "attention_decode: heads are no multiple of kv_heads, or there are no pages");
}

}  // namespace
}  // namespace minimax::cuda
