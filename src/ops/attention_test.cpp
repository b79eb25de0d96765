#include "ops/attention.h"

#include <limits>
#include <numeric>

#include "cpu/attention.h"
#include "cpu/kernels.h"
#include "ops/test_batches.h"

namespace minimax::ops {
namespace {

using test::exact;
using test::Pass;
using test::relative_error;
using test::same_bits;

struct Size {
  int64_t heads, kv_heads, head_dim;
};

/// Sequences of random q, k, v.
struct Inputs {
  Inputs(test::Random& random, const std::vector<int64_t>& lengths, const Size& size)
      : lengths(lengths),
        q(test::normal_sequences(random, lengths, size.heads * size.head_dim)),
        k(test::normal_sequences(random, lengths, size.kv_heads * size.head_dim)),
        v(test::normal_sequences(random, lengths, size.kv_heads * size.head_dim)) {}

  std::vector<int64_t> lengths;
  std::vector<Tensor> q, k, v;
};

/// A page pool full of NaN (every byte 0xff), and which of its pages each sequence has, in no order.
struct Pool {
  Pool(const Context& ctx, test::Random& random, const std::vector<int64_t>& lengths, const Size& size) {
    int64_t count = 0;
    for (const int64_t length : lengths) count += (length - 1) / kChunk + 1;
    count += 3;  // some that nobody has
    std::vector<int32_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    for (int64_t i = count - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
    for (const int64_t length : lengths) {
      const int64_t own = (length - 1) / kChunk + 1;
      pages_of.emplace_back(order.end() - own, order.end());
      order.resize(order.size() - own);
    }
    unused = order;
    pages = make_pages(ctx, count, size.kv_heads, size.head_dim);
    for (const Tensor& all : {pages.k, pages.v}) std::memset(all.raw(), 0xff, static_cast<size_t>(all.bytes()));
  }

  /// The batch of a pass, with its page table: only the pages the pass needs, -1 elsewhere.
  Batch batch_of(const Pass& pass) const {
    Batch batch = test::batch_of(pass);
    int64_t max_pages = 1;
    for (const test::Stretch& stretch : pass)
      max_pages = std::max(max_pages, (stretch.first + stretch.count - 1) / kChunk + 1);
    std::vector<int32_t> table(pass.size() * static_cast<size_t>(max_pages), -1);
    for (size_t row = 0; row < pass.size(); ++row) {
      const int64_t needed = (pass[row].first + pass[row].count - 1) / kChunk + 1;
      std::copy_n(pages_of[pass[row].seq].begin(), needed, table.begin() + static_cast<int64_t>(row) * max_pages);
    }
    batch.page_table = test::int32s(table).view({static_cast<int64_t>(pass.size()), max_pages});
    return batch;
  }

  KvPages pages;
  std::vector<std::vector<int32_t>> pages_of;
  std::vector<int32_t> unused;
};

Tensor attend(const Context& ctx, const Inputs& in, int64_t head_dim, const Pass& pass, const Batch& batch,
              KvPages* cache) {
  return softmax_attention(ctx, test::gather(in.q, pass), test::gather(in.k, pass), test::gather(in.v, pass), head_dim,
                           batch, cache);
}

/// Runs the passes one after the other with a fresh cache.
std::vector<Tensor> run_passes(const Context& ctx, test::Random& random, const Inputs& in, const Size& size,
                               const std::vector<Pass>& passes) {
  Pool pool(ctx, random, in.lengths, size);
  const std::vector<Tensor> out = test::empty_sequences(in.lengths, size.heads * size.head_dim);
  for (const Pass& pass : passes)
    test::scatter(attend(ctx, in, size.head_dim, pass, pool.batch_of(pass), &pool.pages), pass, out);
  for (const int32_t unused : pool.unused)
    for (const Tensor& all : {pool.pages.k, pool.pages.v}) {
      const int64_t page = all.bytes() / all.dim(0);
      const auto* bytes = static_cast<const uint8_t*>(all.raw()) + unused * page;
      EXPECT_TRUE(std::all_of(bytes, bytes + page, [](uint8_t byte) { return byte == 0xff; }));
    }
  return out;
}

/// Puts k and v of the pass into the pool's pages, without computing attention.
void fill(const Context& ctx, const Inputs& in, const Pool& pool, const Pass& pass) {
  const Batch batch = pool.batch_of(pass);
  cpu::store_kv(ctx, test::gather(in.k, pass), test::gather(in.v, pass), batch.positions, batch.cu_seqlens,
                batch.page_table, pool.pages.k, pool.pages.v);
}

/// The whole sequence in one pass without a cache.
Tensor alone(const Context& ctx, const Inputs& in, int64_t seq, int64_t head_dim) {
  const Pass pass = {{seq, 0, in.lengths[seq]}};
  return attend(ctx, in, head_dim, pass, test::batch_of(pass), nullptr);
}

test::Matrix reference_of(const Inputs& in, int64_t seq, int64_t head_dim, int64_t first_row = 0) {
  return reference::softmax_attention(exact(in.q[seq].rows(first_row, in.lengths[seq])), exact(in.k[seq]),
                                      exact(in.v[seq]), head_dim);
}

TEST(SoftmaxAttention, AgreesWithFloat64Reference) {
  test::Random random(1);
  for (const Size& size : {Size{2, 2, 16}, Size{4, 1, 32}, Size{8, 1, 128}, Size{6, 2, 20}, Size{3, 1, 1}})
    for (const int64_t tokens : {1, 2, 63, 64, 65, 130}) {
      const Inputs in(random, {tokens}, size);
      const test::Matrix want = reference_of(in, 0, size.head_dim);
      test::for_each_target([&](const Context& ctx) {
        EXPECT_LT(relative_error(alone(ctx, in, 0, size.head_dim), want), 1e-6)
            << size.heads << "/" << size.kv_heads << " heads of " << size.head_dim << ", " << tokens << " tokens";
      });
    }
}

TEST(SoftmaxAttention, AgreesWithFloat64ReferenceAtTheTrueSize) {
  test::Machine machine(cpu::kernels(), 2);
  test::Random random(2);
  const Inputs in(random, {70}, {64, 8, 128});
  EXPECT_LT(relative_error(alone(machine.ctx(), in, 0, 128), reference_of(in, 0, 128)), 1e-6);
}

// Sharp distributions: scores far above e^88 and far below e^-87 before the maximum is taken off.
TEST(SoftmaxAttention, LargeScoresNeitherOverflowNorVanish) {
  test::for_each_isa([](const Context& ctx) {
    test::Random random(3);
    Inputs in(random, {150}, {4, 2, 16});
    for (float& value : in.q[0].span<float>()) value *= 60;
    EXPECT_LT(relative_error(alone(ctx, in, 0, 16), reference_of(in, 0, 16)), 3e-5);  // rounding of scores near 200
  });
}

// Contexts on both sides of page (64) and split (4096) boundaries: a cache, a chunk behind it, then one token decoded.
TEST(SoftmaxAttention, DecodeAfterLongContexts) {
  static_assert(cpu::kSplitKeys == 4096);
  test::Random random(4);
  const Size size{4, 2, 16};
  for (const int64_t tokens : {1, 63, 64, 65, 200, 4095, 4096, 4097, 9000}) {
    const Inputs in(random, {tokens}, size);
    const int64_t first = std::max<int64_t>(0, tokens - 20), last = tokens - 1;
    const test::Matrix want = reference_of(in, 0, 16, first);
    test::for_each_target([&](const Context& ctx) {
      Pool pool(ctx, random, in.lengths, size);
      std::vector<Pass> passes;
      if (first > 0) fill(ctx, in, pool, {{0, 0, first}});
      if (first < last) passes.push_back({{0, first, last - first}});
      passes.push_back({{0, last, 1}});
      const std::vector<Tensor> out = test::empty_sequences({tokens}, 64);
      for (const Pass& pass : passes)
        test::scatter(attend(ctx, in, 16, pass, pool.batch_of(pass), &pool.pages), pass, out);
      // The mean of n random values is 1/sqrt(n) of their size, and the rounding errors of the sum are not.
      EXPECT_LT(relative_error(out[0].rows(first, tokens), want), tokens < 1000 ? 1e-6 : 4e-6) << tokens;
    });
  }
}

TEST(SoftmaxAttention, AnyCutsCompanyAndPagesGiveTheSameBits) {
  test::for_each_target([](const Context& ctx) {
    for (const uint64_t seed : {5, 6}) {
      test::Random random(seed);
      for (const Size& size : {Size{2, 2, 16}, Size{8, 1, 20}, Size{8, 2, 128}, Size{3, 1, 4}}) {
        const Inputs in(random, {1, 64, 65, 200, 130, 3}, size);
        const std::vector<Tensor> got = run_passes(ctx, random, in, size, test::random_passes(random, in.lengths, 100));
        for (size_t seq = 0; seq < in.lengths.size(); ++seq)
          EXPECT_TRUE(same_bits(got[seq], alone(ctx, in, static_cast<int64_t>(seq), size.head_dim))) << seq;
      }
    }
  });
}

// Few items and several splits: a thread's work is one split of an item; many items: the whole item. The last 100
// tokens of each sequence go at once (many items) and in ones and sixteens (3 items: by split, even with one thread).
TEST(SoftmaxAttention, SplitsAndWholeItemsGiveTheSameBits) {
  const Size size{3, 3, 16};
  test::Random random(7);
  const Inputs in(random, {4096 + 63, 8200, 170}, size);
  const test::Matrix reference = reference_of(in, 1, 16, 8100);
  for (const cpu::Kernels* kernels : cpu::usable_kernels()) {
    Pool pool({}, random, in.lengths, size);
    Pass before, at_once;
    std::vector<Pass> in_pieces;
    for (int64_t seq = 0; seq < 3; ++seq) {
      const int64_t first = in.lengths[seq] - 100;
      before.push_back({seq, 0, first});
      at_once.push_back({seq, first, 100});
      for (int64_t token = first; token < in.lengths[seq];) {
        const int64_t count = std::min<int64_t>(token % 3 ? 1 : 16, in.lengths[seq] - token);
        in_pieces.push_back({{seq, token, count}});
        token += count;
      }
    }
    std::vector<Tensor> want;
    for (const int threads : {1, 5}) {
      test::Machine machine(*kernels, threads);
      fill(machine.ctx(), in, pool, before);
      for (const std::vector<Pass>& passes : {std::vector<Pass>{at_once}, in_pieces}) {
        std::vector<Tensor> got = test::empty_sequences(in.lengths, 48);
        for (const Pass& pass : passes)
          test::scatter(attend(machine.ctx(), in, 16, pass, pool.batch_of(pass), &pool.pages), pass, got);
        for (int64_t seq = 0; seq < 3; ++seq) got[seq] = got[seq].rows(in.lengths[seq] - 100, in.lengths[seq]);
        if (want.empty()) want = got;
        for (int64_t seq = 0; seq < 3; ++seq)
          EXPECT_TRUE(same_bits(got[seq], want[seq])) << "sequence " << seq << " in " << passes.size() << " passes";
      }
    }
    EXPECT_LT(relative_error(want[1], reference), 4e-6);
  }
}

TEST(SoftmaxAttention, QueryHeadsUseTheKvHeadOfTheirGroup) {
  test::for_each_isa([](const Context& ctx) {
    test::Random random(8);
    const Inputs in(random, {70}, {6, 3, 16});
    const Tensor out = alone(ctx, in, 0, 16);
    for (int64_t head = 0; head < 6; ++head) {
      auto column = [&](const Tensor& x, int64_t at) {
        const Tensor own = Tensor::empty({70, 16}, DType::kFloat32);
        for (int64_t token = 0; token < 70; ++token)
          std::copy_n(x.data<float>() + token * x.dim(1) + at * 16, 16, own.data<float>() + token * 16);
        return own;
      };
      const Tensor one = softmax_attention(ctx, column(in.q[0], head), column(in.k[0], head / 2),
                                           column(in.v[0], head / 2), 16, test::batch_of(test::whole({70})), nullptr);
      EXPECT_TRUE(same_bits(one, column(out, head))) << head;
    }
  });
}

Tensor copy_of(const Tensor& x) {
  return Tensor::from(std::span<const float>(x.span<float>()), x.shape());
}

TEST(SoftmaxAttention, LaterKeysAndQueriesDoNotReachEarlierRows) {
  test::for_each_isa([](const Context& ctx) {
    test::Random random(9);
    for (const Size& size : {Size{2, 2, 16}, Size{3, 1, 20}, Size{8, 1, 16}}) {
      const Inputs in(random, {100}, size);
      const Tensor before = alone(ctx, in, 0, size.head_dim);
      for (const int64_t from : {1, 50, 64, 66, 67, 99}) {
        Inputs changed = in;
        for (Tensor* x : {&changed.q[0], &changed.k[0], &changed.v[0]}) {
          *x = copy_of(*x);
          std::fill(x->data<float>() + from * x->dim(1), x->data<float>() + x->elements(),
                    std::numeric_limits<float>::quiet_NaN());
        }
        const Tensor after = alone(ctx, changed, 0, size.head_dim);
        EXPECT_TRUE(same_bits(before.rows(0, from), after.rows(0, from))) << size.heads << " heads, from " << from;
        for (const float value : after.rows(from, 100).span<float>()) EXPECT_TRUE(std::isnan(value));
      }
    }
  });
}

// A NaN anywhere in what a row may see shows in the row, in a later split too.
TEST(SoftmaxAttention, NaNIsNotHidden) {
  test::Random random(10);
  const Size size{1, 1, 8};
  const int64_t tokens = 4200, first = 4080;
  for (const int64_t place : {0, 70, 4095, 4096, 4199}) {
    const Inputs in(random, {tokens}, size);
    in.k[0].data<float>()[place * 8 + 3] = std::numeric_limits<float>::quiet_NaN();
    test::for_each_target([&](const Context& ctx) {
      Pool pool(ctx, random, in.lengths, size);
      fill(ctx, in, pool, {{0, 0, first}});
      const Pass pass = {{0, first, tokens - first}};
      const Tensor out = attend(ctx, in, 8, pass, pool.batch_of(pass), &pool.pages);
      for (int64_t token = first; token < tokens; ++token)
        ASSERT_EQ(std::isnan(out.data<float>()[(token - first) * 8]), token >= place) << token << ", NaN at " << place;
    });
  }
}

TEST(SoftmaxAttention, Errors) {
  test::Machine machine(cpu::kernels(), 1);
  const Context ctx = machine.ctx();
  const Batch batch = test::batch_of(test::whole({3}));
  const Tensor q = Tensor::zeros({3, 16}, DType::kFloat32), k = Tensor::zeros({3, 8}, DType::kFloat32);
  const Tensor half = Tensor::zeros({3, 8}, DType::kBFloat16);
  auto error = [&](const Tensor& q, const Tensor& k, const Tensor& v, int64_t head_dim = 4) {
    return test::error_of([&] { softmax_attention(ctx, q, k, v, head_dim, batch, nullptr); });
  };
  EXPECT_EQ(error(q, k, k), "no error");
  EXPECT_EQ(error(half, k, k), "q is BF16, expected F32");
  EXPECT_EQ(error(q, half, k), "k is BF16, expected F32");
  EXPECT_EQ(error(q, k, half), "v is BF16, expected F32");
  EXPECT_EQ(error(q, k, q), "softmax_attention: k [3, 8], v [3, 16] for 3 tokens and head_dim 4");
  EXPECT_EQ(error(q, k, k, 3), "softmax_attention: k [3, 8], v [3, 8] for 3 tokens and head_dim 3");
  EXPECT_EQ(error(q, k, k, 0), "softmax_attention: k [3, 8], v [3, 8] for 3 tokens and head_dim 0");
  EXPECT_EQ(error(Tensor::zeros({3, 12}, DType::kFloat32), k, k), "softmax_attention: q [3, 12] for k [3, 8]");
  EXPECT_EQ(error(Tensor::zeros({2, 16}, DType::kFloat32), k, k), "softmax_attention: q [2, 16] for k [3, 8]");

  Batch cached = batch;
  cached.page_table = test::int32s({1}).view({1, 1});
  auto error_with = [&](KvPages pages) {
    return test::error_of([&] { softmax_attention(ctx, q, k, k, 4, cached, &pages); });
  };
  const Tensor k_pages = Tensor::zeros({2, 2, 4, kChunk}, DType::kFloat32);
  const Tensor v_pages = Tensor::zeros({2, 2, kChunk, 4}, DType::kFloat32);
  EXPECT_EQ(error_with({k_pages, v_pages}), "no error");
  EXPECT_EQ(error_with({v_pages, v_pages}),
            "pages.k is [2, 2, 64, 4], expected [2, 2, 4, 64] = [pages.k.dim(0), kv_heads, width, kChunk]");
  EXPECT_EQ(error_with({k_pages, k_pages}),
            "pages.v is [2, 2, 4, 64], expected [2, 2, 64, 4] = [pages.k.dim(0), kv_heads, kChunk, width]");
}

/// What pages of codes keep: each head of each row in steps of 1/127 of its largest value.
Tensor in_eight_bits(const Tensor& x, int64_t head_dim) {
  const Tensor out = copy_of(x);
  for (int64_t head = 0; head < x.elements() / head_dim; ++head) {
    float* values = out.data<float>() + head * head_dim;
    float peak = 0;
    for (int64_t d = 0; d < head_dim; ++d) peak = std::max(peak, std::abs(values[d]));
    for (int64_t d = 0; d < head_dim; ++d) values[d] = std::nearbyint(values[d] * (127.0f / peak)) * (peak / 127.0f);
  }
  return out;
}

// Codes cost what their rounding costs; queries and weights as integers cost nothing that could be told from it.
TEST(SoftmaxAttention, CodesAreAttendedToExactly) {
  test::Random random(11);
  for (const Size& size : {Size{6, 2, 4}, Size{3, 1, 20}, Size{14, 2, 64}, Size{8, 1, 128}, Size{2, 2, 512}})
    for (const int64_t tokens : {1, 64, 150}) {
      const Inputs in(random, {tokens}, size);
      Inputs kept = in;
      kept.k[0] = in_eight_bits(in.k[0], size.head_dim);
      kept.v[0] = in_eight_bits(in.v[0], size.head_dim);
      const test::Matrix want = reference_of(kept, 0, size.head_dim), unrounded = reference_of(in, 0, size.head_dim);
      test::for_each_target([&](Context ctx) {
        ctx.kv_precision = KvPrecision::kInt8;
        const Tensor got = alone(ctx, in, 0, size.head_dim);
        EXPECT_LT(relative_error(got, want), 1e-4) << size.heads << " heads of " << size.head_dim << ", " << tokens;
        EXPECT_LT(relative_error(got, unrounded), 0.03);
      });
    }
}

TEST(SoftmaxAttention, CodesAreAttendedToExactlyAfterLongContexts) {
  test::Random random(12);
  const Size size{4, 2, 32};
  const int64_t tokens = 9000, first = tokens - 20;
  const Inputs in(random, {tokens}, size);
  Inputs kept = in;
  kept.k[0] = in_eight_bits(in.k[0], 32);
  kept.v[0] = in_eight_bits(in.v[0], 32);
  const test::Matrix want = reference_of(kept, 0, 32, first);
  test::for_each_target([&](Context ctx) {
    ctx.kv_precision = KvPrecision::kInt8;
    Pool pool(ctx, random, in.lengths, size);
    fill(ctx, in, pool, {{0, 0, first}});
    const Pass pass = {{0, first, 20}};
    EXPECT_LT(relative_error(attend(ctx, in, 32, pass, pool.batch_of(pass), &pool.pages), want), 1e-4);
  });
}

TEST(SoftmaxAttention, AnyCutsCompanyAndPagesGiveTheSameBitsInEightBits) {
  test::for_each_target([](Context ctx) {
    ctx.kv_precision = KvPrecision::kInt8;
    test::Random random(13);
    for (const Size& size : {Size{2, 2, 16}, Size{8, 1, 20}, Size{8, 2, 128}, Size{3, 1, 4}}) {
      const Inputs in(random, {1, 64, 65, 200, 130, 3}, size);
      const std::vector<Tensor> got = run_passes(ctx, random, in, size, test::random_passes(random, in.lengths, 100));
      for (size_t seq = 0; seq < in.lengths.size(); ++seq)
        EXPECT_TRUE(same_bits(got[seq], alone(ctx, in, static_cast<int64_t>(seq), size.head_dim))) << seq;
    }
  });
}

// A query, key or value that is no number makes its own row and later ones NaN, and no earlier one.
TEST(SoftmaxAttention, WhatIsNoNumberShowsInEightBits) {
  test::for_each_isa([](Context ctx) {
    ctx.kv_precision = KvPrecision::kInt8;
    test::Random random(14);
    const Size size{3, 1, 20};
    const Inputs in(random, {150}, size);
    const Tensor before = alone(ctx, in, 0, 20);
    for (const int64_t place : {0, 63, 64, 100, 149})
      for (const int which : {0, 1, 2})
        for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
          Inputs changed = in;
          Tensor& x = which == 0 ? changed.q[0] : which == 1 ? changed.k[0] : changed.v[0];
          x = copy_of(x);
          x.data<float>()[place * x.dim(1) + 7] = bad;
          const Tensor after = alone(ctx, changed, 0, 20);
          EXPECT_TRUE(same_bits(before.rows(0, place), after.rows(0, place)));
          for (int64_t row = place; row < (which == 0 ? place + 1 : 150); ++row)  // of a query: its own head and row
            ASSERT_TRUE(std::isnan(after.data<float>()[row * 60 + 7])) << "input " << which << " at " << place;
        }
  });
}

TEST(SoftmaxAttention, HeadDimsOfEightBits) {
  test::Machine machine(cpu::kernels(), 1);
  Context ctx = machine.ctx();
  ctx.kv_precision = KvPrecision::kInt8;
  auto error = [&](int64_t head_dim) {
    const Tensor x = Tensor::zeros({3, head_dim}, DType::kFloat32);
    return test::error_of(
        [&] { softmax_attention(ctx, x, x, x, head_dim, test::batch_of(test::whole({3})), nullptr); });
  };
  EXPECT_EQ(error(512), "no error");
  EXPECT_EQ(error(6), "keys and values of 8 bits: head_dim is 6, expected a multiple of 4 up to 512");
  EXPECT_EQ(error(516), "keys and values of 8 bits: head_dim is 516, expected a multiple of 4 up to 512");
}

}  // namespace
}  // namespace minimax::ops
