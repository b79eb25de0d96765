#include "engine/state/prefix_cache.h"

#include "engine/test_engine.h"

namespace minimax::engine {
namespace {

using test::expect_same;
using test::expected_answer;
using test::random_ids;
using test::request_of;
using test::submit;
using test::TinyModel;

/// Sequences of given lengths without a model: what counts is who holds what.
class PrefixCacheTest : public testing::Test {
 protected:
  PrefixCache::SnapshotId keep(const std::vector<int32_t>& ids, bool pinned = false, const std::string& salt = "") {
    Sequence sequence = cache.open();
    cache.reserve(sequence, static_cast<int64_t>(ids.size()));
    sequence.length = static_cast<int64_t>(ids.size());
    for (const LayerCache& layer : cache.layers())
      for (const Tensor& x : {layer.lightning.state, layer.lightning.k_window, layer.lightning.v_window})
        if (x.defined()) std::fill_n(x.data<float>(), x.elements(), 1.0f);
    return prefixes.keep(salt, ids, sequence, {}, true, pinned);
  }
  int64_t found(const std::vector<int32_t>& ids, const std::string& salt = "") {
    return prefixes.find(salt, ids).length;
  }
  static std::vector<int32_t> first(const std::vector<int32_t>& ids, int64_t count) {
    return {ids.begin(), ids.begin() + count};
  }

