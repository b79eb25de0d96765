// Sampling and reinforcement learning on a GPU, or on a module that plays one: tokens chosen where the logits lie,
// batches filled up to the size of a recorded step, engine and trainer on one set of weights.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/collector.h"
#include "engine/sampling/device_sampler.h"
#include "engine/step_graph.h"
#include "model/placement.h"
#include "ops/test_gpu.h"
#include "rl/test_policy.h"

namespace minimax {
namespace {

using rl::test::byte_tokenizer;

ModelConfig small_config() {
  ModelConfig config = rl::test::tiny_config();
  config.head_dim = 32;
  return config;
}

Context on_device(Arena& arena, ThreadPool& threads, MatmulPrecision precision) {
  return {.device = Device::kCuda,
          .gpu = &test::gpu(),
          .arena = &arena,
          .threads = &threads,
          .matmul_precision = precision};
}

TEST(DeviceSampler, ChoosesAsTheHostDoes) {
  Arena arena(&test::gpu());
  ThreadPool threads(1);
  test::Random random(21);
  for (const int64_t vocab : {3, 260, 1000, 5003}) {
    constexpr int64_t kRows = 90;
    const Tensor logits = random.normal({kRows, vocab}, 3.0f);
    const Tensor there = to_memory(logits, &test::gpu());
    engine::DeviceSampler sampler(on_device(arena, threads, MatmulPrecision::kFloat32), vocab);
    const std::vector<int32_t> few = {1, static_cast<int32_t>(vocab - 1)};
    const int32_t set = sampler.ban(few);
    EXPECT_EQ(sampler.ban(few), set);
    EXPECT_NE(sampler.ban(std::vector<int32_t>{0}), set);
    std::vector<cuda::ChoiceRow> wanted;
    std::vector<engine::Sampler> hosts;
    for (int64_t i = 0; i < 2 * kRows; ++i) {
      const float temperature = i % 5 == 0 ? 0.0f : i % 5 == 1 ? 0.3f : 1.0f;
      const bool banned = i % 2 == 0;
      hosts.emplace_back(
          engine::SamplingParams{.temperature = temperature, .top_p = 1, .seed = 5, .stream = static_cast<uint64_t>(i)},
          vocab, std::span<const int32_t>(), banned ? std::span<const int32_t>(few) : std::span<const int32_t>());
      ASSERT_TRUE(hosts.back().is_plain());
      wanted.push_back({.uniform = hosts.back().uniform(),
                        .row = i % kRows,
                        .temperature = temperature,
                        .banned = banned ? set : -1});
    }
    const std::span<const cuda::Choice> chosen = sampler.choose(there, wanted);
    engine::SamplerScratch scratch;
    int64_t other = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const std::span<const float> row(logits.data<float>() + wanted[i].row * vocab, static_cast<size_t>(vocab));
      const engine::Sampled want = hosts[i].sample(row, scratch);
      other += chosen[i].id != want.id;
      EXPECT_NEAR(chosen[i].log_prob, engine::score_token(row, chosen[i].id, 0).log_prob, 1e-5);
      if (wanted[i].temperature == 0) {
        EXPECT_EQ(chosen[i].id, want.id);
      }
    }
    EXPECT_LE(other, 1) << "a random number may lie within a rounding of an id's end, but hardly twice";
  }
}

// Penalties, bias, bans, masks, temperature, top-k, top-p and min-p: the same id for the same number, always.
TEST(DeviceSampler, SamplesAsTheHostDoes) {
  Arena arena(&test::gpu());
  ThreadPool threads(1);
  test::Random random(22);
  const auto one_of = [&](std::initializer_list<float> values) {
    return values.begin()[random.below(static_cast<int64_t>(values.size()))];
  };
  for (const int64_t vocab : {3, 260, 5003, 200064}) {
    if (test::played() && vocab > 10000) continue;
    constexpr int64_t kRows = 40;
    const Tensor logits = random.normal({kRows, vocab}, 3.0f);
    for (int64_t i = 0; i < vocab; ++i) logits.data<float>()[i] = static_cast<float>(i % 3);  // many that are equal
    const Tensor there = to_memory(logits, &test::gpu());
    engine::DeviceSampler sampler(on_device(arena, threads, MatmulPrecision::kFloat32), vocab);
    const std::vector<int32_t> few = {1, static_cast<int32_t>(vocab - 1)};
    std::vector<cuda::SampleRow> wanted;
    std::vector<cuda::LogitEdit> edits;
    std::vector<uint64_t> allowed;
    std::vector<engine::Sampler> hosts;
    std::vector<std::vector<uint64_t>> masks;
    for (int64_t i = 0; i < 400; ++i) {
      engine::SamplingParams params{.temperature = one_of({0, 0.3f, 1, 1, 2}),
                                    .top_p = one_of({0, 0.2f, 0.95f, 0.95f, 1}),
                                    .top_k = static_cast<int64_t>(one_of({0, 0, 1, 2, 50})),
                                    .min_p = one_of({0, 0, 0.05f, 1}),
                                    .repetition_penalty = one_of({1, 1, 1.3f, 0.7f}),
                                    .presence_penalty = one_of({0, 0.5f}),
                                    .frequency_penalty = one_of({0, 0.25f}),
                                    .seed = 7,
                                    .stream = static_cast<uint64_t>(i)};
      if (i % 3 == 0) params.logit_bias = {{0, 2.5f}, {static_cast<int32_t>(vocab - 1), -3.0f}};
      std::vector<int32_t> prompt;
      for (int64_t id = 0; id < 20; ++id) prompt.push_back(static_cast<int32_t>(random.below(vocab)));
      const bool banned = i % 2 == 0 && vocab > 3;
      engine::Sampler& host = hosts.emplace_back(params, vocab, prompt,
                                                 banned ? std::span<const int32_t>(few) : std::span<const int32_t>());
      for (int64_t n = random.below(6); n > 0; --n) host.accept(static_cast<int32_t>(random.below(vocab)));
      cuda::SampleRow& row = wanted.emplace_back(host.for_device(edits));
      row.row = i % kRows;
      row.banned = banned ? sampler.ban(few) : -1;
      std::vector<uint64_t>& mask = masks.emplace_back();
      if (i % 4 == 1) {
        mask.assign(static_cast<size_t>((vocab + 63) / 64), 0);
        for (int64_t id = 0; id < vocab; id += 3) mask[static_cast<size_t>(id / 64)] |= uint64_t{1} << (id % 64);
        row.allowed = static_cast<int32_t>(allowed.size() / mask.size());
        allowed.insert(allowed.end(), mask.begin(), mask.end());
      }
    }
    const std::span<const cuda::Choice> chosen = sampler.sample(there, wanted, edits, allowed);
    engine::SamplerScratch scratch;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const std::span<const float> row(logits.data<float>() + wanted[i].row * vocab, static_cast<size_t>(vocab));
      const engine::Sampled want = hosts[i].sample(row, scratch, masks[i]);
      ASSERT_EQ(chosen[i].id, want.id) << "request " << i << " of vocabulary " << vocab << ": temperature "
                                       << wanted[i].temperature << ", top_k " << wanted[i].top_k << ", top_p "
                                       << wanted[i].top_p << ", min_p " << wanted[i].min_p;
      EXPECT_NEAR(chosen[i].log_prob, want.log_prob, 1e-5);
    }
  }
}

