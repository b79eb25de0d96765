#include <gtest/gtest.h>

#include <numeric>

#include "core/rng.h"
#include "cuda/kernels/gpu_support.h"

namespace minimax::cuda {
namespace {

using Launcher = Failure (*)(const LightningArgs&, Stream);
constexpr int64_t kHeadDim = 128;

/// q, k and v of one sequence as a layer makes them: SiLU of normal numbers, in bfloat16. [tokens, heads * 3 *
/// head_dim]
std::vector<uint16_t> random_qkv(int64_t tokens, int64_t heads, uint64_t seed, int64_t head_dim = kHeadDim) {
  Rng rng(seed);
  std::vector<uint16_t> qkv(static_cast<size_t>(tokens * heads * 3 * head_dim));
  for (uint16_t& x : qkv) {
    const double normal = rng.normal();
    x = to_bf16(static_cast<float>(normal / (1 + std::exp(-normal))));
  }
  return qkv;
}

/// The recurrence S_t = lambda S_(t-1) + k_t^T v_t, o_t = q_t S_t in float64. -> [tokens, heads * head_dim]
std::vector<double> reference(const std::vector<uint16_t>& qkv, const std::vector<double>& slopes,
                              int64_t head_dim = kHeadDim) {
  const int64_t heads = static_cast<int64_t>(slopes.size());
  const int64_t tokens = static_cast<int64_t>(qkv.size()) / (heads * 3 * head_dim);
  std::vector<double> out(static_cast<size_t>(tokens * heads * head_dim));
  for (int64_t head = 0; head < heads; ++head) {
    std::vector<double> s(static_cast<size_t>(head_dim * head_dim)), v(static_cast<size_t>(head_dim));
    const double lambda = std::exp(-slopes[head]);
    for (int64_t token = 0; token < tokens; ++token) {
      const uint16_t* row = qkv.data() + (token * heads + head) * 3 * head_dim;
      double* o = out.data() + (token * heads + head) * head_dim;
      for (int64_t d = 0; d < head_dim; ++d) v[d] = from_bf16(row[2 * head_dim + d]);
      for (int64_t key = 0; key < head_dim; ++key) {
        const double q = from_bf16(row[key]), k = from_bf16(row[head_dim + key]);
        for (int64_t d = 0; d < head_dim; ++d) {
          double& element = s[key * head_dim + d];
          element = lambda * element + k * v[d];
          o[d] += q * element;
        }
      }
    }
  }
  return out;
}

/// |got - want| / |want| over a stretch; infinite if a number is none.
double relative_error(const std::vector<uint16_t>& got, const std::vector<double>& want, int64_t first = 0,
                      int64_t count = -1) {
  double difference = 0, norm = 0;
  if (count < 0) count = static_cast<int64_t>(want.size());
  for (int64_t i = first; i < first + count; ++i) {
    const double x = from_bf16(got[i - first]);
    if (!std::isfinite(x)) return INFINITY;
    difference += (x - want[i]) * (x - want[i]);
    norm += want[i] * want[i];
  }
  return std::sqrt(difference / norm);
}

/// Sequences in slots, passed through a kernel pass by pass.
class Cache {
 public:
  Cache(int64_t slots, const std::vector<double>& slopes)
      : heads_(static_cast<int64_t>(slopes.size())),
        decay_(decay_table(slopes)),
        state_(slots * heads_ * kHeadDim * kHeadDim),
        k_window_(slots * heads_ * kChunk * kHeadDim),
        v_window_(k_window_.count()) {
    state_.poison(), k_window_.poison(), v_window_.poison();
  }

  struct Part {
    int32_t slot;
    int64_t start;
    std::vector<uint16_t> qkv;  ///< of its tokens
  };

