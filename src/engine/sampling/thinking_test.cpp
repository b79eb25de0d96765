#include "engine/sampling/thinking.h"

#include <gmock/gmock.h>

#include "engine/sampling/token_chooser.h"
#include "engine/test_engine.h"

namespace minimax::engine {
namespace {

using test::expect_same;
using test::expected_answer;
using test::random_ids;
using test::request_of;
using test::submit;
using test::TinyModel;
using testing::ElementsAreArray;

/// 97 ids: the newline, the characters from the space on, and at the end a few longer tokens.
constexpr int32_t kFirstLong = 90;
const std::vector<std::string> kLong = {"<th",   "ink>\n",   "</", "x</th",
                                        "ink>{", "ink>\n\n", ""};  // the last is special

std::vector<int32_t> ids_of(std::string_view text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(c == '\n' ? 0 : c - ' ' + 1);
  return ids;
}

/// The tokens of the test's little vocabulary.
std::shared_ptr<const ThinkingFormat> format() {
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> all = {"\n"};
    for (int32_t id = 1; id < kFirstLong; ++id) all.push_back(std::string(1, static_cast<char>(' ' + id - 1)));
    all.insert(all.end(), kLong.begin(), kLong.end());
    return all;
  }();
  auto made = std::make_shared<ThinkingFormat>();
  made->bytes = [](int32_t id) { return std::string_view(texts[static_cast<size_t>(id)]); };
  made->open_ids = ids_of(made->open + "\n");
  made->skip_ids = ids_of("<think>\n\n</think>\n\n");
  for (size_t written = 0; written < made->close.size(); ++written)
    made->close_ids.push_back(ids_of((written ? "" : "\n") + made->close.substr(written) + "\n\n"));
  made->overshoot.resize(made->close.size());
  made->overshoot[4] = {kFirstLong + 4};
  return made;
}

/// Characters by their ids; digits 0 to 5 after a backslash are the long tokens.
ThinkingTracker tracked(const std::string& text, bool opened = false) {
  static const auto shared = format();
  ThinkingTracker tracker(*shared, opened);
  for (size_t i = 0; i < text.size(); ++i)
    tracker.accept(text[i] == '\\' ? kFirstLong + text[++i] - '0' : ids_of(text.substr(i, 1))[0]);
  return tracker;
}

TEST(ThinkingTracker, FindsTheTagsWhereverTokensEnd) {
  using State = ThinkingTracker::State;
  EXPECT_EQ(tracked("").state(), State::kStart);
  EXPECT_EQ(tracked(" \n<thi").state(), State::kStart);
  EXPECT_EQ(tracked("<think>").state(), State::kThinking);
  EXPECT_EQ(tracked("\\0\\1").state(), State::kThinking) << "<th ink>\\n";
  EXPECT_EQ(tracked("<thank>").state(), State::kAnswer);
  EXPECT_EQ(tracked("\\6<think>").state(), State::kAnswer) << "a special token is no text";
  EXPECT_EQ(tracked("Hi <think>").state(), State::kAnswer);
  EXPECT_EQ(tracked("<think>a</thinb</think").state(), State::kThinking);
  EXPECT_EQ(tracked("<think>a</thinb</think>").state(), State::kAnswer);
  EXPECT_EQ(tracked("a<</think>", true).state(), State::kAnswer) << "a tag that begins in what looked like one";
  EXPECT_EQ(tracked("a\\3\\4", true).state(), State::kAnswer) << "x</th ink>{";
}

TEST(ThinkingTracker, CountsTokensBetweenTheTags) {
  EXPECT_EQ(tracked("<think>").tokens(), 0);
  EXPECT_EQ(tracked("<think>abc").tokens(), 3);
  EXPECT_EQ(tracked("<think>abc</think>").tokens(), 3);
  EXPECT_EQ(tracked("<think>abc</think>and more").tokens(), 3);
  EXPECT_EQ(tracked("<think>abc</").tokens(), 5) << "no tag yet";
  EXPECT_EQ(tracked("<think>a<</think>").tokens(), 2);
  EXPECT_EQ(tracked("\\0\\1ab\\2think>").tokens(), 2);
  EXPECT_EQ(tracked("ab\\3\\5", true).tokens(), 2) << "the tag begins inside a token";
  EXPECT_EQ(tracked("</think>", true).tokens(), 0);
}

TEST(ThinkingTracker, ClosesWhereTheModelStopped) {
  EXPECT_THAT(tracked("<think>abc").closing_ids(), ElementsAreArray(ids_of("\n</think>\n\n")));
  EXPECT_THAT(tracked("<think>abc</th").closing_ids(), ElementsAreArray(ids_of("ink>\n\n")));
  EXPECT_THAT(tracked("<think>abc\\3").overshoot(), ElementsAreArray({kFirstLong + 4}));
}

class ThinkingTest : public testing::Test {
 protected:
  EngineOptions options() { return {.context = 2000, .thinking = format()}; }
  static std::string text_of(std::span<const int32_t> ids) {
    std::string text;
    for (const int32_t id : ids) text += format()->bytes(id);
    return text;
  }

