// Whole models on a GPU, or on a module that plays one: the golden checkpoints, cuts and neighbours with
// --deterministic, gradients, training steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/tape.h"
#include "engine/generate.h"
#include "engine/step_graph.h"
#include "model/parameters.h"
#include "model/placement.h"
#include "model/quantize_weights.h"
#include "model/random.h"
#include "ops/log_probs.h"
#include "ops/test_gpu.h"
#include "test_model.h"
#include "train/trainer.h"

namespace minimax {
namespace {

std::filesystem::path golden(const std::string& name) {
  const char* folder = std::getenv("MINIMAX_TESTDATA");
  return std::filesystem::path(folder ? folder : MINIMAX_TESTDATA) / "golden" / name;
}

/// A model on the GPU with caches of its own.
struct GpuRunner : test::Passes<GpuRunner> {
  GpuRunner(const MiniMaxM1& host, MatmulPrecision precision, bool deterministic = false,
            std::optional<DType> dtype = {})
      : arena(&test::gpu()),
        ctx{.device = Device::kCuda,
            .gpu = &test::gpu(),
            .arena = &arena,
            .threads = &threads,
            .matmul_precision = precision,
            .deterministic = deterministic},
        model(place_model(ctx, host, dtype)),
        cache(host.config, 8192, 8, ctx) {
    arena.poison();
  }

