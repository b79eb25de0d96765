#include "train/lora.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "core/rng.h"
#include "io/test_folder.h"
#include "model/parameters.h"
#include "model/quantize_weights.h"
#include "model/random.h"
#include "model/shapes.h"
#include "train/unpack.h"

namespace minimax::train {
namespace {

using testing::HasSubstr;

std::vector<double> values(const Tensor& x) {
  return {x.span<float>().begin(), x.span<float>().end()};
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.bytes() == b.bytes() &&
         std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

class LoraTest : public testing::Test {
 protected:
  static ModelConfig config() {
    ModelConfig config = small_shape("pico", 40);
    config.layers = 2;
    config.hidden = 24;
    config.heads = 2;
    config.head_dim = 8;
    config.ffn = 32;
    derive_plan(config, 2);
    config.initializer_range = 0.2;
    return config;
  }

  static std::vector<TrainBatch> batches() {
    Rng rng(5);
    std::vector<TrainSequence> data(4);
    for (TrainSequence& sequence : data)
      for (int t = 0; t < 30; ++t) {
        sequence.tokens.push_back(static_cast<int32_t>(rng.below(40)));
        sequence.weights.push_back(t > 0 ? 1.0 / (29 * 4) : 0);
      }
    return pack(data, 100);
  }

  ThreadPool threads{1};
  Arena arena;
  Context ctx{.arena = &arena, .threads = &threads};
  MiniMaxM1 base = random_model(config(), DType::kFloat32, 3, threads);
};

TEST_F(LoraTest, GradientsAreThoseOfTheFactors) {
  TrainableModel trainable = make_trainable(ctx, base, DType::kFloat32);
  const LoraOptions options{.rank = 3, .alpha = 6};
  LoraAdapters adapters(ctx, trainable, options, 1);
  ASSERT_EQ(trainable.parameters.size(), 2u * 7);  // both kinds of attention
  const TrainedParameter &down = trainable.parameters[0], &up = trainable.parameters[1];
  EXPECT_EQ(down.name, "base_model.model.model.layers.0.self_attn.qkv_proj.lora_A.weight");
  Rng rng(8);
  for (float& value : up.value.span<float>()) value = static_cast<float>(0.1 * rng.normal());
  adapters.apply(ctx);
  Gradients d;
  for (const TrainBatch& batch : batches()) run_pass(ctx, trainable.model, batch, {}, 1, d);
  const auto& lightning = std::get<LightningAttention>(trainable.model.layers[0].attention);
  const std::vector<double> dweight = values(*d.find(lightning.qkv_proj.data));
  adapters.project(ctx, d);
  EXPECT_EQ(d.size(), 2 * 7);
  const std::vector<double> a = values(down.value), b = values(up.value), da = values(*d.find(down.value)),
                            db = values(*d.find(up.value));
  const int64_t out = up.value.dim(0), in = down.value.dim(1);
  double worst = 0, largest = 0;
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t i = 0; i < in; ++i) {
      double expected = 0;
      for (int64_t o = 0; o < out; ++o) expected += 2 * b[o * 3 + r] * dweight[o * in + i];
      worst = std::max(worst, std::abs(expected - da[r * in + i]));
      largest = std::max(largest, std::abs(expected));
    }
    for (int64_t o = 0; o < out; ++o) {
      double expected = 0;
      for (int64_t i = 0; i < in; ++i) expected += 2 * dweight[o * in + i] * a[r * in + i];
      worst = std::max(worst, std::abs(expected - db[o * 3 + r]));
      largest = std::max(largest, std::abs(expected));
    }
  }
  EXPECT_LT(worst, 1e-5 * largest);
}

TEST_F(LoraTest, LearnsOverAFrozenBaseAndMerges) {
  for (const DType working : {DType::kFloat32, DType::kBFloat16}) {
    TrainableModel trainable = make_trainable(ctx, base, working);
    const MiniMaxM1 before = make_trainable(ctx, base, working).model;
    LoraAdapters adapters(ctx, trainable, {.rank = 4, .experts = true}, 1);
    Trainer trainer(ctx, trainable, {}, nullptr, &adapters);
    const double first = trainer.step(batches(), 1e-2).pass.loss;
    StepMetrics last;
    for (int step = 0; step < 40; ++step) last = trainer.step(batches(), 1e-2);
    EXPECT_LT(last.pass.loss, 0.8 * first);

    test::Folder folder;
    adapters.save(ctx, folder.path());
    // Merged into the very weights that were the base, it is what was trained.
    MiniMaxM1 merged = make_trainable(ctx, base, DType::kFloat32).model;
    merge_adapters(folder.path(), threads, merged);
    const std::vector<Parameter> trained = parameters(trainable.model), from_file = parameters(merged),
                                 frozen = parameters(before);
    for (size_t i = 0; i < trained.size(); ++i) {
      const std::string& name = trained[i].name;
      const bool adapted = (name.find("self_attn") != std::string::npos && !name.ends_with("norm.weight")) ||
                           name.find(".experts.") != std::string::npos;
      if (working == DType::kFloat32) {
        EXPECT_TRUE(same_bits(trained[i].value, from_file[i].value)) << name;
      }
      if (!adapted) {
        EXPECT_TRUE(same_bits(trained[i].value, frozen[i].value)) << name;
      }
    }
    EXPECT_FALSE(same_bits(trained[3].value, frozen[3].value)) << trained[3].name;

    TrainableModel again = make_trainable(ctx, base, working);
    LoraAdapters loaded(ctx, again, {.rank = 4, .experts = true}, 2);
    loaded.load(ctx, folder.path());
    for (size_t i = 0; i < trained.size(); ++i)
      EXPECT_TRUE(same_bits(trained[i].value, parameters(again.model)[i].value)) << trained[i].name;
  }
}

// Over packed weights: they stay packed, in training and when served, and give the same bits in both; merged they are
// the numbers they stand for.
TEST_F(LoraTest, LearnsOverAPackedBase) {
  for (const bool experts : {false, true}) {
    MiniMaxM1 quantized = base;
    quantize_weights(quantized, [](const std::string&) { return quant::Format::kQ4; }, threads);
    ASSERT_TRUE(quantized.lm_head.format && quantized.embed_tokens.format);
    TrainableModel trainable = make_trainable(ctx, quantized, DType::kFloat32, PackedWeights::kKeep);
    LoraAdapters adapters(ctx, trainable, {.rank = 4, .experts = experts}, 1);
    Trainer trainer(ctx, trainable, {}, nullptr, &adapters);
    const double first = trainer.step(batches(), 1e-2).pass.loss;
    StepMetrics last;
    for (int step = 0; step < 40; ++step) last = trainer.step(batches(), 1e-2);
    EXPECT_LT(last.pass.loss, 0.9 * first);
    test::Folder folder;
    adapters.save(ctx, folder.path());

    MiniMaxM1 served = quantized;
    merge_adapters(folder.path(), threads, served);
    EXPECT_EQ(served.layers[0].moe.experts[0].gate.data.raw(), quantized.layers[0].moe.experts[0].gate.data.raw());
    EXPECT_EQ(trainable.model.layers[0].moe.experts[0].gate.data.raw(),
              quantized.layers[0].moe.experts[0].gate.data.raw());
    EXPECT_EQ(served.layers[0].moe.experts[0].gate.adapter != nullptr, experts);
    const Batch batch = batches()[0].batch();
    Context untaped = ctx;
    EXPECT_TRUE(same_bits(served.forward(untaped, batch, {}), trainable.model.forward(untaped, batch, {})));
    Tape tape;
    Context taped = ctx;
    taped.tape = &tape;
    EXPECT_TRUE(same_bits(served.forward(untaped, batch, {}), trainable.model.forward(taped, batch, {})));
    EXPECT_FALSE(same_bits(served.forward(untaped, batch, {}), quantized.forward(untaped, batch, {})));

    MiniMaxM1 merged = quantized;
    merge_adapters(folder.path(), threads, merged, PackedMerge::kDense);
    merged = unpacked(merged, threads);
    EXPECT_FALSE(is_packed(merged));
    const std::vector<double> a = values(merged.forward(untaped, batch, {})),
                              b = values(served.forward(untaped, batch, {}));
    double errors = 0, squares = 0;
    for (size_t i = 0; i < a.size(); ++i) errors += (a[i] - b[i]) * (a[i] - b[i]), squares += a[i] * a[i];
    EXPECT_LT(std::sqrt(errors / squares), 0.05);  // activations of 8 bits
  }
}

// The gradients of adapters beside packed weights: those over the numbers that these stand for, but for activations of
// 8 bits in the products.
TEST_F(LoraTest, GradientsOverAPackedBase) {
  quantize_weights(base, [](const std::string&) { return quant::Format::kQ8; }, threads);
  const auto gradients = [&](PackedWeights packed) {
    TrainableModel trainable = make_trainable(ctx, base, DType::kFloat32, packed);
    LoraAdapters adapters(ctx, trainable, {.rank = 3, .alpha = 6, .experts = true}, 1);
    std::map<std::string, std::vector<double>> out;
    for (const TrainedParameter& parameter : trainable.parameters) {
      Rng rng(7, std::hash<std::string>{}(parameter.name) % 1000);
      for (float& value : parameter.value.span<float>()) value = static_cast<float>(0.1 * rng.normal());
    }
    adapters.apply(ctx);
    Gradients d;
    for (const TrainBatch& batch : batches()) run_pass(ctx, trainable.model, batch, {.balance = 0.01}, 1, d);
    adapters.project(ctx, d);
    EXPECT_EQ(d.size(), static_cast<int64_t>(trainable.parameters.size()));
    for (const TrainedParameter& parameter : trainable.parameters)
      out[parameter.name] = values(*d.find(parameter.value));
    return out;
  };
  const auto dense = gradients(PackedWeights::kUnpack), packed = gradients(PackedWeights::kKeep);
  ASSERT_EQ(packed.size(), dense.size());
  double errors = 0, squares = 0;
  for (const auto& [name, want] : dense) {
    const std::vector<double>& got = packed.at(name);
    double error = 0, square = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      error += (got[i] - want[i]) * (got[i] - want[i]);
      square += want[i] * want[i];
    }
    EXPECT_LT(std::sqrt(error), 0.2 * std::sqrt(square)) << name;
    errors += error, squares += square;
  }
  EXPECT_LT(std::sqrt(errors / squares), 0.03);
}

TEST_F(LoraTest, NamesWhatDoesNotFit) {
  test::Folder folder;
  MiniMaxM1 model = make_trainable(ctx, base, DType::kFloat32).model;
  EXPECT_THAT(test::error_of([&] { merge_adapters(folder.path(), threads, model); }), HasSubstr("no adapter here"));
  TrainableModel trainable = make_trainable(ctx, base, DType::kFloat32);
  LoraAdapters adapters(ctx, trainable, {.rank = 2}, 1);
  adapters.save(ctx, folder.path());
  TrainableModel other = make_trainable(ctx, base, DType::kFloat32);
  LoraAdapters wrong(ctx, other, {.rank = 3}, 1);
  EXPECT_THAT(test::error_of([&] { wrong.load(ctx, folder.path()); }), HasSubstr("adapters of rank 2"));
  ModelConfig shallow = config();
  shallow.layers = 1;
  derive_plan(shallow, 2);
  MiniMaxM1 small = random_model(shallow, DType::kFloat32, 3, threads);
  EXPECT_THAT(test::error_of([&] { merge_adapters(folder.path(), threads, small); }),
              HasSubstr("8 of 14 tensors are of no matrix of this model"));
}

}  // namespace
}  // namespace minimax::train