  TinyModel tiny;
  Rng rng{3};
};

TEST_F(ThinkingTest, TheBudgetIsExact) {
  for (const bool speculate : {false, true}) {
    EngineOptions with = options();
    if (speculate) with.speculation.max_drafts = 5;
    Engine engine(tiny.model, tiny.threads, with);
    for (const int64_t budget : {1, 7, 50, 63, 64, 65}) {
      SCOPED_TRACE(budget);
      Request request = request_of(random_ids(rng, 60), budget + 30);
      request.sampling.seed = static_cast<uint64_t>(budget);
      request.prompt_opens_thinking = true;
      request.max_thinking_tokens = budget;
      request.banned = {ids_of("<")[0], kFirstLong, kFirstLong + 2, kFirstLong + 3};  // nothing that may become a tag
      const auto got = submit(engine, request);
      engine.run();
      const Collector::Answer& answer = got->answers.at(0);
      const std::vector<int32_t> tag = ids_of("\n</think>\n\n");
      ASSERT_EQ(static_cast<int64_t>(answer.ids.size()), budget + 30);
      EXPECT_EQ(answer.end.reasoning_tokens, budget);
      EXPECT_TRUE(std::equal(tag.begin(), tag.end(), answer.ids.begin() + budget));
      for (int64_t i = 0; i < budget + 30; ++i) {
        const Token& token = answer.tokens[static_cast<size_t>(i)];
        EXPECT_EQ(token.forced, i >= budget && i < budget + static_cast<int64_t>(tag.size())) << i;
        EXPECT_EQ(token.thinking, i < budget + static_cast<int64_t>(tag.size()) - 2) << i;
      }
      // What was free is what would have been chosen, and every token has the log-prob that the model gives it.
      Request free = request;
      free.max_tokens = budget;
      const auto expected = expected_answer(tiny, free);
      EXPECT_TRUE(std::equal(expected.ids.begin(), expected.ids.end(), answer.ids.begin()));
      Request score = request;
      score.prompt.insert(score.prompt.end(), answer.ids.begin(), answer.ids.end());
      score.max_tokens = 0;
      score.max_thinking_tokens = -1;
      score.prompt_logprobs = 0;
      const auto scored = submit(engine, score);
      engine.run();
      for (size_t i = 0; i < answer.ids.size(); ++i)
        EXPECT_EQ(scored->prompt[60 + i].log_prob, answer.log_probs[i]) << i;
    }
    EXPECT_EQ(engine.stats().thinking_budget_hits, 6);
  }
}

TEST_F(ThinkingTest, ZeroMeansNoThinking) {
  Engine engine(tiny.model, tiny.threads, options());
  Request request = request_of(random_ids(rng, 60), 40);
  request.max_thinking_tokens = 0;
  const auto got = submit(engine, request);
  request.prompt_opens_thinking = true;
  const auto opened = submit(engine, request);
  engine.run();
  EXPECT_EQ(text_of(got->answers.at(0).ids).rfind("<think>\n\n</think>\n\n", 0), 0u);
  EXPECT_EQ(got->answers[0].ids.size(), 40u);
  EXPECT_EQ(text_of(opened->answers.at(0).ids).rfind("\n</think>\n\n", 0), 0u);
}

TEST_F(ThinkingTest, ARunningRequestEndsItsThinking) {
  Engine engine(tiny.model, tiny.threads, options());
  Request request = request_of(random_ids(rng, 60), 100);
  request.prompt_opens_thinking = true;
  const auto listener = std::make_shared<Collector>();
  const RequestId id = engine.submit(request, listener);
  for (int step = 0; step < 10; ++step) engine.step();
  const auto tokens = static_cast<int64_t>(listener->answers.at(0).ids.size());
  EXPECT_TRUE(engine.end_thinking(id));
  EXPECT_FALSE(engine.end_thinking(id + 1));
  engine.run();
  EXPECT_EQ(text_of(listener->answers[0].ids).find("\n</think>\n\n"),
            text_of(std::span(listener->answers[0].ids).first(static_cast<size_t>(tokens))).size());
  EXPECT_EQ(listener->answers[0].ids.size(), 100u);
}

/// Allows the letters of a word one after the other, then ends the answer.
class Spell : public TokenControl {
 public:
  explicit Spell(std::string word, bool force = false) : word_(ids_of(word)), force_(force) {}
  std::optional<int32_t> forced() override { return force_ ? std::optional(word_[place_]) : std::nullopt; }
  std::span<const uint64_t> allowed() override {
    mask_.assign(2, 0);
    mask_[static_cast<size_t>(word_[place_] / 64)] |= uint64_t{1} << (word_[place_] % 64);
    return mask_;
  }
  void accept(int32_t id) override {
    EXPECT_EQ(id, word_[place_]);
    ++place_;
  }
  bool finished() const override { return place_ == word_.size(); }
  std::unique_ptr<TokenControl> clone() const override { return std::make_unique<Spell>(*this); }