TEST(DeviceSampler, SharesFollowTheProbabilities) {
  Arena arena(&test::gpu());
  ThreadPool threads(1);
  constexpr int64_t kVocab = 700, kDraws = 20000;
  Tensor logits = Tensor::zeros({1, kVocab}, DType::kFloat32);
  logits.data<float>()[650] = std::log(700.0f);  // as likely as all others together
  engine::DeviceSampler sampler(on_device(arena, threads, MatmulPrecision::kFloat32), kVocab);
  std::vector<int32_t> low;
  for (int32_t id = 0; id < 350; ++id) low.push_back(id);
  std::vector<cuda::ChoiceRow> wanted;
  for (int64_t i = 0; i < kDraws; ++i)
    wanted.push_back(
        {.uniform = uniform_at(3, 1, static_cast<uint64_t>(i)), .temperature = 1, .banned = sampler.ban(low)});
  int64_t heavy = 0, late = 0;
  for (const cuda::Choice& choice : sampler.choose(to_memory(logits, &test::gpu()), wanted)) {
    ASSERT_GE(choice.id, 350);
    heavy += choice.id == 650;
    late += choice.id > 650;
  }
  EXPECT_NEAR(static_cast<double>(heavy) / kDraws, 700.0 / (700 + 349), 0.02);
  EXPECT_NEAR(static_cast<double>(late) / kDraws, 49.0 / (700 + 349), 0.01);
}

