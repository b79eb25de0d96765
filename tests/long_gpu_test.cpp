// A sequence of 1,048,576 tokens on a GPU: any cut of it gives the same bits, and nothing grows but its keys.
#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"
#include "engine/state/state_cache.h"
#include "model/random.h"
#include "ops/test_gpu.h"

namespace minimax {
namespace {

constexpr int64_t kTokens = int64_t{1} << 20, kAnswer = 16;

/// One layer of each kind with heads of the true shape, small otherwise.
ModelConfig config() {
  ModelConfig config;
  config.vocab = 512;
  config.hidden = 256;
  config.ffn = 128;
  config.layers = 2;
  config.heads = 8;
  config.kv_heads = 1;
  config.head_dim = 128;
  config.rotary_dim = 64;
  config.rope_theta = 1e7;
  config.max_positions = 2 * kTokens;
  config.experts = 8;
  config.postnorm = true;
  config.lightning_alpha = config.softmax_alpha = config.moe_alpha = 1.4;
  config.layer_kind = {LayerKind::kLightning, LayerKind::kSoftmax};
  config.initializer_range = 0.08;
  return config;
}

/// Logits of the prompt's last token and of the answer's, the prompt in pieces.
std::vector<float> run(const MiniMaxM1& model, Context ctx, int64_t piece) {
  engine::StateCache cache(model.config, kTokens + kAnswer, 1, ctx);
  engine::Sequence sequence = cache.open();
  Rng rng(7);
  std::vector<float> all;
  int64_t early = 0, late = 0;
  while (sequence.length < kTokens + kAnswer) {
    const int64_t left = kTokens - sequence.length, count = left > 0 ? std::min(piece, left) : 1;
    std::vector<int32_t> ids(static_cast<size_t>(count));
    for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(model.config.vocab)));
    cache.reserve(sequence, sequence.length + count);
    engine::BatchBuilder batch;
    batch.add(sequence, ids, engine::BatchBuilder::Logits::kLast);
    const Tensor logits = to_host(model.forward(ctx, batch.build(), cache.layers()));
    sequence.length += count;
    if (sequence.length >= kTokens) all.insert(all.end(), logits.span<float>().begin(), logits.span<float>().end());
    if (left < piece) continue;  // the last piece and the answer come in sizes of their own
    if (sequence.length >= kTokens / 8 && early == 0) early = ctx.gpu->taken_bytes();
    late = ctx.gpu->taken_bytes();
  }
  // Page tables are longer towards the end: a little more, no more.
  EXPECT_LT(late, early + (int64_t{4} << 20)) << "after an eighth of the tokens: " << early;
  return all;
}

TEST(LongGpu, AMillionTokensAreTheSameBitsInAnyPieces) {
  ThreadPool threads(8);
  Arena arena(&test::gpu());
  const Context ctx{.device = Device::kCuda,
                    .gpu = &test::gpu(),
                    .arena = &arena,
                    .threads = &threads,
                    .matmul_precision = MatmulPrecision::kBFloat16,
                    .deterministic = true};
  const MiniMaxM1 model = random_model(ctx, config(), DType::kBFloat16, 3);
  const std::vector<float> want = run(model, ctx, 1 << 15);
  double squares = 0;
  for (const float x : want) {
    ASSERT_TRUE(std::isfinite(x));
    squares += static_cast<double>(x) * static_cast<double>(x);
  }
  EXPECT_GT(squares, 0);
  EXPECT_EQ(run(model, ctx, 20000), want);
}

}  // namespace
}  // namespace minimax