  ThreadPool threads{2};
  Arena arena;
  Context ctx;
  MiniMaxM1 model;
  engine::StateCache cache;
};

double deviation(const Tensor& x) {
  double sum = 0, squares = 0;
  for (const float value : x.span<float>()) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const auto n = static_cast<double>(x.elements());
  return std::sqrt(squares / n - sum / n * (sum / n));
}

struct Errors {
  double worst = 0, rms = 0;  ///< of all
  double middle = 0;          ///< the median row's rms: a router's close call, lost to a rounding, is one row's matter
};
Errors row_errors(const std::vector<float>& got, const Tensor& expected, const std::vector<int32_t>& positions) {
  const int64_t width = expected.dim(1);
  Errors errors;
  std::vector<double> rows;
  for (size_t i = 0; i < positions.size(); ++i) {
    double squares = 0;
    for (int64_t column = 0; column < width; ++column) {
      const double d = std::abs(static_cast<double>(got[positions[i] * width + column]) -
                                expected.data<float>()[i * width + column]);
      if (!(d <= errors.worst)) errors.worst = d;
      squares += d * d;
    }
    errors.rms += squares;
    rows.push_back(std::sqrt(squares / static_cast<double>(width)) / deviation(expected));
  }
  std::nth_element(rows.begin(), rows.begin() + static_cast<int64_t>(rows.size() / 2), rows.end());
  errors.middle = rows[rows.size() / 2];
  errors.rms = std::sqrt(errors.rms / static_cast<double>(expected.elements())) / deviation(expected);
  errors.worst /= deviation(expected);
  return errors;
}

class GoldenGpuTest : public testing::TestWithParam<const char*> {};

TEST_P(GoldenGpuTest, LogitsAgree) {
  const MiniMaxM1 host = load_model(golden(GetParam()));
  const auto io = io::SafetensorsFile::open(golden(GetParam()) / "io.safetensors");
  const std::vector<int32_t> ids = test::ints(io.tensor("input_ids")),
                             positions = test::ints(io.tensor("logit_positions"));
  if (test::played() && ids.size() > 600) GTEST_SKIP() << "long, for a GPU that is played";
  for (const MatmulPrecision precision : test::kPrecisions)
    for (const int64_t piece : {int64_t{1000000}, int64_t{70}, int64_t{1}}) {
      if (piece == 1 && ids.size() > 600) continue;
      if (test::played() && piece == 70) continue;
      GpuRunner runner(host, precision);
      const Errors errors = row_errors(runner.run(ids, piece), io.tensor("logits"), positions);
      const bool exact = precision == MatmulPrecision::kFloat32;
      std::printf("  %s %s pieces of %ld: worst %.2e, rms %.2e of the logits' deviation\n", GetParam(),
                  exact ? "float32" : "bfloat16", static_cast<long>(piece), errors.worst, errors.rms);
      // m1-tiny-plain has router calls closer than float32 can tell apart: one lost is one row's matter.
      const bool plain = std::string(GetParam()) == "m1-tiny-plain";
      if (exact)
        EXPECT_LT(errors.worst, plain ? 1e-3 : 1e-4);
      else
        EXPECT_LT(plain ? errors.middle : errors.rms, 2e-2);
    }
}

TEST_P(GoldenGpuTest, GreedyIdsWhereTheMarginAllows) {
  const MiniMaxM1 host = load_model(golden(GetParam()));
  const auto io = io::SafetensorsFile::open(golden(GetParam()) / "io.safetensors");
  if (test::played() && io.tensor("input_ids").elements() > 600) GTEST_SKIP() << "long, for a GPU that is played";
  const std::vector<int32_t> expected = test::ints(io.tensor("greedy_ids"));
  const Tensor expected_logits = io.tensor("greedy_logits");
  for (const MatmulPrecision precision : test::kPrecisions) {
    GpuRunner runner(host, precision);
    engine::Sequence sequence = runner.cache.open();
    Tensor logits = runner.forward({{&sequence, test::ints(io.tensor("input_ids"))}});
    for (size_t step = 0; step < expected.size(); ++step) {
      const float* last = logits.data<float>() + (logits.dim(0) - 1) * host.config.vocab;
      const float* want = expected_logits.data<float>() + static_cast<int64_t>(step) * host.config.vocab;
      const auto best = std::max_element(last, last + host.config.vocab) - last;
      const double margin = (want[expected[step]] - want[best]) / deviation(expected_logits);
      EXPECT_LE(margin, precision == MatmulPrecision::kFloat32 ? 1e-4 : 6e-2) << "step " << step;
      logits = runner.forward({{&sequence, {expected[step]}}});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenGpuTest,
                         testing::Values("m1-tiny", "m1-tiny-f32", "m1-tiny-long", "m1-tiny-plain", "m1-tiny-grad"));

/// A model of true head shape, small otherwise.
MiniMaxM1 true_heads(ThreadPool& threads) {
  ModelConfig config;
  config.vocab = 512;
  config.hidden = 256;
  config.ffn = 128;
  config.layers = 4;
  config.heads = 8;
  config.kv_heads = 1;
  config.head_dim = 128;
  config.rotary_dim = 64;
  config.experts = 8;
  config.postnorm = true;
  config.lightning_alpha = config.softmax_alpha = config.moe_alpha = 1.5;
  config.layer_kind = {LayerKind::kLightning, LayerKind::kLightning, LayerKind::kSoftmax, LayerKind::kLightning};
  config.initializer_range = 0.08;
  return random_model(config, DType::kBFloat16, 3, threads);
}

/// The same with experts of 4 bits, their down of 8, and the rest of 6.
MiniMaxM1 packed(MiniMaxM1 model, ThreadPool& threads) {
  quantize_weights(
      model,
      [](const std::string& name) {
        if (name.find("experts") == std::string::npos) return quant::Format::kQ6;
        return name.find("w2") == std::string::npos ? quant::Format::kQ4 : quant::Format::kExpertsInt8;
      },
      threads);
  return model;
}

/// m1-tiny, where a GPU does the work one of true head shape, and both packed.
std::vector<MiniMaxM1> compared_models(ThreadPool& threads) {
  std::vector<MiniMaxM1> models = {load_model(golden("m1-tiny"))};
  if (!test::played()) models.push_back(true_heads(threads));
  for (size_t dense = models.size(), i = 0; i < dense; ++i) models.push_back(packed(models[i], threads));
  return models;
}

TEST(ModelGpu, PackedWeightsComputeWhatTheyStandFor) {
  ThreadPool threads(2);
  Rng rng(5);
  const MiniMaxM1 host = packed(test::played() ? load_model(golden("m1-tiny")) : true_heads(threads), threads);
  std::vector<int32_t> ids(test::played() ? 40 : 300);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(host.config.vocab)));
  std::vector<int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  GpuRunner dense(host, MatmulPrecision::kFloat32, false, DType::kFloat32);
  ASSERT_FALSE(dense.model.lm_head.format);
  const std::vector<float> given = dense.run(ids, 1000);
  const Tensor want = Tensor::from(std::span<const float>(given),
                                   {static_cast<int64_t>(ids.size()), static_cast<int64_t>(host.config.vocab)});
  for (const MatmulPrecision precision : test::kPrecisions)
    for (const int64_t piece : {1000, 1}) {
      GpuRunner runner(host, precision);
      ASSERT_TRUE(runner.model.lm_head.format && runner.model.layers[0].moe.experts[0].gate.format);
      const double middle = row_errors(runner.run(ids, piece), want, positions).middle / deviation(want);
      EXPECT_LT(middle, precision == MatmulPrecision::kFloat32 ? 1e-4 : 2e-2) << "pieces of " << piece;
    }
}

TEST(ModelGpu, DeterministicBitsForAnyCutAndCompany) {
  ThreadPool threads(0);
  Rng rng(4);
  for (const MiniMaxM1& host : compared_models(threads)) {
    std::vector<int32_t> ids(test::played() ? 70 : 300), others(ids.size() / 2);
    for (auto* list : {&ids, &others})
      for (int32_t& id : *list) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(host.config.vocab)));
    for (const MatmulPrecision precision : test::kPrecisions) {
      GpuRunner runner(host, precision, true);
      const std::vector<float> want = runner.run(ids, 1000);
      for (const int64_t piece : {1, 7, 64, 100}) EXPECT_EQ(runner.run(ids, piece), want) << "pieces of " << piece;
      engine::Sequence one = runner.cache.open(), two = runner.cache.open();
      const Tensor both = runner.forward({{&two, others}, {&one, ids}});
      const auto rows = both.span<float>().subspan(others.size() * static_cast<size_t>(host.config.vocab));
      EXPECT_EQ(std::vector<float>(rows.begin(), rows.end()), want) << "with company";
    }
  }
}

