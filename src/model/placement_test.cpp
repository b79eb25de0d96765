// Weights on a device, with a module that plays a GPU of 1 MB.
#include "model/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cuda/gpu.h"
#include "model/quantize_weights.h"
#include "model/random.h"
#include "model/shapes.h"
#include "quant/panel.h"

namespace minimax {
namespace {

ModelConfig small(int64_t vocab) {
  ModelConfig config;
  config.vocab = vocab;
  config.hidden = 32;
  config.ffn = 16;
  config.layers = 2;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 16;
  config.experts = 4;
  config.shared_ffn = 8;
  derive_plan(config, 2);
  return config;
}

std::vector<float> values(const Tensor& x) {
  const Tensor floats = to_float32(to_host(x));
  return {floats.span<float>().begin(), floats.span<float>().end()};
}

class PlacementTest : public testing::Test {
 protected:
  ThreadPool threads{1};
  std::unique_ptr<cuda::Gpu> gpu =
      cuda::Gpu::open(0, std::filesystem::path(MINIMAX_FAKE_MODULES) / "libcuda_fake_two_gpus.so");
  Context ctx{.device = Device::kCuda, .gpu = gpu.get(), .matmul_precision = MatmulPrecision::kBFloat16};
};

TEST_F(PlacementTest, WeightsLieWhereTheKernelsWantThem) {
  ModelConfig config = small(64);
  config.hidden = 160;  // of few terms they would stay float32
  const MiniMaxM1 host = random_model(config, DType::kFloat32, 1, threads);
  const MiniMaxM1 placed = place_model(ctx, host);
  EXPECT_EQ(placed.embed_tokens.data.dtype(), DType::kBFloat16);
  EXPECT_EQ(placed.lm_head.data.device(), Device::kCuda);
  EXPECT_EQ(placed.known_dead_ids, host.dead_ids());
  for (size_t layer = 0; layer < placed.layers.size(); ++layer) {
    const MixtureOfExperts &moe = placed.layers[layer].moe, &before = host.layers[layer].moe;
    EXPECT_EQ(moe.router.data.dtype(), DType::kFloat32);
    EXPECT_EQ(values(moe.router.data), values(before.router.data));
    EXPECT_EQ(moe.shared->coefficient.data.dtype(), DType::kFloat32);
    const auto address = [&](size_t e) { return static_cast<const char*>(moe.experts[e].up.data.raw()); };
    for (size_t e = 0; e < moe.experts.size(); ++e) {
      EXPECT_EQ(address(e) - address(0), static_cast<int64_t>(e) * (address(1) - address(0)));
      const std::vector<float> got = values(moe.experts[e].down.data), want = values(before.experts[e].down.data);
      for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], to_float(to_bfloat16(want[i])));
    }
  }
}

TEST_F(PlacementTest, SmallFloat32MatricesAreNotRounded) {
  const MiniMaxM1 host = random_model(small(64), DType::kFloat32, 1, threads), placed = place_model(ctx, host);
  EXPECT_EQ(values(placed.lm_head.data), values(host.lm_head.data));
  EXPECT_EQ(placed.layers[0].moe.experts[1].down.data.dtype(), DType::kFloat32);
  EXPECT_EQ(place_model(ctx, random_model(small(64), DType::kBFloat16, 1, threads)).lm_head.data.dtype(),
            DType::kBFloat16);
}

std::vector<uint8_t> bytes_of(const Tensor& x) {
  const Tensor there = to_host(x);
  return {there.span<uint8_t>().begin(), there.span<uint8_t>().end()};
}

TEST_F(PlacementTest, PackedMatricesStayPacked) {
  MiniMaxM1 host = random_model(small(64), DType::kFloat32, 1, threads);
  quantize_weights(
      host,
      [](const std::string& name) {
        return name.find("w2") == std::string::npos ? quant::Format::kQ4 : quant::Format::kQ8;
      },
      threads);
  const MiniMaxM1 placed = place_model(ctx, host);
  EXPECT_EQ(placed.lm_head.format, quant::Format::kQ4);
  EXPECT_EQ(bytes_of(placed.lm_head.data), bytes_of(host.lm_head.data));
  EXPECT_EQ(placed.lm_head.data.device(), Device::kCuda);
  for (size_t layer = 0; layer < placed.layers.size(); ++layer) {
    const std::vector<ExpertWeights>&got = placed.layers[layer].moe.experts, &want = host.layers[layer].moe.experts;
    for (const auto which : {&ExpertWeights::gate, &ExpertWeights::up, &ExpertWeights::down}) {
      const auto address = [&](size_t e) { return static_cast<const char*>((got[e].*which).data.raw()); };
      for (size_t e = 0; e < got.size(); ++e) {
        EXPECT_EQ((got[e].*which).format, (want[e].*which).format);
        EXPECT_EQ((got[e].*which).shape(), (want[e].*which).shape());
        EXPECT_EQ(bytes_of((got[e].*which).data), bytes_of((want[e].*which).data));
        EXPECT_EQ(address(e) - address(0), static_cast<int64_t>(e) * (address(1) - address(0)));
        EXPECT_EQ((address(e) - static_cast<const char*>(got[0].gate.data.raw())) % 64, 0);
      }
    }
  }
  EXPECT_TRUE(placed.layers[0].moe.shared->expert.up.format);
}