TEST(DeviceSampler, SaysWhatIsWrongWithARow) {
  Arena arena(&test::gpu());
  ThreadPool threads(1);
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> rows = {
      0, 1, NAN, /**/ 0, infinity, 0, /**/ -infinity, -infinity, -infinity, /**/ -infinity, -infinity, 2, /**/ 1, 2, 3};
  const Tensor there = to_memory(Tensor::from(std::span<const float>(rows), {5, 3}), &test::gpu());
  engine::DeviceSampler sampler(on_device(arena, threads, MatmulPrecision::kFloat32), 3);
  const int32_t all = sampler.ban(std::vector<int32_t>{0, 1, 2}), last = sampler.ban(std::vector<int32_t>{2});
  const std::vector<cuda::ChoiceRow> wanted = {{.uniform = 0.5, .row = 0, .temperature = 1},
                                               {.uniform = 0.5, .row = 1, .temperature = 1},
                                               {.uniform = 0.5, .row = 2, .temperature = 1},
                                               {.uniform = 0.999, .row = 3, .temperature = 1},
                                               {.uniform = 0.5, .row = 3, .temperature = 1, .banned = last},
                                               {.uniform = 0.5, .row = 4, .temperature = 0, .banned = all},
                                               {.uniform = 0.5, .row = 4, .temperature = 0, .banned = last}};
  std::vector<int32_t> ids;
  for (const cuda::Choice& choice : sampler.choose(there, wanted)) ids.push_back(choice.id);
  EXPECT_EQ(ids, (std::vector<int32_t>{cuda::kNotALogit, cuda::kNotALogit, cuda::kNotALogit, 2, cuda::kNothingLeft,
                                       cuda::kNothingLeft, 1}));
}

TEST(StepGraph, FillsBatchesUpToAFewSizes) {
  int64_t sizes = 0, before = 0;
  for (int64_t seqs = 1; seqs <= 2048; ++seqs) {
    const int64_t filled = engine::StepGraph::filled_up(seqs);
    EXPECT_GE(filled, seqs);
    EXPECT_LT(filled, seqs + std::max<int64_t>(8, seqs / 4 + 1));
    EXPECT_EQ(engine::StepGraph::filled_up(filled), filled);
    sizes += filled != before;
    before = filled;
  }
  EXPECT_LT(sizes, 40);
}

/// A model on the GPU and an engine over it.
struct Server {
  explicit Server(engine::EngineOptions options)
      : host(random_model(small_config(), DType::kFloat32, 7, threads)), arena(&test::gpu()) {
    options.context = 512;
    options.max_waiting = 4096;
    options.gpu = &test::gpu();
    model = place_model(on_device(arena, threads, options.precision), host);
    engine.emplace(model, threads, options);
  }
  /// Ids and log-probs of so many answers to some prompts.
  std::vector<std::vector<int32_t>> answers(int64_t count, int64_t tokens, std::vector<float>* log_probs = nullptr) {
    std::vector<std::shared_ptr<engine::Collector>> collectors;
    for (int64_t i = 0; i < 3; ++i) {
      engine::Request request;
      for (int32_t token = 0; token < 40 + 30 * i; ++token)
        request.prompt.push_back((7 * token + static_cast<int32_t>(i)) % 256);
      request.sampling = {.temperature = 1, .top_p = 1, .seed = 11, .stream = static_cast<uint64_t>(1000 * i)};
      request.max_tokens = tokens;
      request.banned = {257, 258};
      request.n = count;
      request.use_cache = i != 1;
      collectors.push_back(std::make_shared<engine::Collector>());
      engine->submit(std::move(request), collectors.back());
    }
    engine->run();
    std::vector<std::vector<int32_t>> out;
    for (const auto& collector : collectors)
      for (const engine::Collector::Answer& answer : collector->answers) {
        out.push_back(answer.ids);
        if (log_probs) log_probs->insert(log_probs->end(), answer.log_probs.begin(), answer.log_probs.end());
      }
    return out;
  }