TEST(ModelGpu, TrueHeadsAgreeWithTheCpu) {
  if (test::played()) GTEST_SKIP() << "large, for a GPU that is played";
  ThreadPool threads(0);
  const MiniMaxM1 host = true_heads(threads);
  Rng rng(5);
  constexpr int64_t kTokens = 400;
  std::vector<int32_t> ids(static_cast<size_t>(kTokens)), positions(ids.size());
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(512));
  std::iota(positions.begin(), positions.end(), 0);
  test::Runner cpu(host, 0);
  const std::vector<float> values = cpu.run(ids, 1000);
  const Tensor want = Tensor::from(std::span<const float>(values), {kTokens, 512});
  for (const MatmulPrecision precision : test::kPrecisions)
    for (const int64_t piece : {1000, 130, 1}) {
      GpuRunner runner(host, precision);
      const Errors errors = row_errors(runner.run(ids, piece), want, positions);
      std::printf("  true heads, %s, pieces of %ld: worst %.2e, rms %.2e, median row %.2e\n",
                  precision == MatmulPrecision::kFloat32 ? "float32" : "bfloat16", static_cast<long>(piece),
                  errors.worst, errors.rms, errors.middle);
      EXPECT_LT(errors.middle, precision == MatmulPrecision::kFloat32 ? 1e-4 : 2e-2);
    }
}

