#include "eval/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/rng.h"
#include "eval/tensor_errors.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"
#include "io/test_folder.h"
#include "model/load.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace minimax::eval {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

const fs::path kGolden = MINIMAX_TESTDATA "/golden/m1-tiny";

struct CalibrationTest : testing::Test {
  test::Folder temporary;
  Arena arena;
  ThreadPool threads{2};
  Context ctx{.arena = &arena, .threads = &threads};
  MiniMaxM1 model = load_model(kGolden);
  std::vector<Window> windows;

  CalibrationTest() {
    Rng rng(3);
    std::vector<int32_t> ids(400);
    for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(model.config.vocab)));
    windows = windows_of(ids, 256);
  }
};

TEST_F(CalibrationTest, SeesEveryMatrix) {
  const Calibration found = calibrate(model, ctx, windows);
  EXPECT_EQ(found.tokens, 400);
  for (const ExpectedTensor& tensor : expected_tensors(model.config)) {
    if (tensor.shape.rank() != 2 || tensor.name == kEmbeddingName) continue;
    ASSERT_TRUE(found.mean_square.contains(tensor.name)) << tensor.name;
    const std::vector<float>& values = *found.mean_square.at(tensor.name);
    EXPECT_EQ(static_cast<int64_t>(values.size()), tensor.shape.dim(1)) << tensor.name;
    for (const float value : values) EXPECT_TRUE(std::isfinite(value) && value >= 0) << tensor.name;
  }
  // Moments stand once for all that read the same input; their diagonal is the mean square.
  for (const auto& [name, moments] : found.moments) {
    EXPECT_EQ(moments_name(name), name);
    const std::vector<float>& squares = *found.mean_square.at(name);
    for (int64_t i = 0; i < std::min<int64_t>(quant::kBlock, static_cast<int64_t>(squares.size())); ++i)
      EXPECT_NEAR(moments.data<float>()[i * (i + 1) / 2 + i], squares[static_cast<size_t>(i)],
                  1e-4 * squares[static_cast<size_t>(i)])
          << name;
  }
  for (const ExpectedTensor& tensor : expected_tensors(model.config)) {
    const auto role = role_of(tensor);
    if (!role || *role == quant::Role::kEmbedding) continue;
    EXPECT_TRUE(found.moments.contains(moments_name(tensor.name))) << tensor.name;
  }
  EXPECT_EQ(moments_name(layer_name(0, "self_attn.output_gate.weight")), layer_name(0, "self_attn.qkv_proj.weight"));
  EXPECT_EQ(moments_name(expert_name(1, 0, "w3")), expert_name(1, 0, "w1"));
  // Both read the same normalised stream; the up projection of an expert sees what its gate sees.
  EXPECT_EQ(*found.mean_square.at(layer_name(0, "self_attn.qkv_proj.weight")),
            *found.mean_square.at(layer_name(0, "self_attn.output_gate.weight")));
  EXPECT_EQ(*found.mean_square.at(expert_name(1, 0, "w1")), *found.mean_square.at(expert_name(1, 0, "w3")));
}

TEST_F(CalibrationTest, IsTheMeanSquareOfTheInputs) {
  const Calibration found = calibrate(model, ctx, windows);
  const DecoderLayer& first = model.layers[0];
  const int64_t hidden = model.config.hidden;
  std::vector<double> expected(static_cast<size_t>(hidden));
  double product = 0;  // of inputs 5 and 2
  for (const auto& window : windows) {
    WindowReader reader(model, ctx, 256);
    reader.start(window.ids);
    while (reader.step([&](int64_t index, const Tensor& values) {
      if (index != 0) return;
      const Tensor normalised = ops::rms_norm(ctx, values, first.attention_norm, first.norm_eps);
      for (int64_t row = 0; row < normalised.dim(0); ++row)
        product += normalised.data<float>()[row * hidden + 5] * normalised.data<float>()[row * hidden + 2] / 400.0;
      for (int64_t i = 0; i < normalised.elements(); ++i)
        expected[static_cast<size_t>(i % hidden)] += std::pow(normalised.data<float>()[i], 2) / 400;
    })) {
    }
  }
  const std::vector<float>& values = *found.mean_square.at(layer_name(0, "self_attn.output_gate.weight"));
  for (size_t k = 0; k < values.size(); ++k) EXPECT_NEAR(values[k], expected[k], 1e-5 * expected[k]);
  // 64 tokens of doubt: products of different inputs are taken for less than they are.
  const Tensor& moments = found.moments.at(layer_name(0, "self_attn.qkv_proj.weight"));
  EXPECT_NEAR(moments.data<float>()[5 * 6 / 2 + 2], product * 400 / 464, 1e-5 * expected[5]);
}