  /// One packed batch; each part's outputs.
  std::vector<std::vector<uint16_t>> pass(Launcher launch, const std::vector<Part>& parts) {
    std::vector<uint16_t> qkv;
    std::vector<int32_t> positions, cu_seqlens = {0}, slots;
    const int64_t row = heads_ * 3 * kHeadDim;
    for (const Part& part : parts) {
      qkv.insert(qkv.end(), part.qkv.begin(), part.qkv.end());
      const int64_t tokens = static_cast<int64_t>(part.qkv.size()) / row;
      for (int64_t token = 0; token < tokens; ++token) positions.push_back(static_cast<int32_t>(part.start + token));
      cu_seqlens.push_back(static_cast<int32_t>(positions.size()));
      slots.push_back(part.slot);
    }
    const DeviceArray<uint16_t> device_qkv(qkv);
    const DeviceArray<int32_t> device_positions(positions), device_seqlens(cu_seqlens), device_slots(slots);
    DeviceArray<uint16_t> out(static_cast<int64_t>(positions.size()) * heads_ * kHeadDim);
    out.poison();
    check(launch({.qkv = device_qkv.get(),
                  .out = out.get(),
                  .decay = decay_.get(),
                  .positions = device_positions.get(),
                  .cu_seqlens = device_seqlens.get(),
                  .slots = device_slots.get(),
                  .state = state_.get(),
                  .k_window = k_window_.get(),
                  .v_window = v_window_.get(),
                  .tokens = static_cast<int64_t>(positions.size()),
                  .seqs = static_cast<int64_t>(parts.size()),
                  .heads = heads_,
                  .head_dim = kHeadDim},
                 nullptr));
    const std::vector<uint16_t> all = out.host();
    std::vector<std::vector<uint16_t>> outs;
    for (size_t seq = 0; seq < parts.size(); ++seq)
      outs.emplace_back(all.begin() + cu_seqlens[seq] * heads_ * kHeadDim,
                        all.begin() + cu_seqlens[seq + 1] * heads_ * kHeadDim);
    return outs;
  }

  std::vector<float> state() const { return state_.host(); }