  ThreadPool threads{2};
  MiniMaxM1 host;
  Arena arena;
  MiniMaxM1 model;
  std::optional<engine::Engine> engine;
};

TEST(RolloutGpu, TokensAreThoseTheHostWouldChoose) {
  std::vector<float> here, there;
  Server on_host({.max_running = 30, .sample_on_gpu = false}), on_device({.max_running = 30});
  EXPECT_EQ(on_host.answers(10, 20, &here), on_device.answers(10, 20, &there));
  ASSERT_EQ(here.size(), there.size());
  ASSERT_EQ(here.size(), 3u * 10 * 20);
  for (size_t i = 0; i < here.size(); ++i) EXPECT_NEAR(here[i], there[i], 1e-5);
}

// With seats for few, every answer runs in batches of other sizes, and across the ends of chunks.
TEST(RolloutGpu, AnswersDoNotDependOnHowBatchesAreFilled) {
  Server wide({.max_running = 30, .deterministic = true}),
      narrow({.max_running = 5, .admit_every = 7, .deterministic = true});
  EXPECT_EQ(wide.answers(10, 35), narrow.answers(10, 35));
}

/// Engine and trainer on one set of weights on the GPU.
struct GpuPolicy {
  explicit GpuPolicy(DType weights)
      : arena(&test::gpu()),
        ctx(on_device(arena, threads,
                      weights == DType::kBFloat16 ? MatmulPrecision::kBFloat16 : MatmulPrecision::kFloat32)),
        trainable(train::make_trainable(ctx, random_model(small_config(), DType::kFloat32, 3, threads), weights)),
        engine(trainable.model, threads,
               {.context = 256,
                .max_running = 64,
                .max_waiting = 4096,
                .precision = ctx.matmul_precision,
                .gpu = &test::gpu()}),
        trainer(ctx, trainable, options()) {}

  static train::TrainerOptions options() {
    train::TrainerOptions options;
    options.pass.policy = train::PolicyLoss::cispo();
    options.pass.balance = 1e-3;
    return options;
  }

  ThreadPool threads{1};
  Arena arena;
  Context ctx;
  text::Tokenizer tokenizer = byte_tokenizer();
  train::TrainableModel trainable;
  engine::Engine engine;
  train::Trainer trainer;
};

rl::RolloutOptions six_attempts() {
  rl::RolloutOptions rollout;
  rollout.group_size = 6;
  rollout.scorer = rl::test::score_by_bytes;
  return rollout;
}

rl::PolicyOptions small_batches(int minibatches) {
  rl::PolicyOptions options;
  options.prompts_per_batch = 4;
  options.minibatches = minibatches;
  options.schedule = {.peak = 3e-3};
  options.windows = {12};
  options.pass_tokens = 512;
  return options;
}

