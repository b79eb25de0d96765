#include "ops/lightning.h"

#include "ops/test_batches.h"

namespace minimax::ops {
namespace {

using test::exact;
using test::Pass;
using test::relative_error;
using test::same_bits;

constexpr int64_t kLayers = 80;
double layer_factor(int64_t layer) {
  return 1 - static_cast<double>(layer) / (kLayers - 1) + 1e-5;
}

TEST(LightningSlopes, TableOfM1AgainstDouble) {
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    if (layer % 8 == 7) continue;  // softmax layers
    const Tensor slopes = lightning_slopes(64, layer_factor(layer));
    for (int64_t head = 0; head < 64; ++head) {
      const double want = std::exp2(-static_cast<double>(head + 1) / 8) * layer_factor(layer);
      EXPECT_NEAR(slopes.data<float>()[head] / want, 1, 2e-7) << "layer " << layer << " head " << head;
    }
  }
}

TEST(LightningSlopes, KnownValues) {
  EXPECT_NEAR(lightning_slopes(64, layer_factor(0)).data<float>()[0], 0.9170040432 * 1.00001, 1e-7);
  EXPECT_NEAR(lightning_slopes(64, layer_factor(78)).data<float>()[63], 0.00390625 * 0.0126682278, 1e-11);
  // Every step rounds to float32: the head's slope, the layer's factor, their product.
  EXPECT_EQ(lightning_slopes(64, 0.1).data<float>()[63], 0.00390625f * 0.1f);
  EXPECT_EQ(lightning_slopes(1, 1).data<float>()[0], 0.00390625f);
  EXPECT_EQ(lightning_slopes(8, 1).data<float>()[2], 0.125f);
}

// The usual extension: the slopes of the largest power of two below, then every second one of the doubled list.
TEST(LightningSlopes, HeadCountsThatAreNoPowerOfTwo) {
  for (const int64_t heads : {3, 6, 12, 48, 63}) {
    int64_t below = 1;
    while (2 * below <= heads) below *= 2;
    const Tensor slopes = lightning_slopes(heads, 1);
    for (int64_t head = 0; head < heads; ++head) {
      const double exponent = head < below
                                  ? -8.0 * static_cast<double>(head + 1) / static_cast<double>(below)
                                  : -4.0 * static_cast<double>(2 * (head - below) + 1) / static_cast<double>(below);
      EXPECT_NEAR(slopes.data<float>()[head] / std::exp2(exponent), 1, 2e-7) << head << " of " << heads;
    }
  }
}

TEST(LightningDecay, PowersRoundedOnceFromDouble) {
  const Tensor slopes = lightning_slopes(64, layer_factor(78)), decay = lightning_decay(slopes);
  ASSERT_EQ(decay.shape(), Shape({64, kChunk + 2}));
  for (int64_t head = 0; head < 64; ++head) {
    const double slope = static_cast<double>(slopes.data<float>()[head]);
    const float* powers = decay.data<float>() + head * (kChunk + 2);
    for (int64_t power = 0; power <= kChunk; ++power)
      EXPECT_EQ(powers[power], static_cast<float>(std::exp(-slope * static_cast<double>(power))));
    const double chunk = static_cast<double>(powers[kChunk]) + static_cast<double>(powers[kChunk + 1]);
    EXPECT_NEAR(chunk / std::exp(-slope * kChunk), 1, 1e-13);
  }
}

LightningSlots poisoned_slots(int64_t slots, int64_t heads, int64_t head_dim) {
  Arena arena;
  arena.poison();
  return {arena.empty({slots, heads, head_dim, head_dim}, DType::kFloat32),
          arena.empty({slots, heads, head_dim, kChunk}, DType::kFloat32),
          arena.empty({slots, heads, kChunk, head_dim}, DType::kFloat32)};
}

/// Runs the passes one after the other with a cache; sequence s has slot slot_of[s].
std::vector<Tensor> run_passes(const Context& ctx, const std::vector<Tensor>& qkv, const Tensor& decay,
                               const std::vector<Pass>& passes, const std::vector<int32_t>& slot_of,
                               LightningSlots cache) {
  std::vector<int64_t> lengths;
  for (const Tensor& sequence : qkv) lengths.push_back(sequence.dim(0));
  const std::vector<Tensor> out = test::empty_sequences(lengths, qkv[0].dim(1) / 3);
  for (const Pass& pass : passes) {
    Batch batch = test::batch_of(pass);
    std::vector<int32_t> slots;
    for (const test::Stretch& stretch : pass) slots.push_back(slot_of[stretch.seq]);
    batch.slots = test::int32s(slots);
    test::scatter(lightning_attention(ctx, test::gather(qkv, pass), decay, batch, &cache), pass, out);
  }
  return out;
}

struct Size {
  int64_t heads, head_dim;
};

TEST(Lightning, AgreesWithTheRecurrence) {
  test::Random random(1);
  for (const Size& size : {Size{3, 16}, Size{2, 20}, Size{1, 1}, Size{2, 128}})
    for (const int64_t tokens : {1, 63, 64, 65, 130, 700}) {
      const Tensor slopes = lightning_slopes(size.heads, layer_factor(tokens % 3 * 39));
      const Tensor qkv = random.normal({tokens, size.heads * 3 * size.head_dim});
      const test::Matrix want = reference::lightning(exact(qkv), slopes.span<float>());
      test::for_each_target([&](const Context& ctx) {
        const Tensor out =
            lightning_attention(ctx, qkv, lightning_decay(slopes), test::batch_of(test::whole({tokens})), nullptr);
        EXPECT_LT(relative_error(out, want), 1e-6)
            << size.heads << " heads of " << size.head_dim << ", " << tokens << " tokens";
      });
    }
}

TEST(Lightning, AgreesWithTheRecurrenceAtTheTrueSize) {
  test::Machine machine(cpu::kernels(), 2);
  test::Random random(2);
  const Tensor slopes = lightning_slopes(64, layer_factor(0)), qkv = random.normal({130, 64 * 3 * 128});
  const Tensor out =
      lightning_attention(machine.ctx(), qkv, lightning_decay(slopes), test::batch_of(test::whole({130})), nullptr);
  EXPECT_LT(relative_error(out, reference::lightning(exact(qkv), slopes.span<float>())), 1e-6);
}

// Random inputs hide a small bias behind their noise; constant ones of one sign add it up.
TEST(Lightning, FastestAndSlowestHeadOver32KTokens) {
  test::Random random(3);
  constexpr int64_t kTokens = 32 * 1024, kHeadDim = 8;
  const std::vector<float> slope_values = {lightning_slopes(64, layer_factor(0)).data<float>()[0],
                                           lightning_slopes(64, layer_factor(78)).data<float>()[63]};
  const Tensor decay = lightning_decay(Tensor::from(std::span(slope_values), {2}));
  for (const bool one_sign : {false, true}) {
    const Tensor qkv = random.normal({kTokens, 2 * 3 * kHeadDim});
    if (one_sign)
      for (float& value : qkv.span<float>()) value = std::abs(value);
    const test::Matrix want = reference::lightning(exact(qkv), std::span(slope_values));
    test::for_each_isa([&](const Context& ctx) {
      const Tensor out = lightning_attention(ctx, qkv, decay, test::batch_of(test::whole({kTokens})), nullptr);
      // Each head on its own: the slow one's values are thousands of times larger.
      for (const int64_t head : {0, 1}) {
        double worst = 0, largest = 0;
        for (int64_t token = 0; token < kTokens; ++token)
          for (int64_t d = head * kHeadDim; d < (head + 1) * kHeadDim; ++d) {
            const double error =
                std::abs(static_cast<double>(out.data<float>()[token * 2 * kHeadDim + d]) - want(token, d));
            if (!(error <= worst)) worst = error;  // NaN too
            largest = std::max(largest, std::abs(want(token, d)));
          }
        EXPECT_LT(worst / largest, 1e-6) << "head " << head << (one_sign ? ", one sign" : "");
      }
    });
  }
}

TEST(Lightning, AnyCutsAndCompanyGiveTheSameBits) {
  test::for_each_target([](const Context& ctx) {
    for (const uint64_t seed : {4, 5, 6}) {
      test::Random random(seed);
      for (const Size& size : {Size{2, 16}, Size{3, 20}, Size{1, 128}}) {
        const std::vector<int64_t> lengths = {1, 64, 65, 200, 130, 3};
        const std::vector<Tensor> qkv = test::normal_sequences(random, lengths, size.heads * 3 * size.head_dim);
        const Tensor decay = lightning_decay(lightning_slopes(size.heads, layer_factor(40)));
        const LightningSlots cache = poisoned_slots(8, size.heads, size.head_dim);
        const std::vector<Tensor> got =
            run_passes(ctx, qkv, decay, test::random_passes(random, lengths, 100), {7, 0, 3, 2, 6, 1}, cache);
        for (size_t seq = 0; seq < lengths.size(); ++seq) {
          // Alone, in one pass, without a cache.
          const Batch alone = test::batch_of(test::whole({lengths[seq]}));
          EXPECT_TRUE(same_bits(got[seq], lightning_attention(ctx, qkv[seq], decay, alone, nullptr))) << seq;
        }
        const Tensor unused = cache.state.view({8, size.heads * size.head_dim * size.head_dim}).rows(4, 6);
        for (const float value : unused.span<float>()) EXPECT_TRUE(std::isnan(value));
      }
    }
  });
}

TEST(Lightning, TokenByTokenEqualsOnePass) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(7);
    const std::vector<Tensor> qkv = test::normal_sequences(random, {140}, 2 * 3 * 32);
    const Tensor decay = lightning_decay(lightning_slopes(2, layer_factor(3)));
    std::vector<Pass> decode;
    for (int64_t token = 0; token < 140; ++token) decode.push_back({{0, token, 1}});
    const LightningSlots one = poisoned_slots(1, 2, 32), many = poisoned_slots(1, 2, 32);
    const std::vector<Tensor> whole = run_passes(ctx, qkv, decay, {{{0, 0, 140}}}, {0}, one);
    EXPECT_TRUE(same_bits(run_passes(ctx, qkv, decay, decode, {0}, many)[0], whole[0]));
    EXPECT_TRUE(same_bits(one.state, many.state));
  });
}

