#include "engine/state/spill.h"

#include "engine/test_engine.h"
#include "io/test_folder.h"

namespace minimax::engine {
namespace {

using test::expect_same;
using test::expected_answer;
using test::random_ids;
using test::request_of;
using test::submit;
using test::TinyModel;

class SpillTest : public testing::Test {
 protected:
  EngineOptions options() {
    EngineOptions options{.context = 512, .max_running = 1};
    options.memory_bytes = 2 * StateCache::state_bytes_per_sequence(tiny.model.config) +
                           9 * kChunk * StateCache::kv_bytes_per_token(tiny.model.config);
    options.spill_folder = folder.path();
    options.spill_bytes = 10 << 20;
    return options;
  }
  /// Other conversations, until nothing of before is in memory.
  void crowd(Engine& engine) {
    for (int i = 0; i < 6; ++i) submit(engine, request_of(random_ids(rng, 200), 3));
    engine.run();
  }

  TinyModel tiny;
  Rng rng{3};
  minimax::test::Folder folder;
};

TEST_F(SpillTest, AConversationComesBackFromDisk) {
  Engine engine(tiny.model, tiny.threads, options());
  Request turn = request_of(random_ids(rng, 150), 20);
  turn.session = "talk";
  const auto first = submit(engine, turn);
  engine.run();
  crowd(engine);
  submit(engine, request_of(random_ids(rng, 500), 3));
  engine.run();
  EXPECT_GT(engine.stats().cache_spills, 3);
  EXPECT_GT(engine.stats().spilled_bytes, 0);
  EXPECT_FALSE(engine.sessions().at(0).in_memory);

  // A session that lies on disk can be saved all the same.
  EXPECT_EQ(engine.save_session("talk", folder / "talk").tokens, 169);
  Engine other(tiny.model, tiny.threads, {.context = 512});
  other.load_session(folder / "talk");
  std::filesystem::remove(folder / "talk");

  turn.prompt.insert(turn.prompt.end(), first->answers.at(0).ids.begin(), first->answers[0].ids.end());
  turn.prompt.push_back(3);
  turn.session.clear();
  for (Engine* next : {&engine, &other}) {
    const auto got = submit(*next, turn);
    next->run();
    EXPECT_EQ(got->usage.cached_tokens, 169);
    expect_same(got->answers.at(0), expected_answer(tiny, turn), "next turn");
  }
  EXPECT_EQ(engine.stats().cache_spill_loads, 1);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  test::expect_all_free(engine);
  EXPECT_EQ(engine.stats().spilled_bytes, 0);
}

TEST_F(SpillTest, TheOldestGoWhenTheDiskIsFull) {
  EngineOptions small = options();
  small.spill_bytes = 200 << 10;
  Engine engine(tiny.model, tiny.threads, small);
  for (int round = 0; round < 4; ++round) crowd(engine);
  EXPECT_GT(engine.stats().cache_spills, 10);
  EXPECT_LE(engine.stats().spilled_bytes, 200 << 10);
  EXPECT_GT(engine.stats().spilled_bytes, 0);
}

TEST_F(SpillTest, ADiskThatFailsCostsNoAnswer) {
  Engine engine(tiny.model, tiny.threads, options());
  std::filesystem::remove_all(folder.path());
  crowd(engine);
  const Request request = request_of(random_ids(rng, 150), 20);
  const auto got = submit(engine, request);
  engine.run();
  expect_same(got->answers.at(0), expected_answer(tiny, request), "no disk");
  EXPECT_EQ(engine.stats().spilled_bytes, 0);
  EXPECT_NE(minimax::test::error_of([&] { Engine(tiny.model, tiny.threads, options()); }).find("is no folder"),
            std::string::npos);
}

}  // namespace
}  // namespace minimax::engine