TEST(RolloutGpu, EngineAndTrainerAgreeBatchAfterBatch) {
  for (const DType weights : {DType::kFloat32, DType::kBFloat16}) {
    const bool exact = weights == DType::kFloat32;
    GpuPolicy policy(weights);
    rl::Curriculum curriculum(rl::test::additions());
    rl::PolicyTrainer trainer(policy.engine, policy.trainer, policy.tokenizer, curriculum, six_attempts(),
                              small_batches(2));
    const Tensor matrix = std::get<LightningAttention>(policy.trainable.model.layers[0].attention).qkv_proj.data;
    const Tensor before = to_float32(to_host(matrix));
    int trained = 0;
    double worst = 0;
    constexpr int kBatches = 4;
    for (int batch = 0; batch < kBatches; ++batch) {
      const rl::BatchReport report = trainer.step();
      const rl::Metrics& metrics = report.metrics;
      if (!report.trained) continue;
      ++trained;
      EXPECT_EQ(policy.engine.weights_version(), trained);
      EXPECT_EQ(metrics.at("staleness/max"), 0);
      EXPECT_GT(metrics.at("mismatch/tokens"), 100);
      // Several batches on: the engine samples from what the trainer has made of the weights.
      EXPECT_GT(metrics.at("mismatch/pearson"), exact ? 1 - 1e-9 : 0.999);
      EXPECT_LT(metrics.at("mismatch/max_abs_dlogp"), exact ? 1e-4 : 0.1);
      worst = std::max(worst, metrics.at("mismatch/max_abs_dlogp"));
      EXPECT_NEAR(report.updates[0].at("ratio/mean"), 1, exact ? 1e-6 : 1e-4);
      EXPECT_GE(metrics.at("moe/flip_rate"), 0);
      EXPECT_LT(metrics.at("moe/flip_rate"), 0.5);
      EXPECT_GT(metrics.at("grad/norm"), 0);
    }
    std::printf("  %s weights: largest difference of a log-prob %.1e\n", exact ? "float32" : "bfloat16", worst);
    EXPECT_GT(trained, kBatches / 2);
    EXPECT_GT(test::distance(to_float32(to_host(matrix)), before), 1e-4);
  }
}

// The same batch on both devices: the same attempts, and update by update the same losses and gradients, of which the
// second has experts kept from before the first.
TEST(RolloutGpu, PolicyUpdatesFollowTheCpu) {
  GpuPolicy there(DType::kFloat32);
  Arena arena;
  ThreadPool threads(1);
  const Context ctx{.arena = &arena, .threads = &threads};
  const train::TrainableModel trainable =
      train::make_trainable(ctx, random_model(small_config(), DType::kFloat32, 3, threads), DType::kFloat32);
  engine::Engine engine(trainable.model, threads, {.context = 256, .max_running = 64, .max_waiting = 4096});
  train::Trainer host(ctx, trainable, GpuPolicy::options());
  const auto step = [](engine::Engine& sampler, train::Trainer& learner) {
    rl::Curriculum curriculum(rl::test::additions());
    const text::Tokenizer tokenizer = byte_tokenizer();
    rl::PolicyTrainer trainer(sampler, learner, tokenizer, curriculum, six_attempts(), small_batches(3));
    return trainer.step();
  };
  const rl::BatchReport want = step(engine, host), got = step(there.engine, there.trainer);
  ASSERT_TRUE(want.trained && got.trained);
  ASSERT_EQ(got.groups.size(), want.groups.size());
  for (size_t group = 0; group < want.groups.size(); ++group)
    for (size_t i = 0; i < want.groups[group].samples.size(); ++i)
      EXPECT_EQ(got.groups[group].samples[i].tokens, want.groups[group].samples[i].tokens) << group << " " << i;
  ASSERT_EQ(got.updates.size(), want.updates.size());
  ASSERT_EQ(want.updates.size(), 3u);
  for (size_t update = 0; update < want.updates.size(); ++update)
    for (const char* name : {"loss/policy", "loss/aux", "grad/norm", "ratio/mean", "ratio/max", "kl/k3"}) {
      const double expected = want.updates[update].at(name);
      EXPECT_NEAR(got.updates[update].at(name), expected, 1e-4 + 5e-3 * std::abs(expected)) << name << " " << update;
    }
  EXPECT_GT(want.updates.back().at("kl/k3"), 1e-4) << "the updates before it moved nothing";
  EXPECT_NEAR(got.metrics.at("moe/flip_rate"), want.metrics.at("moe/flip_rate"), 0.01);
  EXPECT_NEAR(got.metrics.at("moe/router_entropy"), want.metrics.at("moe/router_entropy"), 1e-4);
}

}  // namespace
}  // namespace minimax
