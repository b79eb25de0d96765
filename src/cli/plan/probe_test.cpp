#include "cli/plan/probe.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/synthetic.h"
#include "model/quantize_checkpoint.h"

namespace minimax::cli {
namespace {

constexpr int64_t kGB = 1'000'000'000;

int64_t lightning_layers(const ModelConfig& config) {
  return std::count(config.layer_kind.begin(), config.layer_kind.end(), LayerKind::kLightning);
}

TEST(Probe, AModelThatFitsIsItsOwnProbe) {
  const quant::Recipe q4 = quant::Recipe::parse("q4", "test");
  const ModelConfig tiny = synthetic_config("tiny", 0);
  EXPECT_EQ(probe_config(tiny, q4, kGB), tiny);
}

TEST(Probe, KeepsWidthsAndBothKindsOfLayers) {
  const ModelConfig m1 = read_config(MINIMAX_TESTDATA "/m1");
  for (const char* text : {"bf16", "q8", "experts-int8", "q4"}) {
    const quant::Recipe recipe = quant::Recipe::parse(text, "test");
    const auto probe = probe_config(m1, recipe, 6 * kGB);
    ASSERT_TRUE(probe) << text;
    EXPECT_LE(quantized_bytes(*probe, recipe), 6 * kGB);
    EXPECT_EQ(probe->hidden, m1.hidden);
    EXPECT_EQ(probe->ffn, m1.ffn);
    EXPECT_EQ(probe->top_k, m1.top_k);
    EXPECT_GE(probe->experts, 2 * m1.top_k);
    EXPECT_GE(probe->layers, 2);
    EXPECT_EQ(static_cast<int64_t>(probe->layer_kind.size()), probe->layers);
    EXPECT_EQ(probe->layers - lightning_layers(*probe), 1);
    validate(*probe, text);
  }
}

TEST(Probe, NoneWhereThereIsNoRoom) {
  const ModelConfig m1 = read_config(MINIMAX_TESTDATA "/m1");
  ThreadPool threads(1);
  EXPECT_FALSE(probe_config(m1, quant::Recipe::parse("q4", "test"), kGB / 10));
  EXPECT_FALSE(measure_probe(m1, quant::Recipe::parse("q4", "test"), threads, kGB / 10));
}

TEST(Probe, MeasuresEveryFormat) {
  ThreadPool threads(2);
  const ModelConfig tiny = synthetic_config("tiny", 2);
  for (const char* text : {"bf16", "q8", "experts-int8", "q6", "q5", "q4", "mxfp4"}) {
    const auto speed = measure_probe(tiny, quant::Recipe::parse(text, "test"), threads, kGB);
    ASSERT_TRUE(speed) << text;
    EXPECT_GT(speed->bytes_per_second, 0) << text;
    EXPECT_GT(speed->prompt_flops_per_second, 0) << text;
  }
}

}  // namespace
}  // namespace minimax::cli