 private:
  int64_t heads_;
  DeviceArray<float> decay_, state_;
  DeviceArray<uint16_t> k_window_, v_window_;
};

/// Tokens [first, first + count) of a sequence.
std::vector<uint16_t> slice(const std::vector<uint16_t>& qkv, int64_t heads, int64_t first, int64_t count) {
  const int64_t row = heads * 3 * kHeadDim;
  return {qkv.begin() + first * row, qkv.begin() + (first + count) * row};
}

/// Without a cache.
std::vector<uint16_t> run(Launcher launch, const std::vector<uint16_t>& qkv, const std::vector<double>& slopes,
                          int64_t head_dim = kHeadDim) {
  const int64_t heads = static_cast<int64_t>(slopes.size());
  const int64_t tokens = static_cast<int64_t>(qkv.size()) / (heads * 3 * head_dim);
  std::vector<int32_t> positions(static_cast<size_t>(tokens));
  std::iota(positions.begin(), positions.end(), 0);
  const DeviceArray<uint16_t> device_qkv(qkv);
  const DeviceArray<int32_t> device_positions(positions),
      seqlens(std::vector<int32_t>{0, static_cast<int32_t>(tokens)});
  const DeviceArray<float> decay(decay_table(slopes));
  DeviceArray<uint16_t> out(tokens * heads * head_dim);
  out.poison();
  check(launch({.qkv = device_qkv.get(),
                .out = out.get(),
                .decay = decay.get(),
                .positions = device_positions.get(),
                .cu_seqlens = seqlens.get(),
                .tokens = tokens,
                .seqs = 1,
                .heads = heads,
                .head_dim = head_dim},
               nullptr));
  return out.host();
}

// From heads that forget within two tokens to heads that remember everything here.
const std::vector<double> kSlopes = {0.917, 0.0625, 0.0039, 4.9e-5};

TEST(LightningGpu, SimpleAgreesWithTheRecurrence) {
  for (int64_t head_dim : {32, 64, 128}) {
    const std::vector<uint16_t> qkv = random_qkv(130, 4, 1, head_dim);
    const double error =
        relative_error(run(gpu().lightning_simple, qkv, kSlopes, head_dim), reference(qkv, kSlopes, head_dim));
    EXPECT_LT(error, 2e-3) << head_dim;  // the output's own rounding to bfloat16
    // Other head_dims than 128 take the same way.
    if (head_dim != 128) {
      EXPECT_EQ(run(gpu().lightning, qkv, kSlopes, head_dim), run(gpu().lightning_simple, qkv, kSlopes, head_dim));
    }
  }
}

TEST(LightningGpu, AgreesWithTheRecurrence) {
  for (int64_t tokens : {1, 63, 64, 65, 130, 700, 4100}) {
    const std::vector<uint16_t> qkv = random_qkv(tokens, 4, static_cast<uint64_t>(tokens));
    const std::vector<double> want = reference(qkv, kSlopes);
    const std::vector<uint16_t> got = run(gpu().lightning, qkv, kSlopes);
    const double error = relative_error(got, want);
    const double rounding = relative_error(run(gpu().lightning_simple, qkv, kSlopes), want);
    EXPECT_LT(error, 4e-3) << tokens;
    std::printf("  %lld tokens: error %.2e, of which the output's own rounding %.2e\n", static_cast<long long>(tokens),
                error, rounding);
    EXPECT_EQ(got, run(gpu().lightning, qkv, kSlopes)) << "not the same bits twice";
  }
}

TEST(LightningGpu, StateIsExact) {
  const int64_t tokens = 4096;
  const std::vector<uint16_t> qkv = random_qkv(tokens, 4, 7);
  Cache fast(1, kSlopes), simple(1, kSlopes);
  fast.pass(gpu().lightning, {{0, 0, qkv}});
  simple.pass(gpu().lightning_simple, {{0, 0, qkv}});
  const std::vector<float> got = fast.state(), want = simple.state();
  for (size_t head = 0; head < kSlopes.size(); ++head) {
    double difference = 0, norm = 0;
    for (size_t i = head * kHeadDim * kHeadDim; i < (head + 1) * kHeadDim * kHeadDim; ++i) {
      difference += std::pow(static_cast<double>(got[i]) - static_cast<double>(want[i]), 2);
      norm += std::pow(static_cast<double>(want[i]), 2);
    }
    std::printf("  slope %g: state error %.2e\n", kSlopes[head], std::sqrt(difference / norm));
    EXPECT_LT(std::sqrt(difference / norm), 2e-5) << head;
  }
}

// Any cut of a sequence, whatever runs beside it: the same bits as in one pass alone.
TEST(LightningGpu, CutsAndNeighboursChangeNoBit) {
  const int64_t tokens = 700;
  const std::vector<uint16_t> qkv = random_qkv(tokens, 4, 8);
  std::vector<uint16_t> broken = random_qkv(200, 4, 9);
  for (uint16_t& x : broken) x = 0x7fc0;  // a neighbour of NaNs
  Cache whole(1, kSlopes);
  const std::vector<uint16_t> want = whole.pass(gpu().lightning, {{0, 0, qkv}})[0];
  EXPECT_EQ(want, run(gpu().lightning, qkv, kSlopes)) << "a cache changes the result";
  EXPECT_LT(relative_error(want, reference(qkv, kSlopes)), 4e-3);
  for (const std::vector<int64_t>& cuts :
       {std::vector<int64_t>{1, 699}, {64, 636}, {65, 1, 1, 61, 1, 571}, {63, 1, 128, 64, 10, 434}, {690, 10}}) {
    Cache cut(3, kSlopes);
    std::vector<uint16_t> got;
    int64_t start = 0;
    for (int64_t count : cuts) {
      const auto outs = cut.pass(gpu().lightning, {{0, start % 200, slice(broken, 4, 0, 1 + start % 150)},
                                                   {2, start, slice(qkv, 4, start, count)},
                                                   {1, 0, slice(broken, 4, 0, 37)}});
      got.insert(got.end(), outs[1].begin(), outs[1].end());
      start += count;
    }
    EXPECT_EQ(got, want) << "first cut " << cuts[0];
    const std::vector<float> state = cut.state(), whole_state = whole.state();
    EXPECT_TRUE(std::equal(whole_state.begin(), whole_state.end(), state.begin() + 2 * 4 * kHeadDim * kHeadDim));
  }
}

TEST(LightningGpu, SimpleGoesOnFromItsCache) {
  const std::vector<uint16_t> qkv = random_qkv(300, 4, 10);
  const std::vector<double> want = reference(qkv, kSlopes);
  Cache cache(2, kSlopes);
  const int64_t row = 4 * kHeadDim;
  EXPECT_LT(relative_error(cache.pass(gpu().lightning_simple, {{1, 0, slice(qkv, 4, 0, 100)}})[0], want, 0, 100 * row),
            2e-3);
  EXPECT_LT(relative_error(cache.pass(gpu().lightning_simple, {{1, 100, slice(qkv, 4, 100, 200)}})[0], want, 100 * row,
                           200 * row),
            2e-3);
}

// Prompts of several lengths, then token by token past the end of a chunk.
TEST(LightningGpu, DecodeGoesOnWherePrefillEnded) {
  const std::vector<int64_t> prompts = {1, 60, 63, 64, 65, 200};
  const int64_t steps = 70, seqs = static_cast<int64_t>(prompts.size()), row = 4 * kHeadDim;
  Cache cache(seqs, kSlopes), again(seqs, kSlopes);
  std::vector<std::vector<uint16_t>> qkv;
  std::vector<std::vector<double>> want;
  std::vector<Cache::Part> parts;
  for (int64_t seq = 0; seq < seqs; ++seq) {
    qkv.push_back(random_qkv(prompts[seq] + steps, 4, static_cast<uint64_t>(20 + seq)));
    want.push_back(reference(qkv.back(), kSlopes));
    parts.push_back({static_cast<int32_t>(seqs - 1 - seq), 0, slice(qkv.back(), 4, 0, prompts[seq])});
  }
  cache.pass(gpu().lightning, parts);
  again.pass(gpu().lightning, parts);
  double worst = 0;
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t seq = 0; seq < seqs; ++seq) {
      parts[seq].start = prompts[seq] + step;
      parts[seq].qkv = slice(qkv[seq], 4, prompts[seq] + step, 1);
    }
    const auto outs = cache.pass(gpu().lightning_decode, parts);
    ASSERT_EQ(outs, again.pass(gpu().lightning_decode, parts)) << "not the same bits twice";
    for (int64_t seq = 0; seq < seqs; ++seq)
      worst = std::max(worst, relative_error(outs[seq], want[seq], (prompts[seq] + step) * row, row));
  }
  std::printf("  worst row: error %.2e\n", worst);
  EXPECT_LT(worst, 4e-3);
  // And back: the windows and states that decode left serve prefill.
  Cache prefilled(seqs, kSlopes);
  for (int64_t seq = 0; seq < seqs; ++seq) {
    parts[seq].start = 0;
    parts[seq].qkv = qkv[seq];
  }
  prefilled.pass(gpu().lightning, parts);
  std::vector<double> ends;
  for (float x : prefilled.state()) ends.push_back(std::isfinite(x) ? static_cast<double>(x) : 0);
  const std::vector<float> decoded = cache.state();
  double difference = 0, norm = 0;
  for (size_t i = 0; i < ends.size(); ++i) {
    if (std::isfinite(decoded[i])) difference += std::pow(static_cast<double>(decoded[i]) - ends[i], 2);
    norm += ends[i] * ends[i];
  }
  EXPECT_LT(std::sqrt(difference / norm), 2e-5);
}