TEST(Lightning, AnInstructionSetGivesTheSameBitsForAnyNumberOfThreads) {
  test::Random random(8);
  const Tensor qkv = random.normal({300, 5 * 3 * 24}), decay = lightning_decay(lightning_slopes(5, 1));
  const Batch batch = test::batch_of({{0, 0, 100}, {1, 0, 200}});
  Tensor want;
  for (const int threads : {1, 2, 5}) {
    test::Machine machine(cpu::kernels(), threads);
    const Tensor out = lightning_attention(machine.ctx(), qkv, decay, batch, nullptr);
    if (threads > 1) {
      EXPECT_TRUE(same_bits(out, want));
    }
    want = out;
  }
}

TEST(Lightning, ASlotThatIsTakenAgainStartsFromZero) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(9);
    const std::vector<Tensor> first = test::normal_sequences(random, {150}, 2 * 3 * 16),
                              second = test::normal_sequences(random, {80}, 2 * 3 * 16);
    const Tensor decay = lightning_decay(lightning_slopes(2, 1));
    const LightningSlots cache = poisoned_slots(1, 2, 16);
    run_passes(ctx, first, decay, {{{0, 0, 150}}}, {0}, cache);
    const std::vector<Tensor> got = run_passes(ctx, second, decay, {{{0, 0, 1}}, {{0, 1, 79}}}, {0}, cache);
    EXPECT_TRUE(
        same_bits(got[0], lightning_attention(ctx, second[0], decay, test::batch_of(test::whole({80})), nullptr)));
  });
}

