// Rollouts, rewards and the curriculum.
#include "rl/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "io/atomic_file.h"
#include "io/test_folder.h"
#include "rl/curriculum.h"
#include "rl/reward.h"
#include "rl/tasks/task.h"
#include "rl/test_policy.h"
#include "text/chat_encode.h"

namespace minimax::rl {
namespace {

using test::Policy;
using testing::HasSubstr;

std::vector<Problem> some_problems(int64_t count) {
  Curriculum curriculum(test::additions());
  std::vector<Problem> problems;
  for (int64_t i = 0; i < count; ++i) problems.push_back(curriculum.next());
  return problems;
}

TEST(Rollout, DependsOnRoundAndSeedAndNotOnCompany) {
  Policy policy;
  const std::vector<Problem> problems = some_problems(3);
  RolloutOptions options{.group_size = 3, .window = 9};
  const auto ids = [&](std::span<const Problem> of, int64_t round) {
    std::vector<std::vector<int32_t>> out;
    for (const Group& group : roll_out(policy.engine, policy.tokenizer, of, options, round))
      for (const Sample& sample : group.samples) out.push_back(sample.tokens);
    return out;
  };
  const auto all = ids(problems, 0);
  EXPECT_EQ(ids(problems, 0), all);
  EXPECT_NE(ids(problems, 1), all);
  EXPECT_EQ(std::set(all.begin(), all.end()).size(), 9u);
  const auto first = ids(std::span(problems).first(1), 0);
  EXPECT_EQ(first, (std::vector(all.begin(), all.begin() + 3)));
}

TEST(Rollout, KeepsWhatWasSampledTokenForToken) {
  Policy policy;
  const std::vector<Problem> problems = some_problems(2);
  RolloutReport report;
  const auto groups = roll_out(policy.engine, policy.tokenizer, problems, {.group_size = 2, .window = 7}, 0, &report);
  for (const Group& group : groups) {
    const std::vector<int32_t> prompt = encode_prompt(group.problem, policy.tokenizer, {});
    for (const Sample& sample : group.samples) {
      ASSERT_EQ(sample.tokens.size(), sample.sampled.size());
      ASSERT_EQ(sample.tokens.size(), sample.log_probs.size());
      EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), sample.tokens.begin()));
      for (size_t token = 0; token < sample.tokens.size(); ++token) {
        EXPECT_EQ(sample.sampled[token], token >= prompt.size());
        EXPECT_EQ(sample.log_probs[token] < 0, token >= prompt.size());
      }
      EXPECT_LE(sample.sampled_tokens(), 7);
      EXPECT_EQ(sample.cut_off(), sample.tokens.back() != *policy.tokenizer.eos_id());
      EXPECT_EQ(sample.score.score, 0);  // an untrained model does not add
    }
  }
  EXPECT_EQ(report.sampled_tokens, 28);
}

// A model that says one thing for ever is stopped at exactly the token the guard names.
TEST(LadderK, LoopsAreStoppedOnTheToken) {
  Policy policy;
  // With a head of one direction the first token wins by far, whatever the state.
  std::fill_n(policy.trainable.model.norm.data<float>(), 24, 0.0f);
  policy.trainable.model.norm.data<float>()[0] = 1;
  float* head = policy.trainable.model.lm_head.data.data<float>();
  std::fill_n(head, 260 * 24, 1e-3f);
  const std::vector<Problem> problems = some_problems(1);
  RolloutOptions options{.group_size = 1, .sampling = {.temperature = 0}, .window = 3500};
  const auto run = [&](int64_t tokens, int64_t most = 3000) {
    options.loop_guard = {.tokens = tokens, .probability = 0.99f};
    Problem problem = problems[0];
    problem.limits.max_new = most;
    return roll_out(policy.engine, policy.tokenizer, std::span(&problem, 1), options, 0)[0].samples[0];
  };
  // The hidden state's first component may have either sign; one of the two rows fits it.
  head['a' * 24] = 1000;
  head['b' * 24] = -1000;
  policy.engine.clear_cache();
  const Sample stopped = run(3000);
  EXPECT_TRUE(stopped.looped());
  EXPECT_EQ(stopped.sampled_tokens(), 3000);
  EXPECT_EQ(stopped.score.score, 0);
  EXPECT_EQ(stopped.score.why, "loop");
  const Sample going_on = run(3001);
  EXPECT_FALSE(going_on.looped());
  EXPECT_TRUE(going_on.cut_off());
  const Sample one_less = run(3000, 2999);
  EXPECT_FALSE(one_less.looped());
  EXPECT_TRUE(one_less.cut_off());
}

TEST(Rollout, RepliesGoOnAsTheTemplateDoes) {
  const text::Tokenizer tokenizer = test::byte_tokenizer();
  const text::ChatOptions chat;
  std::vector<text::Message> messages = {text::text_message(text::Role::kUser, "hello")};
  const std::vector<int32_t> prompt = text::encode(text::render_chat(messages, {}, chat), tokenizer);
  const std::vector<text::Message> replies = {text::text_message(text::Role::kUser, "and now?")};
  std::vector<int32_t> got = prompt;
  for (const char c : std::string("fine")) got.push_back(static_cast<unsigned char>(c));
  got.push_back(*tokenizer.eos_id());
  const std::vector<int32_t> more = encode_replies(replies, false, tokenizer, chat);
  got.insert(got.end(), more.begin(), more.end());
  messages.push_back(text::text_message(text::Role::kAssistant, "fine"));
  messages.push_back(replies[0]);
  EXPECT_EQ(got, text::encode(text::render_chat(messages, {}, chat), tokenizer));
}