/// dq, dk and dv of packed sequences in float64. -> [tokens, heads * 3 * head_dim]
std::vector<double> gradient_reference(const std::vector<uint16_t>& qkv, const std::vector<uint16_t>& dout,
                                       const std::vector<double>& slopes, const std::vector<int32_t>& cu_seqlens) {
  const int64_t heads = static_cast<int64_t>(slopes.size()), dim = kHeadDim;
  std::vector<double> want(qkv.size()), q(kHeadDim), k(kHeadDim), v(kHeadDim), o(kHeadDim);
  const auto load = [&](int64_t token_head) {
    for (int64_t d = 0; d < dim; ++d) {
      q[d] = from_bf16(qkv[token_head * 3 * dim + d]);
      k[d] = from_bf16(qkv[(token_head * 3 + 1) * dim + d]);
      v[d] = from_bf16(qkv[(token_head * 3 + 2) * dim + d]);
      o[d] = from_bf16(dout[token_head * dim + d]);
    }
  };
  for (size_t seq = 0; seq + 1 < cu_seqlens.size(); ++seq)
    for (int64_t head = 0; head < heads; ++head) {
      const double lambda = std::exp(-slopes[head]);
      std::vector<double> s(static_cast<size_t>(dim * dim)), ds(s.size());
      for (int64_t token = cu_seqlens[seq]; token < cu_seqlens[seq + 1]; ++token) {
        load(token * heads + head);
        double* dq = want.data() + (token * heads + head) * 3 * dim;
        for (int64_t i = 0; i < dim; ++i)
          for (int64_t j = 0; j < dim; ++j) {
            double& element = s[i * dim + j];
            element = lambda * element + k[i] * v[j];
            dq[i] += element * o[j];
          }
      }
      for (int64_t token = cu_seqlens[seq + 1]; token-- > cu_seqlens[seq];) {
        load(token * heads + head);
        double *dk = want.data() + ((token * heads + head) * 3 + 1) * dim, *dv = dk + dim;
        for (int64_t i = 0; i < dim; ++i)
          for (int64_t j = 0; j < dim; ++j) {
            double& element = ds[i * dim + j];
            element = lambda * element + q[i] * o[j];
            dk[i] += element * v[j];
            dv[j] += k[i] * element;
          }
      }
    }
  return want;
}