// Head h owns columns [3 h head_dim, 3 (h + 1) head_dim) = q | k | v: with all q first, two heads would be mixed up.
TEST(Lightning, ColumnsAreHeadMajor) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(10);
    constexpr int64_t kTokens = 70, kHeads = 3, kHeadDim = 16, kOwn = 3 * kHeadDim;
    const Tensor slopes = lightning_slopes(kHeads, layer_factor(20)), qkv = random.normal({kTokens, kHeads * kOwn});
    const Batch batch = test::batch_of(test::whole({kTokens}));
    const Tensor out = lightning_attention(ctx, qkv, lightning_decay(slopes), batch, nullptr);
    for (int64_t head = 0; head < kHeads; ++head) {
      const Tensor own = Tensor::empty({kTokens, kOwn}, DType::kFloat32);
      for (int64_t token = 0; token < kTokens; ++token)
        std::copy_n(qkv.data<float>() + (token * kHeads + head) * kOwn, kOwn, own.data<float>() + token * kOwn);
      const Tensor alone = lightning_attention(ctx, own, lightning_decay(slopes.rows(head, head + 1)), batch, nullptr);
      for (int64_t token = 0; token < kTokens; ++token)
        for (int64_t d = 0; d < kHeadDim; ++d)
          ASSERT_EQ(out.data<float>()[(token * kHeads + head) * kHeadDim + d],
                    alone.data<float>()[token * kHeadDim + d]);
    }
  });
}

