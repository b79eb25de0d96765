#include "engine/engine.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <map>
#include <thread>

#include "engine/test_engine.h"
#include "io/test_folder.h"

namespace minimax::engine {
namespace {

using minimax::test::error_of;
using test::expect_same;
using test::expected_answer;
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
  int64_t preemptions = 0, cached = 0, recomputed = 0, from_disk = 0;
  const minimax::test::Folder folder;
  for (uint64_t round = 0; round < 12; ++round) {
    SCOPED_TRACE(round);
    Rng dice(100 + round);
    EngineOptions options;
    options.context = 700;
    options.max_running = 1 + static_cast<int64_t>(dice.below(6));
    options.step_tokens = options.max_running + static_cast<int64_t>(dice.below(120));
    options.snapshots.every_tokens = static_cast<int64_t>(dice.below(3)) * 64;
    options.prefix_cache = round % 4 != 3;
    if (round % 3 == 1) {
      options.spill_folder = folder.path();
      options.spill_bytes = 1 << 20;
    }
    options.speculation.max_drafts = static_cast<int64_t>(dice.below(4));
    options.speculation.min_match = 1;
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
    from_disk += engine.stats().cache_spill_loads;
    EXPECT_LE(engine.stats().spilled_bytes, 1 << 20);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "files have no names";
    test::expect_all_free(engine);
  }
  EXPECT_GT(from_disk, 0);
  EXPECT_GT(preemptions, 0);
  EXPECT_GT(recomputed, 0);
  EXPECT_GT(cached, 0);
}

// An answer that gave way goes through its prompt again, and what is kept there must be as good as the first time.
TEST_F(EngineTest, RepeatedPromptsStayRightWhereAnswersAreComputedAgain) {
  int64_t recomputed = 0, cached = 0;
  for (uint64_t round = 0; round < 8; ++round) {
    SCOPED_TRACE(round);
    Rng dice(round);
    EngineOptions options{.context = 400, .max_running = 3, .step_tokens = 64};
    const ModelConfig& config = tiny.model.config;
    options.memory_bytes = StateCache::state_bytes_per_sequence(config) * (4 + static_cast<int64_t>(round % 3)) +
                           StateCache::kv_bytes_per_token(config) * kChunk * 14;
    Engine engine(tiny.model, tiny.threads, options);
    std::vector<std::vector<int32_t>> prompts;
    for (const int64_t length : {50, 90, 130, 200}) prompts.push_back(random_ids(dice, length));
    std::vector<std::pair<Request, std::shared_ptr<Collector>>> all;
    while (all.size() < 24) {
      Request request = request_of(prompts[dice.below(4)], 10 + static_cast<int64_t>(dice.below(90)));
      request.sampling.seed = dice.below(2);
      request.priority = static_cast<int64_t>(dice.below(4));
      request.n = 1 + static_cast<int64_t>(dice.below(2));
      all.emplace_back(request, submit(engine, request));
      for (uint64_t steps = dice.below(30); steps > 0; --steps) engine.step();
    }
    engine.run();
    for (size_t i = 0; i < all.size(); ++i)
      for (int64_t answer = 0; answer < all[i].first.n; ++answer)
        expect_same(all[i].second->answers.at(static_cast<size_t>(answer)), expected_answer(tiny, all[i].first, answer),
                    cat("request ", i, ", answer ", answer));
    recomputed += engine.stats().recomputed_tokens;
    cached += engine.stats().cache_hit_tokens;
  }
  EXPECT_GT(recomputed, 0);
  EXPECT_GT(cached, 0);
}

TEST_F(EngineTest, TenThousandShortRequestsLeaveNothingBehind) {
  EngineOptions options;
  options.context = 64;
  options.max_running = 12;
  options.step_tokens = 64;
  options.max_waiting = 100;
  options.memory_bytes = 40 * StateCache::state_bytes_per_sequence(tiny.model.config);
  Engine engine(tiny.model, tiny.threads, options);
  int64_t done = 0, refused = 0;
  struct Counter : Listener {
    explicit Counter(int64_t& total) : done(total) {}
    FinishReason on_token(const Token&) override { return FinishReason::kNone; }
    void on_finish(const AnswerEnd& end) override { EXPECT_EQ(end.reason, FinishReason::kLength) << end.error; }
    void on_done(const Usage&) override { ++done; }
    int64_t& done;
  };
  const auto counter = std::make_shared<Counter>(done);
  for (int64_t sent = 0; sent < 10000;) {
    Request request = request_of(random_ids(rng, 1 + static_cast<int64_t>(rng.below(8)), 5), 1);
    request.max_tokens = 1 + static_cast<int64_t>(rng.below(2));
    request.use_cache = rng.below(4) > 0;
    try {
      engine.submit(std::move(request), counter);
      ++sent;
    } catch (const QueueFull& full) {
      EXPECT_GE(full.retry_after_seconds(), 1);
      ++refused;
      engine.step();
      const EngineStats stats = engine.stats();
      ASSERT_LE(stats.memory_bytes, stats.memory_limit_bytes);
      ASSERT_EQ(stats.memory_bytes,
                stats.pages_used * stats.page_bytes + stats.slots_used * stats.slot_bytes + stats.snapshot_bytes);
    }
  }
  engine.run();
  EXPECT_EQ(done, 10000);
  EXPECT_GT(refused, 0);
  EXPECT_EQ(engine.stats().requests_finished, 10000);
  EXPECT_EQ(engine.stats().requests_refused, refused);
  test::expect_all_free(engine);
}

TEST_F(EngineTest, CancelledBeforeTheNextForwardPass) {
  Engine engine(tiny.model, tiny.threads, {.context = 512});
  const auto listener = std::make_shared<Collector>(), other = std::make_shared<Collector>();
  Request request = request_of(random_ids(rng, 40), 100);
  const RequestId id = engine.submit(request, listener);
  engine.submit(request_of(random_ids(rng, 40), 12), other);
  for (int step = 0; step < 5; ++step) engine.step();
  const size_t tokens = listener->answers.at(0).ids.size();
  EXPECT_GT(tokens, 0u);
  engine.cancel(id);
  engine.step();
  EXPECT_TRUE(listener->done());
  EXPECT_EQ(listener->answers[0].end.reason, FinishReason::kCancelled);
  EXPECT_EQ(listener->answers[0].ids.size(), tokens);
  engine.cancel(id);
  engine.cancel(12345);
  engine.run();
  EXPECT_EQ(other->answers[0].ids.size(), 12u);
  test::expect_all_free(engine);
}

TEST_F(EngineTest, DeadlinesEndWaitingAndRunningRequests) {
  // Its first token takes longer than it has: neither a slow machine nor a fast one comes to another end.
  struct Slow : Collector {
    FinishReason on_token(const Token& token) override {
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
      return Collector::on_token(token);
    }
  };
  Engine engine(tiny.model, tiny.threads, {.context = 4096, .max_running = 1});
  Request request = request_of(random_ids(rng, 10), 100000);
  request.deadline_seconds = 0.05;
  const std::shared_ptr<Collector> running = std::make_shared<Slow>();
  engine.submit(request, running);
  request.deadline_seconds = 1e-9;
  const auto waiting = submit(engine, request);
  engine.run();
  for (const auto& got : {running, waiting}) {
    ASSERT_TRUE(got->done());
    EXPECT_EQ(got->answers[0].end.reason, FinishReason::kDeadline);
  }
  EXPECT_TRUE(waiting->answers[0].ids.empty());
  EXPECT_EQ(engine.stats().requests_past_deadline, 2);
}

TEST_F(EngineTest, ABetterPriorityTakesASeatAndGivesItBack) {
  Engine engine(tiny.model, tiny.threads, {.context = 512, .max_running = 1, .step_tokens = 600});
  Request low = request_of(random_ids(rng, 100), 40), high = request_of(random_ids(rng, 30), 5);
  low.priority = 1;
  const auto slow = submit(engine, low);
  for (int step = 0; step < 10; ++step) engine.step();
  const size_t before = slow->answers[0].ids.size();
  const auto quick = submit(engine, high);
  for (int step = 0; step < 6; ++step) engine.step();
  EXPECT_TRUE(quick->done());
  EXPECT_LE(slow->answers[0].ids.size(), before + 2);
  engine.run();
  expect_same(slow->answers[0], expected_answer(tiny, low), "the one that gave way");
  expect_same(quick->answers[0], expected_answer(tiny, high), "the one that came first");
  EXPECT_EQ(slow->usage.preemptions, 1);
  EXPECT_EQ(engine.stats().recomputed_tokens, 0) << "it went on from its snapshot";
  test::expect_all_free(engine);
}

// Two long prompts share the steps, and a short one that comes later does not wait for their ends.
TEST_F(EngineTest, ShortPromptsDoNotWaitForLongOnes) {
  Engine engine(tiny.model, tiny.threads, {.context = 2000, .max_running = 4, .step_tokens = 50});
  const auto first = submit(engine, request_of(random_ids(rng, 1500), 1));
  const auto second = submit(engine, request_of(random_ids(rng, 1500), 1));
  for (int step = 0; step < 5; ++step) engine.step();
  const auto quick = submit(engine, request_of(random_ids(rng, 40), 1));
  int steps = 0;
  while (!quick->done()) {
    engine.step();
    ++steps;
  }
  EXPECT_LE(steps, 3);
  engine.run();
  EXPECT_EQ(first->answers[0].ids.size() + second->answers[0].ids.size(), 2u);
}

TEST_F(EngineTest, AFailedBatchFailsOnlyTheRequestToBlame) {
  std::vector<int32_t> poison = {13, 13, 13, 13};
  EngineOptions options{.context = 512};
  options.before_forward = [&](const Batch& batch) {
    const auto ids = batch.tokens.span<int32_t>();
    if (std::search(ids.begin(), ids.end(), poison.begin(), poison.end()) != ids.end())
      throw Error(ErrorKind::kInternal, "the poison was run");
  };
  Engine engine(tiny.model, tiny.threads, options);
  std::vector<std::pair<Request, std::shared_ptr<Collector>>> good;
  const auto add = [&] {
    Request request = request_of(random_ids(rng, 70, 13), 30);
    request.banned = {13};
    good.emplace_back(request, submit(engine, request));
  };
  add();
  for (int step = 0; step < 4; ++step) engine.step();
  add();
  const auto bad = submit(engine, request_of(poison, 5));
  add();
  engine.run();
  EXPECT_EQ(bad->answers.at(0).end.reason, FinishReason::kError);
  EXPECT_EQ(bad->answers[0].end.error, "the poison was run");
  for (const auto& [request, got] : good) expect_same(got->answers.at(0), expected_answer(tiny, request), "good");
  EXPECT_EQ(engine.stats().requests_failed, 1);
  test::expect_all_free(engine);
}

// A constraint that throws, and one that leaves nothing to choose.
TEST_F(EngineTest, AFailingConstraintFailsItsAnswerAlone) {
  struct Broken : TokenControl {
    std::span<const uint64_t> allowed() override {
      if (tokens == 2) throw std::runtime_error("grammar is broken");
      return {};
    }
    void accept(int32_t) override { ++tokens; }
    std::unique_ptr<TokenControl> clone() const override { return std::make_unique<Broken>(*this); }
    int tokens = 0;
  };
  struct Nothing : Broken {
    std::span<const uint64_t> allowed() override { return none; }
    std::unique_ptr<TokenControl> clone() const override { return std::make_unique<Nothing>(); }
    std::vector<uint64_t> none = std::vector<uint64_t>(2);
  };
  Engine engine(tiny.model, tiny.threads, {.context = 512});
  Request broken = request_of(random_ids(rng, 70), 30), nothing = broken, good = broken;
  broken.constraint = std::make_shared<Broken>();
  nothing.constraint = std::make_shared<Nothing>();
  const auto first = submit(engine, broken), second = submit(engine, nothing), third = submit(engine, good);
  engine.run();
  EXPECT_EQ(first->answers.at(0).end.error, "grammar is broken");
  EXPECT_EQ(first->answers[0].ids.size(), 2u);
  EXPECT_THAT(second->answers.at(0).end.error, HasSubstr("no token is left to choose"));
  expect_same(third->answers.at(0), expected_answer(tiny, good), "good");
}

TEST_F(EngineTest, AListenerMayEndItsAnswerOrThrow) {
  struct Stops : Collector {
    FinishReason on_token(const Token& token) override {
      Collector::on_token(token);
      return token.index == 3 ? FinishReason::kStopString : FinishReason::kNone;
    }
  };
  struct Throws : Collector {
    FinishReason on_token(const Token&) override { throw std::runtime_error("broken pipe"); }
  };
  Engine engine(tiny.model, tiny.threads, {.context = 512});
  Request request = request_of(random_ids(rng, 70), 30);
  const auto stops = std::make_shared<Stops>();
  engine.submit(request, stops);
  engine.submit(request, std::make_shared<Throws>());
  const auto good = submit(engine, request);
  engine.run();
  EXPECT_EQ(stops->answers.at(0).ids.size(), 4u);
  EXPECT_EQ(stops->answers[0].end.reason, FinishReason::kStopString);
  expect_same(good->answers.at(0), expected_answer(tiny, request), "good");
  EXPECT_EQ(engine.stats().requests_cancelled, 1);
  test::expect_all_free(engine);
}

TEST_F(EngineTest, AnswersShareThePromptAndTheBestAreReported) {
  Engine engine(tiny.model, tiny.threads, {.context = 512, .max_running = 3, .prefix_cache = false});
  Request request = request_of(random_ids(rng, 150), 25);
  request.n = 5;
  request.sampling.seed = 9;
  const auto five = submit(engine, request);
  engine.run();
  ASSERT_EQ(five->answers.size(), 5u);
  for (int64_t answer = 0; answer < 5; ++answer)
    expect_same(five->answers[static_cast<size_t>(answer)], expected_answer(tiny, request, answer), cat(answer));
  EXPECT_NE(five->answers[0].ids, five->answers[1].ids);
  EXPECT_EQ(engine.stats().prompt_tokens, 150) << "the prompt is read once";
  test::expect_all_free(engine);

  request.n = 2;
  request.best_of = 5;
  const auto best = submit(engine, request);
  engine.run();
  std::vector<const Collector::Answer*> ranked;
  for (const auto& answer : five->answers) ranked.push_back(&answer);
  std::sort(ranked.begin(), ranked.end(), [](auto* a, auto* b) { return a->end.sum_log_prob > b->end.sum_log_prob; });
  ASSERT_EQ(best->answers.size(), 2u);
  EXPECT_EQ(best->answers[0].ids, ranked[0]->ids);
  EXPECT_EQ(best->answers[1].ids, ranked[1]->ids);
  EXPECT_EQ(best->usage.generated_tokens, 125);
}

// Ends an answer when it comes to hold this id; what a stop string does in the server.
struct StopsAt : Collector {
  int32_t id = -1;
  std::map<int64_t, std::vector<int32_t>> candidates;
  FinishReason on_candidate(const Token& token) override {
    candidates[token.answer].push_back(token.sampled.id);
    return token.sampled.id == id ? FinishReason::kStopString : FinishReason::kNone;
  }
};

TEST_F(EngineTest, CandidatesEndWhereTheListenerWants) {
  Engine engine(tiny.model, tiny.threads, {.context = 512});
  Request request = request_of(random_ids(rng, 30), 40);
  request.best_of = 4;
  request.session = "best";
  request.sampling.temperature = 2;
  const auto all = std::make_shared<StopsAt>();
  engine.submit(request, all);
  engine.run();
  ASSERT_EQ(all->candidates.size(), 4u);
  ASSERT_EQ(all->answers.size(), 1u);
  EXPECT_EQ(all->usage.generated_tokens, 4 * 40);
  // The best is one of them, and its state is the session's, not the first one's.
  size_t best = 4;
  for (const auto& [number, ids] : all->candidates)
    if (ids == all->answers[0].ids) best = static_cast<size_t>(number);
  ASSERT_LT(best, 4u);
  ASSERT_NE(best, 0u) << "this seed shows nothing";
  Request next = request_of(request.prompt, 1);
  next.prompt.insert(next.prompt.end(), all->answers[0].ids.begin(), all->answers[0].ids.end());
  const minimax::test::Folder folder;
  engine.save_session("best", folder / "best");
  engine.clear_cache();
  engine.load_session(folder / "best");
  const auto more = submit(engine, next);
  engine.run();
  EXPECT_EQ(more->usage.cached_tokens, 30 + 39);

  const auto cut = std::make_shared<StopsAt>();
  cut->id = all->candidates[best][10];
  engine.submit(request, cut);
  engine.run();
  EXPECT_LT(cut->usage.generated_tokens, 4 * 40);
  for (const auto& [number, ids] : cut->candidates)
    for (size_t at = 0; at + 1 < ids.size(); ++at) EXPECT_NE(ids[at], cut->id);
  EXPECT_EQ(cut->candidates[static_cast<int64_t>(best)].back(), cut->id);
  test::expect_all_free(engine);
}

TEST_F(EngineTest, AFailedCandidateIsToldOf) {
  struct FailsOnce : TokenControl {
    explicit FailsOnce(std::shared_ptr<std::atomic<int>> left) : left(std::move(left)) {}
    std::span<const uint64_t> allowed() override { return {}; }
    void accept(int32_t) override {
      if (mine) throw Error(ErrorKind::kInternal, "the third candidate is out of luck");
    }
    bool finished() const override { return false; }
    std::unique_ptr<TokenControl> clone() const override {
      auto copy = std::make_unique<FailsOnce>(left);
      copy->mine = --*left == 0;
      return copy;
    }
    std::shared_ptr<std::atomic<int>> left;
    bool mine = false;
  };
  Engine engine(tiny.model, tiny.threads, {.context = 512});
  Request request = request_of(random_ids(rng, 30), 10);
  request.best_of = 4;
  request.constraint = std::make_shared<FailsOnce>(std::make_shared<std::atomic<int>>(3));
  const auto got = submit(engine, request);
  engine.run();
  ASSERT_EQ(got->answers.size(), 1u);
  EXPECT_EQ(got->answers[0].end.reason, FinishReason::kError);
  EXPECT_THAT(got->answers[0].end.error, HasSubstr("out of luck"));
  test::expect_all_free(engine);
}

TEST_F(EngineTest, TheQueueIsBoundedWhileAStepRuns) {
  EngineOptions options{.context = 512, .max_running = 2, .max_waiting = 3};
  Engine* running = nullptr;
  int taken = 0;
  const auto fill = [&] {
    for (int i = 0; i < 20; ++i) {
      try {
        submit(*running, request_of({1, 2, 3}, 30));
        ++taken;
      } catch (const QueueFull& full) {
        EXPECT_GE(full.retry_after_seconds(), 1);
        return;
      }
    }
  };
  options.before_forward = [&](const Batch&) { fill(); };
  Engine engine(tiny.model, tiny.threads, options);
  running = &engine;
  fill();
  EXPECT_EQ(taken, 3);
  for (int step = 0; step < 10; ++step) {
    engine.step();
    EXPECT_LE(engine.stats().requests_waiting, 3) << step;
  }
  // Those who have seats make room for others.
  EXPECT_EQ(taken, 5);
  EXPECT_EQ(engine.stats().requests_running, 2);
}

TEST_F(EngineTest, PromptLogProbsAreThoseOfAnAnswer) {
  Engine engine(tiny.model, tiny.threads, {.context = 512, .step_tokens = 37});
  Request request = request_of(random_ids(rng, 60), 90);
  request.sampling.top_logprobs = 2;
  const auto answer = submit(engine, request);
  engine.run();
  Request score = request;
  score.prompt.insert(score.prompt.end(), answer->answers[0].ids.begin(), answer->answers[0].ids.end());
  score.max_tokens = 0;
  score.prompt_logprobs = 2;
  const auto scored = submit(engine, score);
  engine.run();
  EXPECT_EQ(scored->answers.at(0).end.reason, FinishReason::kLength);
  EXPECT_TRUE(scored->answers[0].ids.empty());
  ASSERT_EQ(scored->prompt.size(), 150u);
  EXPECT_EQ(scored->prompt[0].id, score.prompt[0]);
  for (size_t i = 0; i < 90; ++i) {
    const PromptToken& token = scored->prompt[60 + i];
    EXPECT_EQ(token.id, answer->answers[0].ids[i]);
    EXPECT_EQ(token.log_prob, answer->answers[0].log_probs[i]);
    ASSERT_EQ(token.top.size(), 2u);
    EXPECT_EQ(token.top[1].id, answer->answers[0].tokens[i].sampled.top[1].id);
  }
}

TEST_F(EngineTest, TheLoopGuardEndsSureAnswers) {
  Engine engine(tiny.model, tiny.threads, {.context = 512});
  Request request = request_of(random_ids(rng, 60), 90);
  request.loop_guard = {.tokens = 7, .probability = 0.0f};
  const auto looping = submit(engine, request);
  request.loop_guard.probability = 0.999f;  // random weights are never that sure
  const auto free = submit(engine, request);
  engine.run();
  EXPECT_EQ(looping->answers.at(0).end.reason, FinishReason::kLoop);
  EXPECT_EQ(looping->answers[0].ids.size(), 7u);
  EXPECT_EQ(free->answers.at(0).ids.size(), 90u);
  EXPECT_EQ(engine.stats().loop_guard_hits, 1);
}

TEST_F(EngineTest, WeightsMayChangeBetweenSteps) {
  Engine engine(tiny.model, tiny.threads, {.context = 512});
  const Request request = request_of(random_ids(rng, 60), 20);
  const auto before = submit(engine, request);
  engine.run();
  const auto across = submit(engine, request);
  for (int step = 0; step < 5; ++step) engine.step();
  float* head = tiny.model.lm_head.data.data<float>();
  engine.update_weights([&] { head[3] += 1; }, true);
  const auto after = submit(engine, request);
  engine.run();
  EXPECT_EQ(engine.weights_version(), 1);
  EXPECT_EQ(after->usage.cached_tokens, 0) << "states of the old weights are forgotten";
  expect_same(after->answers.at(0), expected_answer(tiny, request), "new weights");
  // One that goes on from the states of the old weights leaves nothing for others.
  const Request other = request_of(random_ids(rng, 60), 20);
  submit(engine, other);
  for (int step = 0; step < 5; ++step) engine.step();
  engine.update_weights([&] { head[3] += 1; }, false);
  engine.run();
  EXPECT_EQ(engine.stats().cached_snapshots, 0);
  const auto again = submit(engine, other);
  engine.run();
  expect_same(again->answers.at(0), expected_answer(tiny, other), "newer weights");
  EXPECT_EQ(across->answers.at(0).tokens.front().weights_version, 0);
  EXPECT_EQ(across->answers[0].tokens.back().weights_version, 1);
}

TEST_F(EngineTest, ErrorsNameFoundAndExpected) {
  Engine engine(tiny.model, tiny.threads, {.context = 100});
  const auto refused = [&](const auto& change) {
    Request request = request_of({1, 2, 3}, 4);
    change(request);
    return error_of([&] { submit(engine, request); });
  };
  EXPECT_EQ(engine.max_tokens(), 100);
  EXPECT_THAT(refused([](Request& r) { r.prompt.clear(); }), HasSubstr("the prompt is empty"));
  EXPECT_THAT(refused([](Request& r) { r.prompt.assign(100, 1); }), HasSubstr("100 tokens, the context holds 100"));
  EXPECT_THAT(refused([](Request& r) { r.prompt = {3, 97}; }), HasSubstr("prompt id 97, expected 0 to 96"));
  EXPECT_THAT(refused([](Request& r) { r.stop_ids = {-1}; }), HasSubstr("stop id -1"));
  EXPECT_THAT(refused([](Request& r) { r.sampling.top_p = 2; }), HasSubstr("top_p is 2"));
  EXPECT_THAT(refused([](Request& r) { r.n = 0; }), HasSubstr("n is 0"));
  EXPECT_THAT(refused([](Request& r) { r.n = 3, r.best_of = 2; }), HasSubstr("best_of is 2"));
  EXPECT_THAT(refused([](Request& r) { r.max_thinking_tokens = 5; }), HasSubstr("does not know how its model"));
  EXPECT_THAT(refused([](Request& r) { r.session = "s", r.use_cache = false; }), HasSubstr("session \"s\" without"));
  EXPECT_THAT(error_of([&] { Engine(tiny.model, tiny.threads, {.max_running = 600}); }),
              HasSubstr("step_tokens is 512"));
  EXPECT_THAT(error_of([&] { Engine(tiny.model, tiny.threads, {.memory_bytes = 100}); }),
              HasSubstr("memory_bytes is 100"));
  EXPECT_FALSE(engine.step()) << "nothing of these was taken up";
}

}  // namespace
}  // namespace minimax::engine
