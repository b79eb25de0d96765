#include "engine/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "model/load.h"

namespace minimax::engine {
namespace {

using testing::HasSubstr;

class GenerateTest : public testing::Test {
 protected:
  Generator generator(int64_t context = 512) {
    return Generator(model, threads, {.context = context, .prefill_chunk = 50});
  }
  static GenerateOptions greedy(int64_t max_tokens) {
    return {.sampling = {.temperature = 0}, .max_tokens = max_tokens};
  }
  template <typename Action>
  static std::string message(Action action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  MiniMaxM1 model = load_model(std::filesystem::path(MINIMAX_TESTDATA) / "golden" / "m1-tiny");
  ThreadPool threads{2};
  std::vector<int32_t> prompt = [] {
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < 130; ++i) ids.push_back((i * 37 + 11) % 160);
    return ids;
  }();
};

TEST_F(GenerateTest, SeededAnswersRepeatAndSeedsDiffer) {
  GenerateOptions options{.sampling = {.seed = 7}, .max_tokens = 20};
  const std::vector<int32_t> first = generator().generate(prompt, options).ids;
  EXPECT_EQ(first.size(), 20u);
  EXPECT_EQ(generator().generate(prompt, options).ids, first);
  options.sampling.seed = 8;
  EXPECT_NE(generator().generate(prompt, options).ids, first);
}

// The next turn of a conversation, with the last answer in it and without: same bits as a cold run, little computed.
TEST_F(GenerateTest, ReusedPrefixesGiveTheBitsOfAColdRun) {
  Generator warm = generator();
  const GenerateResult first = warm.generate(prompt, greedy(12));
  EXPECT_EQ(first.cached_tokens, 0);

  std::vector<int32_t> with_answer = prompt;
  with_answer.insert(with_answer.end(), first.ids.begin(), first.ids.end());
  with_answer.insert(with_answer.end(), {5, 6, 7});
  std::vector<int32_t> another_answer = prompt;
  another_answer.insert(another_answer.end(), {9, 8, 7, 6});

  for (const std::vector<int32_t>& next : {with_answer, another_answer, prompt}) {
    SCOPED_TRACE(next.size());
    const GenerateResult cold = generator().generate(next, greedy(12));
    const GenerateResult reused = warm.generate(next, greedy(12));
    EXPECT_EQ(reused.ids, cold.ids);
    EXPECT_EQ(std::memcmp(reused.log_probs.data(), cold.log_probs.data(), cold.log_probs.size() * sizeof(float)), 0);
  }
}

TEST_F(GenerateTest, CountsCachedTokens) {
  Generator warm = generator();
  const GenerateResult first = warm.generate(prompt, greedy(12));
  std::vector<int32_t> next = prompt;
  next.insert(next.end(), first.ids.begin(), first.ids.end());
  // The last token of an answer is sampled, not yet run through the model.
  next.push_back(5);
  EXPECT_EQ(warm.generate(next, greedy(3)).cached_tokens, 130 + 11);
  // Another last token.
  next.back() = 6;
  EXPECT_EQ(warm.generate(next, greedy(3)).cached_tokens, 130 + 11);
  // The same prompt again: all of it.
  EXPECT_EQ(warm.generate(next, greedy(3)).cached_tokens, 130 + 13);
  // Something else.
  next.front() = 0;
  EXPECT_EQ(warm.generate(next, greedy(3)).cached_tokens, 0);
}

TEST_F(GenerateTest, EndsForTheRightReason) {
  Generator g = generator();
  const std::vector<int32_t> ids = g.generate(prompt, greedy(6)).ids;
  EXPECT_EQ(g.generate(prompt, greedy(6)).finish, FinishReason::kLength);
  EXPECT_TRUE(g.generate(prompt, greedy(0)).ids.empty());

  GenerateOptions stops = greedy(6);
  stops.stop_ids = {ids[3]};
  const GenerateResult stopped = g.generate(prompt, stops);
  EXPECT_EQ(stopped.finish, FinishReason::kStopToken);
  EXPECT_EQ(stopped.ids.back(), ids[3]);

  int seen = 0;
  const GenerateResult cancelled = g.generate(prompt, greedy(6), [&](const Sampled&) { return ++seen < 2; });
  EXPECT_EQ(cancelled.finish, FinishReason::kCancelled);
  EXPECT_EQ(cancelled.ids.size(), 2u);

  std::vector<int32_t> other(prompt.rbegin(), prompt.rend());
  const GenerateResult early = g.generate(other, greedy(6), {}, [](int64_t, int64_t) { return false; });
  EXPECT_EQ(early.finish, FinishReason::kCancelled);
  EXPECT_TRUE(early.ids.empty());
  EXPECT_EQ(g.generate(prompt, greedy(6)).ids, ids) << "after a cancelled prefill";
}

TEST_F(GenerateTest, StopsAtTheEndOfTheContext) {
  const GenerateResult result = generator(140).generate(prompt, {.sampling = {.temperature = 0}});
  EXPECT_EQ(result.ids.size(), 10u);
  EXPECT_EQ(result.finish, FinishReason::kLength);
}

TEST_F(GenerateTest, NeverChoosesBannedOrDeadIds) {
  Generator g = generator();
  const std::vector<int32_t> free_ids = g.generate(prompt, greedy(6)).ids;
  GenerateOptions options = greedy(6);
  options.banned = {free_ids[0], free_ids[1]};
  for (const int32_t id : g.generate(prompt, options).ids)
    EXPECT_THAT(options.banned, testing::Not(testing::Contains(id)));
}

// A zero row of the head gives logit 0, which beats logits that are all negative.
TEST_F(GenerateTest, DeadIdsAreFoundAndNeverSampled) {
  const Tensor head = to_float32(model.lm_head.data);
  const int64_t hidden = model.config.hidden;
  std::fill_n(head.data<float>() + 40 * hidden, hidden, 0.0f);
  const Tensor embedding = to_float32(model.embed_tokens.data);
  std::fill_n(embedding.data<float>() + 41 * hidden, hidden, 0.0f);
  model.lm_head = {head};
  model.embed_tokens = {embedding};
  EXPECT_EQ(model.dead_ids(), (std::vector<int32_t>{40, 41}));

  // All other rows point away from the last hidden state: their logits are negative.
  Arena arena;
  Context ctx{.arena = &arena, .threads = &threads};
  const Tensor tokens = Tensor::from(std::span<const int32_t>(prompt), {130});
  std::vector<int32_t> places(130), ends = {0, 130};
  for (int32_t i = 0; i < 130; ++i) places[i] = i;
  const Batch batch{.tokens = tokens,
                    .positions = Tensor::from(std::span<const int32_t>(places), {130}),
                    .cu_seqlens = Tensor::from(std::span<const int32_t>(ends), {2})};
  const Tensor x = model.hidden(ctx, batch, {}).rows(129, 130);
  for (int64_t id = 0; id < model.config.vocab; ++id)
    if (id != 40)
      for (int64_t d = 0; d < hidden; ++d)
        head.data<float>()[id * hidden + d] = -x.data<float>()[d] * (1.0f + static_cast<float>(id) / 1000.0f);
  EXPECT_EQ(generator().generate(prompt, greedy(1)).ids, std::vector<int32_t>{0});
}

TEST_F(GenerateTest, ErrorsNameFoundAndExpected) {
  Generator g = generator(100);
  EXPECT_THAT(message([&] { g.generate({}, greedy(1)); }), HasSubstr("the prompt is empty"));
  EXPECT_THAT(message([&] { g.generate(prompt, greedy(1)); }), HasSubstr("130 tokens, the context holds 100"));
  EXPECT_THAT(message([&] { g.generate(std::vector<int32_t>{3, 160}, greedy(1)); }),
              HasSubstr("prompt id 160, expected 0 to 159"));
  EXPECT_EQ(g.generate(std::vector<int32_t>{3, 4}, greedy(2)).ids.size(), 2u) << "still usable";
}

}  // namespace
}  // namespace minimax::engine