  ModelConfig config = test::tiny_config();
  StateCache cache{config, 100 * kChunk, 40};
  PrefixCache prefixes{cache};
  Rng rng{1};
  std::vector<int32_t> ids = random_ids(rng, 400);
};

TEST_F(PrefixCacheTest, FindsTheLongestBeginningThatLeavesAToken) {
  for (const int64_t length : {40, 64, 100, 128, 300}) keep(first(ids, length));
  EXPECT_EQ(found(first(ids, 400)), 300);
  EXPECT_EQ(found(first(ids, 300)), 128) << "one token must be left to compute";
  EXPECT_EQ(found(first(ids, 128)), 100);
  EXPECT_EQ(found(first(ids, 101)), 100);
  EXPECT_EQ(found(first(ids, 100)), 64);
  EXPECT_EQ(found(first(ids, 64)), 40);
  EXPECT_EQ(found(first(ids, 40)), 0);
  EXPECT_EQ(found({}), 0);
  std::vector<int32_t> other = ids;
  other[70] ^= 1;
  EXPECT_EQ(found(other), 64);
  EXPECT_EQ(prefixes.find("", other).known, 64);
  other = ids;
  other[290] ^= 1;
  EXPECT_EQ(found(other), 128);
  EXPECT_EQ(prefixes.find("", other).known, 256) << "pages of the longer one agree";
  EXPECT_EQ(found(ids, "stranger"), 0) << "another salt";
}

TEST_F(PrefixCacheTest, PagesAreSharedAndGoWithTheLastSnapshot) {
  const int64_t pages = cache.free_pages();
  std::vector<int32_t> other = ids;
  other[200] ^= 1;
  keep(first(ids, 256));
  EXPECT_EQ(pages - cache.free_pages(), 4);
  keep(other);
  EXPECT_EQ(pages - cache.free_pages(), 4 + 4) << "three pages of seven are the same";
  EXPECT_EQ(prefixes.counts().pages, 8);
  Sequence sequence = prefixes.resume(prefixes.find("", other.size() ? first(ids, 300) : other));
  EXPECT_EQ(sequence.length, 256);
  EXPECT_EQ(pages - cache.free_pages(), 8) << "full pages are not copied";
  prefixes.clear();
  EXPECT_EQ(pages - cache.free_pages(), 4) << "the running sequence holds its own";
  cache.close(sequence);
  EXPECT_EQ(cache.free_pages(), pages);
  EXPECT_EQ(cache.budget().used(), 0);
}

TEST_F(PrefixCacheTest, EvictsWhatIsWorthLeast) {
  const auto evict_one = [&] {
    const int64_t before = prefixes.counts().evictions;
    prefixes.make_room({.bytes = cache.budget().free() + 1});
    return prefixes.counts().evictions - before;
  };
  // A long prefix is dear to compute again, a short one cheap, for about the same bytes.
  const std::vector<int32_t> cheap = random_ids(rng, 64), pinned = random_ids(rng, 64);
  keep(first(ids, 384));
  keep(cheap);
  const auto id = keep(pinned, true);
  EXPECT_EQ(evict_one(), 1);
  EXPECT_EQ(found(ids), 384);
  EXPECT_EQ(evict_one(), 1);
  EXPECT_EQ(found(ids), 0);
  EXPECT_TRUE(prefixes.has(id)) << "what is pinned stays, cheap or not";
  EXPECT_EQ(evict_one(), 1) << "as long as something else is left";
  EXPECT_FALSE(prefixes.has(id));
  EXPECT_EQ(evict_one(), 0);
  EXPECT_EQ(prefixes.counts().snapshot_bytes, 0);
}

// Where room is short, a cheap newcomer does not drive out what is dear.
TEST_F(PrefixCacheTest, KeepsNoNewcomerOfLessWorth) {
  keep(first(ids, 384));
  cache.budget().take(cache.budget().free() - cache.page_bytes() - cache.slot_bytes());
  Sequence sequence = cache.open();
  cache.reserve(sequence, 3);
  sequence.length = 3;
  EXPECT_EQ(prefixes.keep("", std::vector<int32_t>{1, 2, 3}, sequence, {}, false, false), 0u);
  EXPECT_EQ(found(ids), 384);
  EXPECT_EQ(prefixes.counts().pages, 6) << "nothing of it is left";
  cache.close(sequence);
}

TEST_F(PrefixCacheTest, WhatIsUsedStays) {
  std::vector<std::vector<int32_t>> all;
  for (int i = 0; i < 6; ++i) {
    all.push_back(random_ids(rng, 128));
    keep(all.back());
  }
  for (int round = 0; round < 4; ++round) {
    std::vector<int32_t> longer = all[2];
    longer.push_back(1);
    Sequence sequence = prefixes.resume(prefixes.find("", longer));
    cache.close(sequence);
    ASSERT_TRUE(prefixes.make_room({.bytes = cache.budget().free() + 1}));
    EXPECT_EQ(found(longer), 128);
  }
}

TEST_F(PrefixCacheTest, RandomUseLosesNoPage) {
  const int64_t pages = cache.free_pages();
  std::vector<Sequence> running;
  for (int step = 0; step < 3000; ++step) {
    std::vector<int32_t> prompt = first(ids, static_cast<int64_t>(rng.below(200)));
    const std::vector<int32_t> own = random_ids(rng, 1 + static_cast<int64_t>(rng.below(100)), 3);
    prompt.insert(prompt.end(), own.begin(), own.end());
    switch (rng.below(4)) {
      case 0:
        if (cache.free_pages() > 10 && cache.free_slots() > 0) keep(prompt, rng.below(4) == 0, cat(rng.below(2)));
        break;
      case 1: {
        const std::string salt = cat(rng.below(2));
        const auto hit = prefixes.find(salt, prompt);
        if (hit.snapshot && cache.free_slots() > 0 && cache.free_pages() > 0) running.push_back(prefixes.resume(hit));
        break;
      }
      case 2:
        if (running.empty()) break;
        std::swap(running.back(), running[rng.below(running.size())]);
        cache.close(running.back());
        running.pop_back();
        break;
      case 3:
        if (rng.below(20) == 0)
          prefixes.drop("1");
        else
          prefixes.make_room({.bytes = std::min(cache.budget().limit(), cache.budget().free() + cache.page_bytes())});
    }
    ASSERT_GE(cache.budget().free(), 0);
    ASSERT_EQ(cache.budget().used(), cache.used_pages() * cache.page_bytes() + cache.used_slots() * cache.slot_bytes() +
                                         prefixes.counts().snapshot_bytes);
  }
  for (Sequence& sequence : running) cache.close(sequence);
  EXPECT_EQ(cache.used_pages(), prefixes.counts().pages);
  prefixes.clear();
  EXPECT_EQ(cache.free_pages(), pages);
  EXPECT_EQ(cache.budget().used(), 0);
}

class CachedPromptsTest : public testing::Test {
 protected:
  std::shared_ptr<Collector> run(Engine& engine, const Request& request) {
    const auto got = submit(engine, request);
    engine.run();
    expect_same(got->answers.at(0), expected_answer(tiny, request), cat(request.prompt.size(), " tokens"));
    return got;
  }