TEST_F(CalibrationTest, WatchingChangesNothing) {
  const Perplexity plain = perplexity(model, ctx, windows);
  calibrate(model, ctx, windows);
  EXPECT_EQ(perplexity(model, ctx, windows).loss.value(), plain.loss.value());
  EXPECT_EQ(ctx.inputs, nullptr);
}

TEST_F(CalibrationTest, IsReadAsItWasWritten) {
  const Calibration found = calibrate(model, ctx, windows);
  write_calibration(temporary / "c.safetensors", found);
  const Calibration read = read_calibration(temporary / "c.safetensors", model.config);
  EXPECT_EQ(read.tokens, 400);
  ASSERT_EQ(read.mean_square.size(), found.mean_square.size());
  for (const auto& [name, values] : found.mean_square) EXPECT_EQ(*read.mean_square.at(name), *values);
  ASSERT_EQ(read.moments.size(), found.moments.size());
  for (const auto& [name, values] : found.moments)
    EXPECT_EQ(std::memcmp(read.moments.at(name).raw(), values.raw(), static_cast<size_t>(values.bytes())), 0) << name;
  EXPECT_TRUE(calibrate(model, ctx, windows, {}, false).moments.empty());
}

TEST_F(CalibrationTest, RefusesFilesThatDoNotFit) {
  const auto problem = [&](const std::string& name, const std::vector<float>& values) {
    const std::vector<io::NamedTensor> tensors{
        {name, Tensor::from<float>(values, {static_cast<int64_t>(values.size())})}};
    io::write_safetensors(temporary / "c.safetensors", tensors);
    return error_of([&] { read_calibration(temporary / "c.safetensors", model.config); });
  };
  const std::string head = "lm_head.weight.mean_square";
  const auto hidden = static_cast<size_t>(model.config.hidden);
  EXPECT_EQ(problem(head, std::vector<float>(hidden, 1.0f)), "(no error)");
  EXPECT_THAT(problem(head, {1, 2}), HasSubstr("\"lm_head.weight.mean_square\" is [2] F32, expected ["));
  EXPECT_THAT(problem(head, std::vector<float>(hidden, -1.0f)), HasSubstr("holds -1, expected numbers of 0 or more"));
  EXPECT_THAT(problem(head, std::vector<float>(hidden, NAN)), HasSubstr("holds nan"));
  EXPECT_THAT(problem("lm_head.weight.moments", {1, 2}),
              HasSubstr("\"lm_head.weight.moments\" is [2] F32, expected [1, "));
  EXPECT_THAT(problem("no.weight.moments", {1, 2}), HasSubstr("is no statistic"));
  EXPECT_THAT(problem("lm_head.weight", std::vector<float>(hidden, 1.0f)), HasSubstr("is no statistic"));
  io::write_file(temporary / "c.safetensors", "not a file");
  EXPECT_THROW(read_calibration(temporary / "c.safetensors", model.config), Error);
}

