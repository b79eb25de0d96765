#include "eval/perplexity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"
#include "io/test_folder.h"
#include "model/load.h"
#include "model/random.h"

namespace minimax::eval {
namespace {

using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

ModelConfig tiny() {
  ModelConfig config = read_config(MINIMAX_TESTDATA "/golden/m1-tiny");
  return config;
}

std::vector<int32_t> random_ids(int64_t count, int64_t vocab) {
  Rng rng(1);
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab)));
  return ids;
}

struct PerplexityTest : testing::Test {
  Arena arena;
  ThreadPool threads{2};
  Context ctx{.arena = &arena, .threads = &threads};
  MiniMaxM1 model = load_model(MINIMAX_TESTDATA "/golden/m1-tiny");
  std::vector<int32_t> ids = random_ids(500, model.config.vocab);
};

TEST(Windows, CoverTheTextOnce) {
  const std::vector<int32_t> ids{1, 2, 3, 4, 5, 6, 7};
  const auto windows_of = [](std::span<const int32_t> all, int64_t length, int64_t most = 0) {
    std::vector<std::vector<int32_t>> ids;
    for (const Window& window : eval::windows_of(all, length, most)) ids.push_back(window.ids);
    return ids;
  };
  EXPECT_THAT(windows_of(ids, 3), ElementsAre(ElementsAre(1, 2, 3), ElementsAre(4, 5, 6)));  // 7 alone predicts nothing
  EXPECT_THAT(windows_of(ids, 5), ElementsAre(ElementsAre(1, 2, 3, 4, 5), ElementsAre(6, 7)));
  EXPECT_THAT(windows_of(ids, 5, 4), ElementsAre(ElementsAre(1, 2, 3, 4)));
  EXPECT_TRUE(windows_of(std::vector<int32_t>{1}, 5).empty());
  EXPECT_THROW(windows_of(ids, 1), Error);
}

TEST(MeanTest, ErrorOfIndependentAndOfEqualNeighbours) {
  Rng rng(2);
  Mean independent, pairs;
  double square = 0;
  for (int i = 0; i < 64 * 200; ++i) {
    const double x = rng.normal();
    independent.add(x);
    square += x * x;
  }
  EXPECT_NEAR(independent.standard_error(), 1 / std::sqrt(64.0 * 200), 0.001);
  EXPECT_NEAR(square / (64 * 200), 1, 0.05);
  for (int i = 0; i < 200; ++i) {
    const double x = rng.normal();
    for (int k = 0; k < 64; ++k) pairs.add(x);  // 200 things said 64 times
  }
  EXPECT_NEAR(pairs.standard_error(), 1 / std::sqrt(200.0), 0.01);
  Mean few;
  few.add(1);
  EXPECT_EQ(few.standard_error(), 0);
  few.add(3);
  EXPECT_DOUBLE_EQ(few.value(), 2);
  EXPECT_DOUBLE_EQ(few.standard_error(), 1);
}

TEST(Divergence, OfKnownDistributions) {
  const std::vector<float> even{0, 0}, odds{std::log(3.0f), 0};
  EXPECT_NEAR(divergence(even, even), 0, 1e-12);
  EXPECT_NEAR(divergence(odds, even), 0.75 * std::log(1.5) + 0.25 * std::log(0.5), 1e-6);
  const std::vector<float> shifted{5 + std::log(3.0f), 5};
  EXPECT_NEAR(divergence(odds, shifted), 0, 1e-6);
}

