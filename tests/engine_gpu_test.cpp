// The engine with its caches on a GPU, or on a module that plays one: states that go to files and come back.
#include <gtest/gtest.h>

#include "engine/test_engine.h"
#include "io/test_folder.h"
#include "model/placement.h"
#include "ops/test_gpu.h"

namespace minimax::engine {
namespace {

using test::random_ids;
using test::request_of;
using test::submit;

/// Heads of the published model's size, which have kernels and a type of cache of their own.
ModelConfig true_heads() {
  ModelConfig config = test::tiny_config();
  config.hidden = 256;
  config.ffn = 136;
  config.heads = 8;
  config.kv_heads = 1;
  config.head_dim = 128;
  config.rotary_dim = 64;
  config.initializer_range = 0.08;
  return config;
}

struct Case {
  ModelConfig config;
  MatmulPrecision precision;
};
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const MatmulPrecision precision : minimax::test::kPrecisions) {
    all.push_back({test::tiny_config(), precision});
    if (!minimax::test::played()) all.push_back({true_heads(), precision});
  }
  return all;
}

class EngineGpuTest : public testing::Test {
 protected:
  EngineOptions options(MatmulPrecision precision) {
    return {.context = 512, .precision = precision, .gpu = &minimax::test::gpu(), .deterministic = true};
  }
  MiniMaxM1 placed(const MiniMaxM1& host, MatmulPrecision precision) {
    return place_model({.device = Device::kCuda, .gpu = &minimax::test::gpu(), .matmul_precision = precision}, host);
  }
  static Request next_turn(const Request& request, const Collector& answer) {
    Request next = request_of(request.prompt, 12);
    next.prompt.insert(next.prompt.end(), answer.answers.at(0).ids.begin(), answer.answers[0].ids.end());
    next.prompt.insert(next.prompt.end(), {5, 6, 7});
    return next;
  }
  static void expect_same(const Collector& got, const Collector& want) {
    EXPECT_EQ(got.answers.at(0).ids, want.answers.at(0).ids);
    EXPECT_EQ(got.answers[0].log_probs, want.answers[0].log_probs) << "other bits";
  }

  ThreadPool threads{2};
  Rng rng{3};
  minimax::test::Folder folder;
};

TEST_F(EngineGpuTest, ASessionGoesOnFromItsFileWithTheSameBits) {
  for (const auto& [config, precision] : cases()) {
    const MiniMaxM1 model = placed(random_model(config, DType::kFloat32, 5, threads), precision);
    Request turn = request_of(random_ids(rng, 150), 10);
    turn.session = "talk";
    Engine first(model, threads, options(precision));
    const auto answer = submit(first, turn);
    first.run();
    EXPECT_EQ(first.save_session("talk", folder / "talk").tokens, 159);
    const Request next = next_turn(turn, *answer);

    Engine loaded(model, threads, options(precision)), fresh(model, threads, options(precision));
    EXPECT_TRUE(loaded.load_session(folder / "talk").same_kernels);
    const auto got = submit(loaded, next), want = submit(fresh, next);
    loaded.run();
    fresh.run();
    EXPECT_EQ(got->usage.cached_tokens, 159);
    EXPECT_EQ(want->usage.cached_tokens, 0);
    expect_same(*got, *want);
  }
}

TEST_F(EngineGpuTest, SessionsOfTheProcessorGoOnHere) {
  const MiniMaxM1 host = random_model(test::tiny_config(), DType::kFloat32, 5, threads);
  const MiniMaxM1 model = placed(host, MatmulPrecision::kFloat32);
  Request turn = request_of(random_ids(rng, 150), 10);
  turn.session = "talk";
  Engine there(host, threads, {.context = 512});
  const auto answer = submit(there, turn);
  there.run();
  there.save_session("talk", folder / "talk");
  const Request next = next_turn(turn, *answer);

  Engine here(model, threads, options(MatmulPrecision::kFloat32));
  EXPECT_FALSE(here.load_session(folder / "talk").same_kernels);
  const auto got = submit(here, next), want = submit(there, next);
  here.run();
  there.run();
  EXPECT_EQ(got->usage.cached_tokens, 159);
  EXPECT_EQ(got->answers.at(0).ids, want->answers.at(0).ids);
}

TEST_F(EngineGpuTest, APrefixComesBackFromDiskWithTheSameBits) {
  const ModelConfig config = test::tiny_config();
  const MiniMaxM1 host = random_model(config, DType::kFloat32, 5, threads);
  for (const MatmulPrecision precision : minimax::test::kPrecisions) {
    const MiniMaxM1 model = placed(host, precision);
    EngineOptions small = options(precision);
    small.context = 4096;
    small.max_running = 1;
    // Beside two slots three snapshots and 25 pages (50 in bfloat16): one long prompt takes nearly all.
    small.memory_bytes = 11 * StateCache::state_bytes_per_sequence(config);
    small.spill_folder = folder.path();
    small.spill_bytes = 100 << 20;
    Engine engine(model, threads, small), fresh(model, threads, options(precision));
    const Request turn = request_of(random_ids(rng, 150), 10);
    const auto answer = submit(engine, turn);
    engine.run();
    const int64_t pages = 6 * StateCache::state_bytes_per_sequence(config) / engine.stats().page_bytes;
    submit(engine, request_of(random_ids(rng, (pages - 1) * kChunk), 2));
    engine.run();
    EXPECT_GT(engine.stats().cache_spills, 0);
    const Request next = next_turn(turn, *answer);
    const auto got = submit(engine, next), want = submit(fresh, next);
    engine.run();
    fresh.run();
    EXPECT_EQ(engine.stats().cache_spill_loads, 1);
    EXPECT_GE(got->usage.cached_tokens, 150);
    expect_same(*got, *want);
  }
}

}  // namespace
}  // namespace minimax::engine