TEST(Lightning, LaterTokensDoNotReachEarlierOnes) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(11);
    const Tensor decay = lightning_decay(lightning_slopes(2, 1)), qkv = random.normal({100, 2 * 3 * 16});
    const Batch batch = test::batch_of(test::whole({100}));
    const Tensor before = lightning_attention(ctx, qkv, decay, batch, nullptr);
    for (const int64_t from : {1, 50, 66, 99}) {
      const Tensor changed = Tensor::from(std::span<const float>(qkv.span<float>()), qkv.shape());
      std::fill(changed.data<float>() + from * qkv.dim(1), changed.data<float>() + qkv.elements(),
                std::numeric_limits<float>::quiet_NaN());
      const Tensor after = lightning_attention(ctx, changed, decay, batch, nullptr);
      EXPECT_TRUE(same_bits(before.rows(0, from), after.rows(0, from))) << from;
      for (const float value : after.rows(from, 100).span<float>()) EXPECT_TRUE(std::isnan(value));
    }
  });
}

TEST(Lightning, Errors) {
  test::Machine machine(cpu::kernels(), 1);
  const Context ctx = machine.ctx();
  const Tensor decay = lightning_decay(lightning_slopes(2, 1));
  const Tensor qkv = Tensor::zeros({3, 2 * 3 * 4}, DType::kFloat32);
  Batch batch = test::batch_of(test::whole({3}));
  auto attend = [&](const Tensor& qkv, const Tensor& decay, LightningSlots* cache) {
    return test::error_of([&] { lightning_attention(ctx, qkv, decay, batch, cache); });
  };
  EXPECT_EQ(attend(qkv, decay, nullptr), "no error");
  EXPECT_EQ(test::error_of([] { lightning_slopes(0, 1); }), "lightning_slopes: 0 heads");
  EXPECT_EQ(test::error_of([] { lightning_decay(Tensor::zeros({2, 2}, DType::kFloat32)); }),
            "lightning_decay: slopes are F32 [2, 2], expected F32 [heads]");
  EXPECT_EQ(attend(Tensor::zeros({3, 24}, DType::kBFloat16), decay, nullptr), "qkv is BF16, expected F32");
  EXPECT_EQ(attend(Tensor::zeros({3, 25}, DType::kFloat32), decay, nullptr),
            "lightning_attention: qkv [3, 25] for 3 tokens and 2 heads");
  EXPECT_EQ(attend(Tensor::zeros({4, 24}, DType::kFloat32), decay, nullptr),
            "lightning_attention: qkv [4, 24] for 3 tokens and 2 heads");
  EXPECT_EQ(attend(qkv, Tensor::zeros({2, 64}, DType::kFloat32), nullptr),
            "lightning_attention: decay is F32 [2, 64], expected F32 [heads, 66]");
  EXPECT_EQ(attend(qkv, Tensor(), nullptr), "lightning_attention: decay is F32 [], expected F32 [heads, 66]");
  LightningSlots cache = poisoned_slots(2, 2, 4);
  batch.slots = test::int32s({1});
  EXPECT_EQ(attend(qkv, decay, &cache), "no error");
  LightningSlots wrong = cache;
  wrong.state = poisoned_slots(2, 2, 5).state;
  EXPECT_EQ(attend(qkv, decay, &wrong),
            "slots.state is [2, 2, 5, 5], expected [2, 2, 4, 4] = [slot_count, heads, head_dim, head_dim]");
  wrong = cache;
  wrong.k_window = cache.v_window;
  EXPECT_EQ(attend(qkv, decay, &wrong),
            "slots.k_window is [2, 2, 64, 4], expected [2, 2, 4, 64] = [slot_count, heads, head_dim, kChunk]");
  wrong = cache;
  wrong.v_window = cache.k_window;
  EXPECT_EQ(attend(qkv, decay, &wrong),
            "slots.v_window is [2, 2, 4, 64], expected [2, 2, 64, 4] = [slot_count, heads, kChunk, head_dim]");
}

}  // namespace
}  // namespace minimax::ops