TEST_F(PerplexityTest, IsThatOfOneForwardPass) {
  const auto windows = windows_of(ids, 300);
  const Perplexity found = perplexity(model, ctx, windows);
  double sum = 0;
  int64_t count = 0;
  for (const auto& window : windows) {
    WindowReader whole(model, ctx, 512, 512);
    whole.start(window.ids);
    const auto step = whole.step();
    for (size_t t = 0; t + 1 < window.ids.size(); ++t) {
      const float* row = step->logits.data<float>() + static_cast<int64_t>(t) * model.config.vocab;
      double total = 0;
      for (int64_t id = 0; id < model.config.vocab; ++id) total += std::exp(static_cast<double>(row[id]));
      sum += std::log(total) - row[window.ids[t + 1]];
      ++count;
    }
    EXPECT_FALSE(whole.step());
  }
  EXPECT_EQ(found.loss.count(), count);
  EXPECT_NEAR(found.loss.value(), sum / static_cast<double>(count), 1e-5);
  EXPECT_NEAR(found.value(), std::exp(found.loss.value()), 1e-9);
  EXPECT_GT(found.standard_error(), 0);
}

TEST_F(PerplexityTest, AModelIsNoFurtherThanItselfAndFurtherThanOthers) {
  const auto windows = windows_of(ids, 300);
  const Comparison same = compare(model, model, ctx, windows);
  EXPECT_EQ(same.divergence.value(), 0);
  EXPECT_EQ(same.same_top.value(), 1);
  EXPECT_EQ(same.loss_difference.value(), 0);
  for (const double error : same.hidden_error) EXPECT_EQ(error, 0);

  // One expert of layer 2 with other weights: errors begin there.
  MiniMaxM1 other = model;
  Weight& gate = other.layers[2].moe.experts[0].gate;
  Tensor noisy = to_float32(gate.data);
  for (float& x : noisy.span<float>()) x *= -1;
  gate.data = noisy;
  const Comparison apart = compare(other, model, ctx, windows);
  EXPECT_GT(apart.divergence.value(), 0);
  EXPECT_LE(apart.divergence_99, apart.largest_divergence);
  EXPECT_LT(apart.same_top.value(), 1);
  ASSERT_EQ(static_cast<int64_t>(apart.hidden_error.size()), model.config.layers + 1);
  EXPECT_EQ(apart.hidden_error[2], 0);
  EXPECT_GT(apart.hidden_error[3], 0);
  EXPECT_NEAR(apart.loss_difference.value(), apart.model.loss.value() - apart.reference.loss.value(), 1e-9);
  EXPECT_NEAR(apart.reference.loss.value(), perplexity(model, ctx, windows).loss.value(), 1e-12);
}

TEST_F(PerplexityTest, CountsTargetsAlone) {
  Window window{std::vector<int32_t>(ids.begin(), ids.begin() + 200), std::vector<bool>(200, false)};
  for (size_t t = 150; t < 200; ++t) window.targets[t] = true;
  const Perplexity part = perplexity(model, ctx, {window});
  EXPECT_EQ(part.loss.count(), 50);
  EXPECT_EQ(compare(model, model, ctx, {window}).divergence.count(), 50);
  Window all{window.ids};
  Window first{window.ids, std::vector<bool>(200, true)};
  for (size_t t = 150; t < 200; ++t) first.targets[t] = false;
  const double whole = perplexity(model, ctx, {all}).loss.value() * 199;
  EXPECT_NEAR(whole, part.loss.value() * 50 + perplexity(model, ctx, {first}).loss.value() * 149, 1e-6);
  window.targets.assign(200, false);
  EXPECT_THAT(error_of([&] { perplexity(model, ctx, {window}); }), HasSubstr("no token to predict"));
}

TEST_F(PerplexityTest, SaysWhatDoesNotFit) {
  const auto message = [&](const std::vector<Window>& windows) {
    return error_of([&] { perplexity(model, ctx, windows); });
  };
  EXPECT_THAT(message({}), HasSubstr("fewer than 2 tokens"));
  EXPECT_THAT(message({{{1, 100000}}}), HasSubstr("token 100000 of a text, expected 0 to"));
  ModelConfig config = tiny();
  config.vocab = 64;
  const MiniMaxM1 other = random_model(config, DType::kFloat32, 1, threads);
  EXPECT_THAT(error_of([&] { compare(model, other, ctx, {{{1, 2}}}); }), HasSubstr("they are not the same model"));
}

}  // namespace
}  // namespace minimax::eval
