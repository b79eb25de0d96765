#include "engine/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "model/tensor_names.h"

namespace minimax::engine {
namespace {

using testing::HasSubstr;

// Counted by hand for the published config: 80 layers, 10 of them softmax, hidden 6144, 64 heads of 128, 8 key/value
// heads, 32 experts of width 9216, 200064 ids.
constexpr int64_t kExpert = 3LL * 6144 * 9216;  // weights
constexpr int64_t kAttention = 70 * 5LL * 6144 * 8192 + 10 * 2LL * 6144 * (8192 + 1024);
constexpr int64_t kVocabulary = 200064LL * 6144;                                   // of embedding, and of head
constexpr int64_t kSmall = 80LL * 32 * 6144 * 4 + (161LL * 6144 + 70 * 8192) * 2;  // routers float32, norms bfloat16
constexpr int64_t kSequence = 10 * 2LL * 1024 * 4 * 32768 + 70 * 8192LL * (128 + 64 + 64) * 4;

constexpr int64_t q4(int64_t weights) {
  return weights * 17 / 32;
}
constexpr int64_t q8(int64_t weights) {
  return weights * 17 / 16;
}

ModelConfig m1() {
  return read_config(MINIMAX_TESTDATA "/m1");
}

Plan plan_of(const std::string& recipe, PerTier<int64_t> memory, int64_t tokens = 32768) {
  return plan_model(m1(), quant::Recipe::parse(recipe, "test"), DType::kBFloat16, memory, tokens);
}

PerTier<int64_t> memory(int64_t gpu, int64_t ram, int64_t disk) {
  return {{gpu, ram, disk}};
}

template <typename Work>
std::string error_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

constexpr int64_t kGB = 1'000'000'000, kTB = 1000 * kGB;

TEST(Plan, BytesOfThePublishedModel) {
  const PerTier<int64_t> large = memory(0, 2 * kTB, 2 * kTB);
  const Plan bf16 = plan_of("bf16", large);
  EXPECT_EQ(bf16.weight_bytes, 912'210'767'872);
  EXPECT_EQ(bf16.tiers[Tier::kRam].weight_bytes(), bf16.weight_bytes);
  EXPECT_EQ(bf16.tiers[Tier::kRam].expert_bytes, 80 * 32 * kExpert * 2);
  EXPECT_EQ(bf16.tiers[Tier::kRam].experts, 80 * 32);
  EXPECT_EQ(bf16.tiers[Tier::kRam].dense_bytes, 2 * (kAttention + kVocabulary) + kSmall);
  EXPECT_EQ(bf16.tiers[Tier::kRam].embedding_bytes, 2 * kVocabulary);
  // The active parameters as model/cost counts them, norms, and a row of the embedding.
  EXPECT_EQ(bf16.tiers[Tier::kRam].weight_bytes_per_token, 94'379'696'128.0);
  EXPECT_EQ(bf16.kv_bytes, 2'684'354'560);
  EXPECT_EQ(bf16.state_bytes, 587'202'560);
  EXPECT_EQ(bf16.tiers[Tier::kRam].sequence_bytes, kSequence);
  EXPECT_TRUE(bf16.fits_in_memory());

  EXPECT_EQ(plan_of("q4", large).weight_bytes, 243'660'500'992);
  EXPECT_EQ(plan_of("q4", large).tiers[Tier::kRam].weight_bytes_per_token, 25'771'116'928.0);
  EXPECT_EQ(plan_of("mxfp4", large).weight_bytes, 243'660'500'992);
  const int64_t all = 80 * 32 * kExpert + kAttention + 2 * kVocabulary;
  EXPECT_EQ(plan_of("q8", large).weight_bytes, q8(all) + kSmall);
  EXPECT_EQ(plan_of("q5", large).weight_bytes,
            (80 * 32 * kExpert + kAttention) * 83 / 128 + q8(2 * kVocabulary) + kSmall);
  EXPECT_EQ(plan_of("q6", large).weight_bytes,
            (80 * 32 * kExpert + kAttention) * 49 / 64 + q8(2 * kVocabulary) + kSmall);
  // A float32 scale for each output row: two matrices of 9216, one of 6144.
  EXPECT_EQ(plan_of("experts-int8", large).weight_bytes,
            80 * 32 * (kExpert + 4 * (2 * 9216 + 6144)) + 2 * (kAttention + 2 * kVocabulary) + kSmall);
  EXPECT_EQ(plan_of("experts=q4,attention=q8,head=bf16,embedding=q8", large).weight_bytes,
            q4(80 * 32 * kExpert) + q8(kAttention + kVocabulary) + 2 * kVocabulary + kSmall);
}

TEST(Plan, WhatEveryTokenReadsComesFirst) {
  const Plan plan = plan_of("q4", memory(80 * kGB, 256 * kGB, kTB));
  const TierPlan &gpu = plan.tiers[Tier::kGpu], &ram = plan.tiers[Tier::kRam];
  const int64_t dense = q4(kAttention) + q8(kVocabulary) + kSmall;
  EXPECT_EQ(plan.sequence_tier, Tier::kGpu);
  EXPECT_EQ(gpu.sequence_bytes, kSequence);
  EXPECT_EQ(gpu.dense_bytes, dense);
  // 76 GB may be used; what is left holds 680.3 experts.
  EXPECT_EQ(gpu.experts, (76 * kGB - kSequence - dense) / q4(kExpert));
  EXPECT_EQ(gpu.experts, 680);
  EXPECT_EQ(ram.experts, 1880);
  EXPECT_EQ(ram.expert_bytes, 1880 * q4(kExpert));
  EXPECT_EQ(ram.dense_bytes, 0);
  EXPECT_EQ(ram.embedding_bytes, q8(kVocabulary));
  EXPECT_DOUBLE_EQ(gpu.weight_bytes_per_token, static_cast<double>(dense) + 680.0 * q4(kExpert) / 16);
  EXPECT_DOUBLE_EQ(ram.weight_bytes_per_token, 1880.0 * q4(kExpert) / 16 + 6528);
  EXPECT_TRUE(plan.fits_in_memory());
}

TEST(Plan, TheRestIsReadFromTheDisk) {
  const Plan plan = plan_of("q4", memory(0, 128 * kGB, kTB));
  EXPECT_EQ(plan.tiers[Tier::kRam].experts, 1185);
  EXPECT_EQ(plan.tiers[Tier::kDisk].experts, 1375);
  EXPECT_TRUE(plan.fits());
  EXPECT_FALSE(plan.fits_in_memory());
  EXPECT_EQ(plan.tiers[Tier::kRam].bytes() + plan.tiers[Tier::kDisk].bytes(), plan.weight_bytes + kSequence);
  EXPECT_LE(plan.tiers[Tier::kRam].bytes(), 128 * kGB * 19 / 20);
}

TEST(Plan, WhatIsMissing) {
  EXPECT_EQ(plan_of("q4", memory(0, kTB, 243 * kGB)).missing_disk_bytes, 660'500'992);
  const Plan small = plan_of("q4", memory(0, 2 * kGB, kTB));
  EXPECT_EQ(small.missing_memory_bytes, kSequence - 1'900'000'000);
  EXPECT_FALSE(small.fits());
  EXPECT_FALSE(seconds_per_token(small, {{1e9, 1e9, 1e9}}, false));
}

TEST(Plan, SecondsAreBytesOverBandwidth) {
  const Plan plan = plan_of("q4", memory(0, 128 * kGB, kTB));
  const double state = 70.0 * 64 * 128 * 128 * 4, kv = 32768.0 * 10 * 2 * 1024 * 4;
  const double from_disk = 1375.0 * q4(kExpert) / 16 + 6528, from_ram = 25'771'116'928.0 - from_disk;
  const auto empty = seconds_per_token(plan, {{std::nullopt, 100e9, 5e9}}, false);
  ASSERT_TRUE(empty);
  EXPECT_NEAR(*empty, (from_ram + state) / 100e9 + from_disk / 5e9, 1e-9);
  EXPECT_NEAR(*seconds_per_token(plan, {{std::nullopt, 100e9, 5e9}}, true), *empty + kv / 100e9, 1e-9);
  EXPECT_FALSE(seconds_per_token(plan, {{1e12, 100e9, std::nullopt}}, false));
  EXPECT_FALSE(seconds_per_token(plan, {{1e12, std::nullopt, 5e9}}, false));
}

TEST(Plan, TiedEmbeddingsAreReadAsTheHead) {
  ModelConfig config = m1();
  config.tied_embeddings = true;
  const Plan plan =
      plan_model(config, quant::Recipe::parse("bf16", "test"), DType::kBFloat16, memory(0, 2 * kTB, 2 * kTB), 0);
  EXPECT_EQ(plan.weight_bytes, 912'210'767'872 - 2 * kVocabulary);
  EXPECT_EQ(plan.tiers[Tier::kRam].embedding_bytes, 0);
  EXPECT_EQ(plan.tiers[Tier::kRam].weight_bytes_per_token, 94'379'696'128.0 - 2 * 6144);
}

TEST(Plan, Errors) {
  EXPECT_THAT(error_of([] { plan_of("q4", memory(0, -1, 0)); }), HasSubstr("-1 bytes of ram"));
  EXPECT_THAT(error_of([] { plan_of("q4", memory(0, 1, 0), -2); }), HasSubstr("-2 tokens"));
  EXPECT_THAT(error_of([] { plan_of("q4,banana=q8", memory(0, 1, 0)); }), HasSubstr("\"banana=q8\" fits no matrix"));
  EXPECT_THAT(error_of([] { plan_of("q3", memory(0, 1, 0)); }), HasSubstr("\"q3\" in \"q3\" is no format"));
}

}  // namespace
}  // namespace minimax::engine