TEST(LightningGpu, GradientAgreesWithFloat64) {
  const int64_t heads = static_cast<int64_t>(kSlopes.size());
  for (const std::vector<int64_t>& lengths :
       {std::vector<int64_t>{1}, {63}, {64}, {65}, {130}, {700}, {3, 65, 130, 64, 1, 200}}) {
    std::vector<int32_t> cu_seqlens = {0};
    for (const int64_t length : lengths) cu_seqlens.push_back(cu_seqlens.back() + static_cast<int32_t>(length));
    const int64_t tokens = cu_seqlens.back();
    const std::vector<uint16_t> qkv = random_qkv(tokens, heads, 31);
    std::vector<uint16_t> dout = random_qkv(tokens, heads, 32);
    dout.resize(static_cast<size_t>(tokens * heads * kHeadDim));
    const std::vector<double> want = gradient_reference(qkv, dout, kSlopes, cu_seqlens);
    const DeviceArray<uint16_t> device_qkv(qkv), device_dout(dout);
    const DeviceArray<int32_t> device_seqlens(cu_seqlens);
    const DeviceArray<float> decay(decay_table(kSlopes));
    DeviceArray<float> got(static_cast<int64_t>(qkv.size()));
    got.poison();
    check(gpu().lightning_gradient({.qkv = device_qkv.get(),
                                    .dout = device_dout.get(),
                                    .dqkv = got.get(),
                                    .decay = decay.get(),
                                    .cu_seqlens = device_seqlens.get(),
                                    .tokens = tokens,
                                    .seqs = static_cast<int64_t>(lengths.size()),
                                    .heads = heads,
                                    .head_dim = kHeadDim},
                                   nullptr));
    const std::vector<float> all = got.host();
    double difference[3] = {}, norm[3] = {};
    for (size_t i = 0; i < all.size(); ++i) {
      const size_t part = i / kHeadDim % 3;
      difference[part] += std::pow(static_cast<double>(all[i]) - want[i], 2);
      norm[part] += want[i] * want[i];
    }
    for (size_t part = 0; part < 3; ++part)
      EXPECT_LT(std::sqrt(difference[part] / norm[part]), 4e-3) << tokens << " tokens, part " << part;
  }
}

TEST(LightningGpu, RefusesWhatItCannotDo) {
  EXPECT_STREQ(gpu().lightning({.tokens = 1, .seqs = 1, .heads = 1, .head_dim = 100}, nullptr),
               "lightning: head_dim is not a multiple of 8 up to 128");
  const int32_t slot = 0;
  EXPECT_STREQ(gpu().lightning({.slots = &slot, .tokens = 1, .seqs = 1, .heads = 1, .head_dim = 128}, nullptr),
               "lightning: a cache needs slots, state, k_window and v_window");
  EXPECT_STREQ(gpu().lightning_decode({.tokens = 2, .seqs = 1, .heads = 1, .head_dim = 128}, nullptr),
               "lightning_decode: one token of each sequence is expected");
  EXPECT_STREQ(gpu().lightning_decode({.tokens = 1, .seqs = 1, .heads = 1, .head_dim = 128}, nullptr),
               "lightning_decode: a cache is required");
}

}  // namespace
}  // namespace minimax::cuda