  TinyModel tiny;
  Rng rng{3};
};

TEST_F(CachedPromptsTest, AConversationComputesOnlyWhatIsNew) {
  Engine engine(tiny.model, tiny.threads, {.context = 2000});
  Request turn = request_of(random_ids(rng, 90), 30);
  EXPECT_EQ(run(engine, turn)->usage.cached_tokens, 0);
  const int64_t computed = engine.stats().prompt_tokens;
  EXPECT_EQ(computed, 90);

  // The same prompt again: not one token is computed.
  EXPECT_EQ(run(engine, turn)->usage.cached_tokens, 90);
  EXPECT_EQ(engine.stats().prompt_tokens, computed);

  // With the answer in it: all but its last token, which was chosen and never run.
  for (int round = 0; round < 4; ++round) {
    const auto got = run(engine, turn);
    const auto before = static_cast<int64_t>(turn.prompt.size() + got->answers[0].ids.size()) - 1;
    turn.prompt.insert(turn.prompt.end(), got->answers[0].ids.begin(), got->answers[0].ids.end());
    const std::vector<int32_t> question = random_ids(rng, 10);
    turn.prompt.insert(turn.prompt.end(), question.begin(), question.end());
    EXPECT_EQ(run(engine, turn)->usage.cached_tokens, before);
  }

  // Without the thinking that the answer began with: from the end of the prompt.
  Request dropped = turn;
  const auto got = run(engine, dropped);
  dropped.prompt.insert(dropped.prompt.end(), got->answers[0].ids.begin() + 20, got->answers[0].ids.end());
  EXPECT_EQ(run(engine, dropped)->usage.cached_tokens, static_cast<int64_t>(turn.prompt.size()));
  EXPECT_EQ(engine.stats().cache_hit_tokens > 0, true);
}

// A system prompt that others share: the second one that leaves it somewhere marks the place, the third one profits.
TEST_F(CachedPromptsTest, BranchPointsAreKept) {
  Engine engine(tiny.model, tiny.threads, {.context = 2000});
  const std::vector<int32_t> system = random_ids(rng, 500);
  const auto next = [&] {
    Request request = request_of(system, 3);
    const std::vector<int32_t> own = random_ids(rng, 100);
    request.prompt.insert(request.prompt.end(), own.begin(), own.end());
    return run(engine, request)->usage.cached_tokens;
  };
  EXPECT_EQ(next(), 0);
  EXPECT_EQ(next(), 0);
  EXPECT_EQ(next(), 448) << "seven pages of 64";
  EXPECT_EQ(next(), 448);
}

TEST_F(CachedPromptsTest, PlacesOnTheWayAreKept) {
  Engine engine(tiny.model, tiny.threads,
                {.context = 2000, .snapshots = {.prompt_end = false, .answer_end = false, .every_tokens = 128}});
  Request request = request_of(random_ids(rng, 500), 3);
  run(engine, request);
  request.prompt[300] ^= 1;
  EXPECT_EQ(run(engine, request)->usage.cached_tokens, 256);
}

TEST_F(CachedPromptsTest, SaltsAndUseCacheKeepPromptsApart) {
  Engine engine(tiny.model, tiny.threads, {.context = 2000});
  Request request = request_of(random_ids(rng, 200), 3);
  request.use_cache = false;
  run(engine, request);
  EXPECT_EQ(engine.stats().cached_snapshots, 0);
  request.use_cache = true;
  request.cache_salt = "a";
  run(engine, request);
  request.cache_salt = "b";
  EXPECT_EQ(run(engine, request)->usage.cached_tokens, 0);
  request.cache_salt = "a";
  EXPECT_EQ(run(engine, request)->usage.cached_tokens, 200);
  request.use_cache = false;
  EXPECT_EQ(run(engine, request)->usage.cached_tokens, 0);
}

}  // namespace
}  // namespace minimax::engine
