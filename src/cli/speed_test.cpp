#include "cli/speed.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cli/synthetic.h"
#include "core/error.h"
#include "model/random.h"
#include "model/tensor_names.h"

namespace minimax::cli {
namespace {

TEST(Samples, MedianMinAndMax) {
  EXPECT_EQ((Samples{{3, 1, 2}}).median(), 2);
  EXPECT_EQ((Samples{{4, 1, 2, 3}}).median(), 2.5);
  EXPECT_EQ((Samples{{4, 1, 2, 3}}).min(), 1);
  EXPECT_EQ((Samples{{4, 1, 2, 3}}).max(), 4);
  EXPECT_TRUE(std::isnan(Samples{}.median()));
}

TEST(Synthetic, ShapesAreWhatTheyAreCalled) {
  for (const std::string& name : synthetic_shapes()) validate(synthetic_config(name, 0), name);
  const ModelConfig s8 = synthetic_config("s8", 0);
  EXPECT_NEAR(static_cast<double>(parameter_count(s8)), 5.1e9, 0.1e9);
  EXPECT_EQ(s8.layer_kind[6], LayerKind::kLightning);
  EXPECT_EQ(s8.layer_kind[7], LayerKind::kSoftmax);
  const ModelConfig one = synthetic_config("m1-layer2", 1);
  EXPECT_EQ(one.layer_kind, std::vector{LayerKind::kLightning});
  // One lightning layer of MiniMax-M1: all experts, router, attention and norms, and embedding and head of 32,000 ids.
  EXPECT_EQ(parameter_count(one), 32 * 169'869'312LL + 32 * 6144 + 251'666'432 + 3 * 6144 + 2 * 32000LL * 6144);
  EXPECT_THROW(synthetic_config("s9", 0), Error);
}

TEST(SpeedTest, OneSampleARound) {
  ThreadPool threads(2);
  const MiniMaxM1 model = random_model(synthetic_config("tiny", 2), DType::kBFloat16, 1, threads);
  const CeilingSamples ceilings{
      .threads = 2, .read_bytes_per_second = {{1e12}}, .float32_flops = {{1e13}}, .bf16_dot_flops = {{2e13}}};
  SpeedTest test(model, Context{.threads = &threads}, {.prompt_tokens = 70, .answer_tokens = 3, .prefill_chunk = 32});
  std::vector<std::string> steps;
  for (int round = 0; round < 2; ++round)
    test.run_round(ceilings, [&](const std::string& what) { steps.push_back(what); });
  EXPECT_EQ(steps, (std::vector<std::string>{"prompt", "answer", "prompt", "answer"}));
  const SpeedSamples& samples = test.samples();
  ASSERT_EQ(samples.prefill_seconds.values.size(), 2u);
  ASSERT_EQ(samples.decode_share.values.size(), 2u);
  for (int round = 0; round < 2; ++round) {
    EXPECT_GT(samples.prefill_seconds.values[round], 0);
    EXPECT_LE(samples.decode_seconds.values[round], samples.decode_seconds_p95.values[round]);
    EXPECT_NEAR(samples.prefill_share.values[round],
                samples.prefill_cost.flops / samples.prefill_seconds.values[round] / 1e13, 1e-9);
    EXPECT_NEAR(samples.decode_share.values[round],
                static_cast<double>(samples.decode_cost.weight_bytes) / samples.decode_seconds.values[round] / 1e12,
                1e-9);
  }
  EXPECT_THROW(SpeedTest(model, Context{.threads = &threads}, {.prompt_tokens = 0}), Error);
}

}  // namespace
}  // namespace minimax::cli
