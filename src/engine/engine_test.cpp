#include "engine/engine.h"

#include <gmock/gmock.h>

#include "engine/test_engine.h"

namespace minimax::engine {
namespace {

using test::expect_same;
using test::expected_answer;
using test::message;
using test::random_ids;
using test::request_of;
using test::submit;
using test::TinyModel;
using testing::HasSubstr;

class EngineTest : public testing::Test {
 protected:
  TinyModel tiny;
  Rng rng{3};
};

TEST_F(EngineTest, OneRequest) {
  Engine engine(tiny.model, tiny.threads, {.context = 512});
  Request request = request_of(random_ids(rng, 130), 20);
  request.sampling.seed = 7;
  const auto got = submit(engine, request);
  engine.run();
  ASSERT_TRUE(got->done());
  ASSERT_EQ(got->answers.size(), 1u);
  expect_same(got->answers[0], expected_answer(tiny, request), "alone");
  EXPECT_EQ(got->usage.prompt_tokens, 130);
  EXPECT_EQ(got->usage.generated_tokens, 20);
  EXPECT_EQ(got->answers[0].end.tokens, 20);
  test::expect_all_free(engine);
}

// Whatever runs beside a request, however its prompt is cut, whatever was cached, and however often it gave way.
TEST_F(EngineTest, RandomMixesGiveTheBitsOfOneSequenceAlone) {
  int64_t preemptions = 0, cached = 0, recomputed = 0;
  for (uint64_t round = 0; round < 12; ++round) {
    SCOPED_TRACE(round);
    Rng dice(100 + round);
    EngineOptions options;
    options.context = 700;
    options.max_running = 1 + static_cast<int64_t>(dice.below(6));
    options.step_tokens = options.max_running + static_cast<int64_t>(dice.below(120));
    options.snapshots.every_tokens = static_cast<int64_t>(dice.below(3)) * 64;
    options.prefix_cache = round % 4 != 3;
    const ModelConfig& config = tiny.model.config;
    // From room for one long sequence to room for all.
    options.memory_bytes =
        StateCache::state_bytes_per_sequence(config) * (2 + static_cast<int64_t>(dice.below(8))) +
        StateCache::kv_bytes_per_token(config) * kChunk * (12 + static_cast<int64_t>(dice.below(30)));
    Engine engine(tiny.model, tiny.threads, options);
    const std::vector<int32_t> shared = random_ids(dice, 300);
    std::vector<std::pair<Request, std::shared_ptr<Collector>>> all;
    while (all.size() < 14) {
      Request request;
      request.prompt.assign(shared.begin(), shared.begin() + static_cast<int64_t>(dice.below(300)));
      const std::vector<int32_t> own = random_ids(dice, 1 + static_cast<int64_t>(dice.below(150)));
      request.prompt.insert(request.prompt.end(), own.begin(), own.end());
      request.max_tokens = 1 + static_cast<int64_t>(dice.below(90));
      request.sampling.seed = dice.next_u64();
      request.sampling.temperature = dice.below(3) ? 1.0f : 0.0f;
      request.priority = static_cast<int64_t>(dice.below(3));
      request.use_cache = dice.below(5) > 0;
      request.n = dice.below(4) ? 1 : 3;
      request.stop_ids = random_ids(dice, 1);
      all.emplace_back(request, submit(engine, request));
      for (uint64_t steps = dice.below(12); steps > 0; --steps) engine.step();
    }
    engine.run();
    for (size_t i = 0; i < all.size(); ++i) {
      const auto& [request, got] = all[i];
      ASSERT_TRUE(got->done());
      ASSERT_EQ(static_cast<int64_t>(got->answers.size()), request.n);
      for (int64_t answer = 0; answer < request.n; ++answer)
        expect_same(got->answers[static_cast<size_t>(answer)], expected_answer(tiny, request, answer),
                    cat("request ", i, ", answer ", answer));
    }
    preemptions += engine.stats().preemptions;
    cached += engine.stats().cache_hit_tokens;
    recomputed += engine.stats().recomputed_tokens;
    test::expect_all_free(engine);
  }
  EXPECT_GT(preemptions, 0);
  EXPECT_GT(recomputed, 0);
  EXPECT_GT(cached, 0);
}

}  // namespace
}  // namespace minimax::engine