TEST_F(PlacementTest, AdaptersAreAddedToUnpackedWeights) {
  MiniMaxM1 host = random_model(small(64), DType::kFloat32, 1, threads);
  quantize_weights(host, [](const std::string&) { return quant::Format::kQ8; }, threads);
  LowRank adapter{Tensor::zeros({1, 32}, DType::kFloat32), Tensor::zeros({16, 1}, DType::kFloat32), 2.0f};
  adapter.down.data<float>()[3] = 5;
  adapter.up.data<float>()[7] = 100;
  ExpertWeights& with = host.layers[0].moe.experts[2];
  with.gate.adapter = std::make_shared<const LowRank>(adapter);
  const MiniMaxM1 placed = place_model(ctx, host);
  EXPECT_FALSE(placed.layers[0].moe.experts[0].gate.format) << "experts of a layer lie there alike";
  EXPECT_TRUE(placed.layers[1].moe.experts[0].gate.format);
  std::vector<float> want(16 * 32);
  quant::dequantize_rows(quant::Format::kQ8, 32, static_cast<const std::byte*>(with.gate.data.raw()), 0, 16,
                         want.data());
  want[7 * 32 + 3] += 1000;
  EXPECT_EQ(values(placed.layers[0].moe.experts[2].gate.data), want);
}

TEST_F(PlacementTest, ExpertsOfSeveralFormatsLieThereUnpacked) {
  MiniMaxM1 host = random_model(small(64), DType::kFloat32, 1, threads);
  quantize_weights(
      host,
      [](const std::string& name) {
        return name.find("experts.1.") == std::string::npos ? quant::Format::kQ4 : quant::Format::kQ8;
      },
      threads);
  const MiniMaxM1 placed = place_model(ctx, host);
  for (const DecoderLayer& layer : placed.layers)
    for (const ExpertWeights& expert : layer.moe.experts) EXPECT_FALSE(expert.gate.format || expert.down.format);
  EXPECT_TRUE(placed.lm_head.format);
}

TEST_F(PlacementTest, PackedMatricesAreUnpackedForADType) {
  MiniMaxM1 host = random_model(small(64), DType::kFloat32, 1, threads);
  quantize_weights(host, [](const std::string&) { return quant::Format::kQ8; }, threads);
  ASSERT_TRUE(host.layers[1].moe.experts[2].down.format);
  const MiniMaxM1 placed = place_model(ctx, host, DType::kFloat32);
  const auto expect_same = [](const Weight& got, const Weight& packed) {
    EXPECT_FALSE(got.format);
    ASSERT_EQ(got.shape(), packed.shape());
    std::vector<float> want(static_cast<size_t>(packed.outputs() * packed.inputs()));
    quant::dequantize_rows(*packed.format, packed.inputs(), static_cast<const std::byte*>(packed.data.raw()), 0,
                           packed.outputs(), want.data());
    EXPECT_EQ(values(got.data), want);
  };
  expect_same(placed.lm_head, host.lm_head);
  expect_same(placed.embed_tokens, host.embed_tokens);
  expect_same(placed.layers[1].moe.experts[2].down, host.layers[1].moe.experts[2].down);
  expect_same(placed.layers[0].moe.shared->expert.up, host.layers[0].moe.shared->expert.up);
}

TEST_F(PlacementTest, ExactContextsKeepWhatTheCheckpointHolds) {
  ctx.matmul_precision = MatmulPrecision::kFloat32;
  for (const auto& [held, expected] : {std::pair(DType::kFloat32, DType::kFloat32),
                                       {DType::kBFloat16, DType::kBFloat16},
                                       {DType::kFloat16, DType::kFloat32}})
    EXPECT_EQ(place_model(ctx, random_model(small(64), held, 1, threads)).lm_head.data.dtype(), expected);
}

TEST_F(PlacementTest, TiedEmbeddingsStayOne) {
  ModelConfig config = small(64);
  config.tied_embeddings = true;
  const MiniMaxM1 placed = place_model(ctx, random_model(config, DType::kBFloat16, 1, threads));
  EXPECT_EQ(placed.lm_head.data.raw(), placed.embed_tokens.data.raw());
}

TEST_F(PlacementTest, SaysBeforehandWhatDoesNotFit) {
  const int64_t free = gpu->free_bytes();
  try {
    place_model(ctx, random_model(small(20000), DType::kBFloat16, 1, threads));
    FAIL() << "2.6 MB in 1";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("the model's weights take 26"),
                                             testing::HasSubstr(cat(free, " are free"))));
  }
  EXPECT_EQ(gpu->free_bytes(), free);
}

}  // namespace
}  // namespace minimax
