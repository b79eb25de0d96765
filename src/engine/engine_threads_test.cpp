// The engine with a thread of its own, and many others that ask it for things. ThreadSanitizer runs these.
#include <atomic>
#include <chrono>
#include <thread>

#include "engine/test_engine.h"
#include "io/test_folder.h"

namespace minimax::engine {
namespace {

using test::expect_same;
using test::expected_answer;
using test::random_ids;
using test::request_of;
using test::TinyModel;

TEST(EngineThreads, ManyCallersGetTheirBits) {
  TinyModel tiny(2);
  EngineOptions options{.context = 300, .max_running = 4, .max_waiting = 8, .step_tokens = 60};
  options.speculation.max_drafts = 3;
  options.memory_bytes = 12 * StateCache::state_bytes_per_sequence(tiny.model.config) +
                         20 * kChunk * StateCache::kv_bytes_per_token(tiny.model.config);
  Engine engine(tiny.model, tiny.threads, options);
  engine.start();
  engine.start();

  constexpr int kCallers = 4, kRequests = 6;
  std::vector<std::vector<std::pair<Request, std::shared_ptr<Collector>>>> kept(kCallers);
  std::atomic<bool> over = false;
  std::vector<std::thread> threads;
  for (int caller = 0; caller < kCallers; ++caller)
    threads.emplace_back([&, caller] {
      Rng rng(static_cast<uint64_t>(caller));
      for (int i = 0; i < kRequests; ++i) {
        Request request = request_of(random_ids(rng, 1 + static_cast<int64_t>(rng.below(150))), 12);
        request.sampling.seed = rng.next_u64();
        request.priority = static_cast<int64_t>(rng.below(2));
        const auto listener = std::make_shared<Collector>();
        for (bool sent = false; !sent;) {
          try {
            const RequestId id = engine.submit(request, listener);
            sent = true;
            if (rng.below(4) == 0)
              engine.cancel(id);
            else
              kept[static_cast<size_t>(caller)].emplace_back(request, listener);
            engine.end_thinking(id);
          } catch (const QueueFull&) {
            std::this_thread::yield();
          }
        }
        if (rng.below(2)) listener->wait();
      }
    });
  std::thread watcher([&] {
    minimax::test::Folder folder;
    while (!over) {
      const EngineStats stats = engine.stats();
      EXPECT_LE(stats.memory_bytes, stats.memory_limit_bytes);
      engine.clear_cache();
      Request request = request_of({1, 2, 3}, 2);
      request.session = "watched";
      const auto listener = std::make_shared<Collector>();
      try {
        engine.submit(request, listener);
        listener->wait();
        engine.save_session("watched", folder / "session");
        engine.load_session(folder / "session");
      } catch (const Error& error) {
        EXPECT_NE(error.kind(), ErrorKind::kInternal) << error.what();
      }
      engine.update_weights([] {}, stats.steps % 2 == 0);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  for (std::thread& thread : threads) thread.join();
  for (const auto& requests : kept)
    for (const auto& [request, listener] : requests) listener->wait();
  over = true;
  watcher.join();
  engine.stop();
  for (const auto& requests : kept)
    for (const auto& [request, listener] : requests)
      expect_same(listener->answers.at(0), expected_answer(tiny, request), "answer");
  test::expect_all_free(engine);
}

/// Takes a tenth of a second for each token after the first ones until it is told to hurry: what is to last while
/// another thread does something lasts for minutes.
struct Lasting : Collector {
  FinishReason on_token(const Token& token) override {
    if (token.index > 10 && !hurry) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return Collector::on_token(token);
  }
  std::atomic<bool> hurry = false;
};

TEST(EngineThreads, StopsAndStartsAgain) {
  TinyModel tiny(1);
  Engine engine(tiny.model, tiny.threads, {.context = 2000});
  Rng rng(1);
  const Request request = request_of(random_ids(rng, 100), 1500);
  const auto listener = std::make_shared<Lasting>();
  engine.submit(request, listener);
  engine.start();
  while (engine.stats().generated_tokens < 10) std::this_thread::yield();
  engine.stop();
  const int64_t tokens = engine.stats().generated_tokens;
  EXPECT_FALSE(listener->done());
  EXPECT_EQ(engine.stats().generated_tokens, tokens);
  listener->hurry = true;
  engine.start();
  listener->wait();
  engine.stop();
  expect_same(listener->answers.at(0), expected_answer(tiny, request), "after a pause");
}

TEST(EngineThreads, WhatRunsAtTheEndIsCancelled) {
  TinyModel tiny(1);
  Rng rng(1);
  const std::shared_ptr<Collector> running = std::make_shared<Lasting>(), waiting = std::make_shared<Collector>();
  {
    Engine engine(tiny.model, tiny.threads, {.context = 100000, .max_running = 1});
    engine.start();
    engine.submit(request_of(random_ids(rng, 100), 90000), running);
    engine.submit(request_of(random_ids(rng, 100), 90000), waiting);
    while (engine.stats().generated_tokens < 3) std::this_thread::yield();
  }
  for (const auto& listener : {running, waiting}) {
    ASSERT_TRUE(listener->done());
    EXPECT_EQ(listener->answers.at(0).end.reason, FinishReason::kCancelled);
  }
}

}  // namespace
}  // namespace minimax::engine