TEST(ColumnFactors, ArePowersOfTwoAroundOne) {
  EXPECT_THAT(column_factors({1, 1, 1}, 1), ElementsAre(1, 1, 1));
  EXPECT_THAT(column_factors({16, 1, 1.0f / 16}, 1), ElementsAre(4, 1, 0.25f));
  EXPECT_THAT(column_factors({16, 1, 1.0f / 16}, 0.5f), ElementsAre(2, 1, 0.5f));
  EXPECT_THAT(column_factors({1e12f, 1, 1e-12f}, 1), ElementsAre(16, 1, 1.0f / 16));
  EXPECT_THAT(column_factors({0, 4, 4}, 1), ElementsAre(1, 1, 1));  // an input that never was anything but 0
  EXPECT_THAT(column_factors({0, 0}, 1), ElementsAre(1, 1));
}

// What calibration is for: nearer to the original on a text that it has not read.
TEST_F(CalibrationTest, BringsAQuantizedModelNearer) {
  const Checkpoint checkpoint = Checkpoint::open(kGolden);
  const quant::Recipe recipe = quant::Recipe::parse("q4", "--type");
  quantize_checkpoint(checkpoint, kGolden, temporary / "plain", recipe, {}, {}, threads);
  const QuantizeHints hints = hints_of(calibrate(model, ctx, windows), checkpoint, recipe, threads);
  EXPECT_FALSE(hints.moments.empty());
  quantize_checkpoint(checkpoint, kGolden, temporary / "calibrated", recipe, hints, {}, threads);
  Rng rng(11);
  std::vector<int32_t> ids(400);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(model.config.vocab)));
  const std::vector<Window> fresh = windows_of(ids, 256);
  const auto divergence = [&](const char* folder) {
    return compare(load_model(temporary / folder), model, ctx, fresh).divergence.value();
  };
  EXPECT_LT(divergence("calibrated"), 0.9 * divergence("plain"));
}

// A model whose columns took factors, and whose rows before took their inverse, computes the same.
TEST_F(CalibrationTest, FactorsLeaveTheFunctionAsItIs) {
  Calibration calibration = calibrate(model, ctx, windows, {}, false);
  // Inputs of very different sizes, so that factors are worth something everywhere.
  Rng rng(5);
  for (auto& [name, values] : calibration.mean_square) {
    std::vector<float> uneven(*values);
    for (float& value : uneven) value *= std::exp(3 * static_cast<float>(rng.normal()));
    values = std::make_shared<const std::vector<float>>(std::move(uneven));
  }
  const Checkpoint checkpoint = Checkpoint::open(kGolden);
  QuantizeHints hints = hints_of(calibration, checkpoint, quant::Recipe::parse("q4", "--type"), threads);
  EXPECT_GT(hints.column_factors.size(), 10u);
  EXPECT_FALSE(hints.row_factors.empty());
  EXPECT_EQ(hints.fingerprint.size(), 64u);
  // The recipe of the writing keeps the weights as they are: only the factors are applied.
  quantize_checkpoint(checkpoint, kGolden, temporary / "out", quant::Recipe::parse("keep", "--type"), hints, {},
                      threads);
  const MiniMaxM1 folded = load_model(temporary / "out");
  const Comparison found = compare(folded, model, ctx, windows);
  EXPECT_LT(found.largest_divergence, 1e-9);
  EXPECT_EQ(found.same_top.value(), 1);
  for (const double error : found.hidden_error) EXPECT_LT(error, 1e-6);
  for (const TensorError& error : tensor_errors(Checkpoint::open(temporary / "out"), checkpoint, threads))
    EXPECT_EQ(error.relative_error, 0) << error.name;
  // It is not the same weights.
  const std::string down = hints.column_factors.begin()->first;
  EXPECT_NE(std::memcmp(checkpoint.tensor(down).raw(), Checkpoint::open(temporary / "out").tensor(down).raw(),
                        static_cast<size_t>(checkpoint.tensor(down).bytes())),
            0);
}

}  // namespace
}  // namespace minimax::eval