TEST(LadderL, OverlongPenalty) {
  // Window 100, soft 20.
  for (const auto& [tokens, penalty] : std::initializer_list<std::pair<int64_t, double>>{
           {0, 0}, {79, 0}, {80, 0}, {81, -0.05}, {90, -0.5}, {95, -0.75}, {100, -1}, {101, -1}, {1000, -1}})
    EXPECT_DOUBLE_EQ(overlong_penalty(tokens, 100, 20), penalty) << tokens;
  EXPECT_EQ(overlong_penalty(1000, 100, 0), 0);
  EXPECT_DOUBLE_EQ(overlong_penalty(18432, 20480, 4096), -0.5);
}

TEST(Reward, AddsItsTerms) {
  std::vector<Group> groups(1);
  groups[0].samples.resize(4);
  groups[0].samples[0].score = {.score = 1.0, .correct = true, .format_ok = true};
  groups[0].samples[1].score = {.score = 0.0, .format_ok = true};
  groups[0].samples[2].score = {.score = 0.0};
  for (Sample& sample : groups[0].samples) sample.sampled.assign(9, 1);
  set_rewards(groups, {.format = 0.1, .overlong_tokens = 2, .overlong_weight = 0.5, .wrong = -1}, 10);
  EXPECT_DOUBLE_EQ(groups[0].samples[0].reward, 1 + 0.1 - 0.25);
  EXPECT_DOUBLE_EQ(groups[0].samples[1].reward, -1 + 0.1 - 0.25);
  EXPECT_DOUBLE_EQ(groups[0].samples[2].reward, -1 - 0.25);
  EXPECT_TRUE(std::isnan(groups[0].samples[3].reward));  // nobody could score it
  EXPECT_FALSE(groups[0].flat());
  EXPECT_DOUBLE_EQ(groups[0].pass_rate(), 1.0 / 3);
}

TEST(Curriculum, ClimbsAndComesDown) {
  Curriculum curriculum({.tasks = {{.task = "sorting", .least_level = 1, .most_level = 3}}});
  const auto report = [&](double rate, int groups) {
    for (int i = 0; i < groups; ++i) {
      Problem problem = curriculum.next();
      problem.level = curriculum.level("sorting");  // of the present level
      curriculum.report(problem, rate, 16);
    }
  };
  report(0.95, 12);
  EXPECT_EQ(curriculum.level("sorting"), 1);  // 192 attempts are not enough to judge
  report(0.95, 1);
  EXPECT_EQ(curriculum.level("sorting"), 2);
  report(0.5, 30);
  EXPECT_EQ(curriculum.level("sorting"), 2);
  report(0.0, 80);
  EXPECT_EQ(curriculum.level("sorting"), 1);
  report(1.0, 100);
  EXPECT_EQ(curriculum.level("sorting"), 3);  // and not beyond most_level
}

TEST(Curriculum, GoesOnFromItsState) {
  const minimax::test::Folder folder;
  std::string lines;
  for (uint64_t seed = 0; seed < 5; ++seed)
    lines += io::write_json(to_json(make_problem(tasks()[3], 1, seed, Split::kTrain).problem)) + "\n";
  io::write_file(folder / "mine.jsonl", lines);
  const CurriculumOptions options{.tasks = {{.task = "caesar"}, {.task = "maze", .weight = 2}},
                                  .files = {{.path = folder / "mine.jsonl"}}};
  Curriculum curriculum(options);
  std::map<std::string, int> counts;
  for (int i = 0; i < 400; ++i) ++counts[curriculum.next().task];
  EXPECT_GT(counts["maze"], 150);
  EXPECT_GT(counts["boolean"], 60);
  const std::string state = io::write_json(curriculum.state());
  Curriculum other(options);
  const io::json::value parsed = io::parse_json(state, "state");
  other.restore(io::JsonField(parsed, "state"));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(other.next().id, curriculum.next().id);
}

TEST(Curriculum, NamesWhatIsWrong) {
  EXPECT_THAT(minimax::test::error_of([] { Curriculum({.tasks = {{.task = "chess"}}}); }), HasSubstr("\"chess\""));
  EXPECT_THAT(minimax::test::error_of([] { Curriculum({.tasks = {{.task = "maze", .most_level = 7}}}); }),
              HasSubstr("levels 1 to 7"));
  EXPECT_THAT(minimax::test::error_of([] { Curriculum({}); }), HasSubstr("neither"));
  const minimax::test::Folder folder;
  io::write_file(folder / "bad.jsonl", "\n{\"messages\": 3}\n");
  EXPECT_THAT(minimax::test::error_of([&] { read_problems(folder / "bad.jsonl"); }), HasSubstr("bad.jsonl:2"));
}

}  // namespace
}  // namespace minimax::rl