 private:
  std::vector<int32_t> word_;
  bool force_;
  size_t place_ = 0;
  std::vector<uint64_t> mask_;
};

TEST_F(ThinkingTest, AConstraintRulesTheAnswerAndNotTheThinking) {
  Engine engine(tiny.model, tiny.threads, options());
  for (const bool force : {false, true}) {
    for (const int64_t budget : {0, 1, 20}) {
      for (const bool opened : {false, true}) {
        SCOPED_TRACE(testing::Message() << force << budget << opened);
        Request request = request_of(random_ids(rng, 60), 100);
        request.constraint = std::make_shared<Spell>("Paris", force);
        request.max_thinking_tokens = budget;
        request.prompt_opens_thinking = opened;
        request.stop_ids = ids_of("0123456789ABCDEFGHIJKLMNOQRSTUVWXYZ");       // none of them may end the thinking
        if (!opened) request.sampling.logit_bias = {{ids_of("<")[0], 100.0f}};  // wants to think
        const auto got = submit(engine, request);
        engine.run();
        const std::string text = text_of(got->answers.at(0).ids);
        EXPECT_EQ(got->answers[0].end.reason, FinishReason::kStopToken);
        EXPECT_TRUE(text.size() > 5 && text.ends_with("</think>\n\nParis")) << text;
        EXPECT_EQ(text.starts_with("<think>"), !opened);
      }
    }
    Request request = request_of(random_ids(rng, 60), 100);
    request.constraint = std::make_shared<Spell>("Paris", force);
    request.sampling.logit_bias = {{ids_of("<")[0], -100.0f}};  // does not want to
    const auto got = submit(engine, request);
    engine.run();
    EXPECT_EQ(text_of(got->answers.at(0).ids), "Paris");
    EXPECT_EQ(got->answers[0].tokens[2].forced, force);
  }
}

TEST(ThinkingFormat, OfATokenizer) {
  const auto tokenizer = text::Tokenizer::load(std::filesystem::path(MINIMAX_TESTDATA) / "tokenizer");
  const ThinkingFormat format = thinking_format(tokenizer);
  EXPECT_THAT(format.open_ids, ElementsAreArray({60, 37959, 1100}));  // "<think>\n", docs/chat_format.md
  EXPECT_EQ(tokenizer.decode(format.skip_ids), "<think>\n\n</think>\n\n");
  ASSERT_EQ(format.close_ids.size(), 8u);
  for (size_t written = 0; written < 8; ++written) {
    SCOPED_TRACE(written);
    ThinkingTracker tracker(format, true);
    for (const int32_t id : tokenizer.encode("2 + 2 = 4." + format.close.substr(0, written))) tracker.accept(id);
    const auto closing = tracker.closing_ids();
    EXPECT_EQ(tokenizer.decode(closing), (written ? "" : "\n") + format.close.substr(written) + "\n\n");
    for (const int32_t id : closing) tracker.accept(id, true);
    EXPECT_EQ(tracker.state(), ThinkingTracker::State::kAnswer);
    for (const int32_t id : format.overshoot[written])
      EXPECT_NE(tokenizer.decode(std::vector<int32_t>{id}).find(format.close.substr(written)), std::string::npos);
  }
  EXPECT_FALSE(format.overshoot[7].empty()) << "there are tokens like \">(\"";
}

}  // namespace
}  // namespace minimax::engine
