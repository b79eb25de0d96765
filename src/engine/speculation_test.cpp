#include "engine/sampling/prompt_lookup.h"
#include "engine/test_engine.h"

namespace minimax::engine {
namespace {

using test::expect_same;
using test::expected_answer;
using test::random_ids;
using test::request_of;
using test::submit;
using test::TinyModel;

using Ids = std::vector<int32_t>;

TEST(PromptLookup, GuessesWhatFollowedBefore) {
  PromptLookup lookup(2, 4);
  Ids ids = {1, 2, 3, 4, 5, 9, 2, 3};
  EXPECT_EQ(lookup.guess(ids, 3), (Ids{4, 5, 9}));
  EXPECT_EQ(lookup.guess(ids, 10), (Ids{4, 5, 9, 2, 3, 4, 5, 9, 2, 3}));
  EXPECT_EQ(lookup.guess(ids, 0), Ids{});
  ids.push_back(7);
  EXPECT_EQ(lookup.guess(ids, 3), Ids{}) << "3 7 is new";
  ids.insert(ids.end(), {2, 3});
  EXPECT_EQ(lookup.guess(ids, 2), (Ids{7, 2})) << "the latest of equal matches";
  ids.insert(ids.end(), {8, 1, 2, 3});
  EXPECT_EQ(lookup.guess(ids, 2), (Ids{4, 5})) << "the longest match";
  EXPECT_EQ(PromptLookup(3, 3).guess(Ids{1, 2}, 4), Ids{});
  EXPECT_EQ(PromptLookup(1, 3).guess(Ids{6, 6, 6}, 4), (Ids{6, 6, 6, 6}));
}

class SpeculationTest : public testing::Test {
 protected:
  EngineOptions options(int64_t drafts) {
    return {.context = 1000, .speculation = {.max_drafts = drafts, .min_match = 2, .max_match = 5}};
  }
  /// A text that repeats itself, and goes on repeating itself when the model likes what it has seen.
  Request repetitive(double temperature) {
    Request request = request_of({}, 150);
    const Ids phrase = random_ids(rng, 12);
    for (int i = 0; i < 8; ++i) request.prompt.insert(request.prompt.end(), phrase.begin(), phrase.end());
    request.sampling.temperature = static_cast<float>(temperature);
    request.sampling.seed = rng.next_u64();
    for (const int32_t id : phrase) request.sampling.logit_bias.emplace_back(id, 1.0f);
    std::sort(request.sampling.logit_bias.begin(), request.sampling.logit_bias.end());
    const auto last = std::unique(request.sampling.logit_bias.begin(), request.sampling.logit_bias.end());
    request.sampling.logit_bias.erase(last, request.sampling.logit_bias.end());
    return request;
  }

  TinyModel tiny;
  Rng rng{3};
};

TEST_F(SpeculationTest, ChangesNoTokenAndNoLogProb) {
  int64_t accepted = 0;
  for (const int64_t drafts : {1, 4, 16, 80}) {
    Engine engine(tiny.model, tiny.threads, options(drafts));
    std::vector<std::pair<Request, std::shared_ptr<Collector>>> all;
    for (int i = 0; i < 6; ++i) {
      const Request request = repetitive(i % 2 ? 0.7 : 0.0);
      all.emplace_back(request, submit(engine, request));
    }
    engine.run();
    for (const auto& [request, got] : all) {
      expect_same(got->answers.at(0), expected_answer(tiny, request), cat(drafts, " drafts"));
      accepted += got->usage.accepted_tokens;
      EXPECT_GE(got->usage.drafted_tokens, got->usage.accepted_tokens);
    }
    EXPECT_GT(engine.stats().drafted_tokens, engine.stats().accepted_tokens) << "some guesses are wrong";
    test::expect_all_free(engine);
  }
  EXPECT_GT(accepted, 100);
}

TEST_F(SpeculationTest, SavesSteps) {
  Request request = repetitive(0);
  request.sampling.logit_bias.clear();
  // A model that cannot but repeat: whatever it says, the bias decides.
  request.prompt = {1, 2, 1, 2, 1, 2};
  request.sampling.logit_bias = {{7, 100.0f}};
  Engine plain(tiny.model, tiny.threads, options(0)), quick(tiny.model, tiny.threads, options(8));
  const auto slow = submit(plain, request), fast = submit(quick, request);
  plain.run();
  quick.run();
  EXPECT_EQ(slow->answers.at(0).ids, fast->answers.at(0).ids);
  EXPECT_LT(quick.stats().steps * 3, plain.stats().steps);
  EXPECT_GT(fast->usage.accepted_tokens, 100);
  request.speculate = false;
  EXPECT_EQ(submit(quick, request)->usage.drafted_tokens, 0);
  const auto off = submit(quick, request);
  quick.run();
  EXPECT_EQ(off->usage.drafted_tokens, 0);
}

// Stops, limits, listeners, and what is cached afterwards, in the middle of accepted guesses.
TEST_F(SpeculationTest, EndsAnywhereWithTheRightState) {
  struct Stops : Collector {
    explicit Stops(int64_t at) : last(at) {}
    FinishReason on_token(const Token& token) override {
      Collector::on_token(token);
      return token.index == last ? FinishReason::kStopString : FinishReason::kNone;
    }
    int64_t last;
  };
  Engine engine(tiny.model, tiny.threads, options(16));
  for (int64_t tokens = 1; tokens < 80; tokens += 3) {
    SCOPED_TRACE(tokens);
    Request request = repetitive(0);
    request.prompt.resize(70);
    request.sampling.logit_bias = {{7, 100.0f}};
    request.max_tokens = tokens;
    const auto got = submit(engine, request);
    Request stopped = request;
    stopped.max_tokens = 200;
    const auto listener = std::make_shared<Stops>(tokens - 1);
    engine.submit(stopped, listener);
    engine.run();
    EXPECT_EQ(static_cast<int64_t>(got->answers.at(0).ids.size()), tokens);
    EXPECT_EQ(listener->answers.at(0).ids, got->answers[0].ids);
    // The state that was left serves the next turn.
    Request next = request;
    next.prompt.insert(next.prompt.end(), got->answers[0].ids.begin(), got->answers[0].ids.end());
    next.prompt.push_back(3);
    next.max_tokens = 5;
    next.sampling.logit_bias.clear();
    const auto after = submit(engine, next);
    engine.run();
    EXPECT_EQ(after->usage.cached_tokens, 70 + tokens - 1);
    expect_same(after->answers.at(0), expected_answer(tiny, next), "next turn");
  }
}

}  // namespace
}  // namespace minimax::engine