// Across two chunks' ends, where lightning states are written.
TEST(ModelGpu, RecordedStepsGiveTheSameBits) {
  ThreadPool threads(0);
  for (const MiniMaxM1& host : compared_models(threads))
    for (const MatmulPrecision precision : test::kPrecisions) {
      GpuRunner runner(host, precision);
      engine::StepGraph steps(runner.model, runner.ctx);
      engine::Sequence plain[2] = {runner.cache.open(), runner.cache.open()};
      engine::Sequence recorded[2] = {runner.cache.open(), runner.cache.open()};
      Rng rng(7);
      for (int step = 0; step < (test::played() ? 70 : 150); ++step) {
        engine::BatchBuilder one, other;
        for (int i = 0; i < (step < 20 ? 1 : 2); ++i) {
          const auto id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(host.config.vocab)));
          for (engine::Sequence* sequence : {&plain[i], &recorded[i]}) {
            runner.cache.reserve(*sequence, sequence->length + 1);
            (sequence == &plain[i] ? one : other).add(*sequence, {&id, 1}, engine::BatchBuilder::Logits::kLast);
          }
        }
        const Tensor want = to_host(runner.model.forward(runner.ctx, one.build(), runner.cache.layers()));
        const Batch batch = other.build();
        ASSERT_TRUE(engine::StepGraph::takes(batch));
        ASSERT_TRUE(test::same_bits(to_host(steps.forward(batch, runner.cache.layers())), want)) << "step " << step;
        for (int i = 0; i < (step < 20 ? 1 : 2); ++i) {
          ++plain[i].length;
          ++recorded[i].length;
        }
      }
    }
}

TEST(ModelGpu, GeneratesTheSameIdsInFloat32) {
  const MiniMaxM1 host = load_model(golden("m1-tiny"));
  ThreadPool threads(2);
  Arena arena(&test::gpu());
  const Context ctx{.device = Device::kCuda, .gpu = &test::gpu(), .arena = &arena, .threads = &threads};
  const MiniMaxM1 placed = place_model(ctx, host);
  engine::GenerateOptions options;
  options.sampling.temperature = 0;
  options.max_tokens = 40;
  const std::vector<int32_t> prompt = {1, 5, 9, 20, 33};
  engine::Generator on_cpu(host, threads, {.context = 256, .prefill_chunk = 512});
  engine::Generator on_gpu(placed, ctx, {.context = 256, .prefill_chunk = 512});
  for (int turn = 0; turn < 2; ++turn)
    EXPECT_EQ(on_gpu.generate(prompt, options).ids, on_cpu.generate(prompt, options).ids);
}

Batch one_sequence(const std::vector<int32_t>& ids) {
  std::vector<int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  const auto tensor = [](const std::vector<int32_t>& x) {
    return Tensor::from(std::span<const int32_t>(x), {static_cast<int64_t>(x.size())});
  };
  Batch batch;
  batch.tokens = tensor(ids);
  batch.positions = tensor(positions);
  batch.cu_seqlens = tensor({0, static_cast<int32_t>(ids.size())});
  return batch;
}

TEST(ModelGpu, GoldenGradients) {
  const auto folder = golden("m1-tiny-grad");
  const MiniMaxM1 host = load_model(folder);
  const auto io = io::SafetensorsFile::open(folder / "io.safetensors"),
             expected = io::SafetensorsFile::open(folder / "grads_ce.safetensors");
  const std::vector<int32_t> ids = test::ints(io.tensor("input_ids"));
  for (const MatmulPrecision precision : test::kPrecisions) {
    const bool exact = precision == MatmulPrecision::kFloat32;
    GpuRunner runner(host, precision);
    Context ctx = runner.ctx;
    Tape tape;
    ctx.tape = &tape;
    Gradients gradients;
    const Tensor log_probs = ops::log_probs(ctx, runner.model.hidden(ctx, one_sequence(ids), {}), runner.model.lm_head,
                                            io.tensor("ce_targets"));
    const std::vector<float> coefficients(ids.size(), -1.0f / static_cast<float>(ids.size()));
    gradients.add(log_probs,
                  to_memory(Tensor::from(std::span<const float>(coefficients), log_probs.shape()), &test::gpu()));
    tape.backward(ctx, gradients);
    double worst_error = 0, worst_cosine = 1, dots = 0, gots = 0, wants = 0;
    for (const Parameter& parameter : parameters(runner.model)) {
      const Tensor want = expected.tensor(parameter.name);
      ASSERT_TRUE(gradients.find(parameter.value)) << parameter.name;
      const Tensor got = to_host(*gradients.find(parameter.value));
      double dot = 0, got2 = 0, want2 = 0, difference = 0;
      for (int64_t i = 0; i < want.elements(); ++i) {
        const double w = want.data<float>()[i], g = got.data<float>()[i];
        dot += w * g;
        got2 += g * g;
        want2 += w * w;
        difference += (g - w) * (g - w);
      }
      dots += dot;
      gots += got2;
      wants += want2;
      worst_error = std::max(worst_error, std::sqrt(difference / want2));
      worst_cosine = std::min(worst_cosine, dot / std::sqrt(got2 * want2));
      if (exact) {
        EXPECT_LT(std::sqrt(difference / want2), 1e-4) << parameter.name;
      } else {
        EXPECT_GT(dot / std::sqrt(got2 * want2), 0.999) << parameter.name;
      }
    }
    std::printf("  m1-tiny-grad %s: worst tensor error %.2e, cosine %.7f; all together %.7f\n",
                exact ? "float32" : "bfloat16", worst_error, worst_cosine, dots / std::sqrt(gots * wants));
    EXPECT_GT(dots / std::sqrt(gots * wants), exact ? 1 - 1e-8 : 0.9999);
  }
}

TEST(ModelGpu, TrainingStepsFollowTheCpu) {
  const MiniMaxM1 host = load_model(golden("m1-tiny-grad"));
  ThreadPool threads(4);
  Rng rng(6);
  train::TrainBatch batch;
  std::vector<std::vector<double>> losses;
  for (const int run : {0, 1, 2}) {
    Arena arena(run == 0 ? nullptr : &test::gpu());
    const Context ctx{.device = run == 0 ? Device::kCpu : Device::kCuda,
                      .gpu = run == 0 ? nullptr : &test::gpu(),
                      .arena = &arena,
                      .threads = &threads,
                      .matmul_precision = run == 2 ? MatmulPrecision::kBFloat16 : MatmulPrecision::kFloat32};
    const train::TrainableModel trainable =
        train::make_trainable(ctx, host, run == 2 ? DType::kBFloat16 : DType::kFloat32);
    train::TrainerOptions options;
    options.pass.balance = 0.01;
    options.pass.checkpoint_layers = true;
    train::Trainer trainer(ctx, trainable, options);
    if (batch.tokens.empty()) {
      for (int32_t i = 0; i < 200; ++i) batch.tokens.push_back(static_cast<int32_t>(rng.below(96)));
      batch.cu_seqlens = {0, 100, 200};
      for (int32_t i = 0; i < 199; ++i)
        if (i != 99) {
          batch.rows.push_back(i);
          batch.targets.push_back(batch.tokens[static_cast<size_t>(i) + 1]);
          batch.weights.push_back(1.0 / 198);
        }
    }
    std::vector<double>& own = losses.emplace_back();
    for (int step = 0; step < 10; ++step) own.push_back(trainer.step({&batch, 1}, 3e-3).pass.loss);
  }
  for (size_t step = 0; step < 10; ++step) {
    EXPECT_NEAR(losses[1][step], losses[0][step], 2e-3) << step;
    EXPECT_NEAR(losses[2][step], losses[0][step], 3e-2) << step;
  }
  std::printf("  loss after 10 steps: CPU %.4f, GPU float32 %.4f, GPU bfloat16 %.4f (first %.4f)\n", losses[0][9],
              losses[1][9], losses[2][9], losses[0][0]);
  EXPECT_LT(losses[2][9], losses[2][0] - 0.3);
}

}  // namespace
}  // namespace minimax
