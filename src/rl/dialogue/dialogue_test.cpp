// Simulated tools, and dialogues that end as they should or earn nothing.
#include "rl/dialogue/dialogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/json.h"
#include "rl/dialogue/tools.h"
#include "rl/test_policy.h"
#include "text/chat_output_parser.h"

namespace minimax::rl {
namespace {

using testing::HasSubstr;

TEST(Tools, Answer) {
  ToolWorld world({{"store", io::json::object{{"apples", "7"}}}});
  EXPECT_EQ(world.call("calculator", R"({"expression": "37*48+12"})"), R"({"result": 1788})");
  EXPECT_EQ(world.call("calculator", R"({"expression": "1/3+1/6"})"), R"({"result": "1/2"})");
  EXPECT_EQ(world.call("convert", R"({"value": 3, "from": "km", "to": "m"})"), R"({"result": 3000})");
  EXPECT_EQ(world.call("convert", R"({"value": 90, "from": "min", "to": "h"})"), R"({"result": "3/2"})");
  EXPECT_EQ(world.call("get", R"({"key": "apples"})"), R"({"result": "7"})");
  EXPECT_EQ(world.call("set", R"({"key": "pears", "value": "9"})"), R"({"result": "stored"})");
  EXPECT_EQ(world.call("get", R"({"key": "pears"})"), R"({"result": "9"})");
  EXPECT_EQ(world.call("remove", R"({"key": "apples"})"), R"({"result": "removed"})");
  EXPECT_EQ(world.call("add_event", R"({"title": "lunch", "date": "2024-05-03", "time": "12:30", "minutes": 60})"),
            R"({"result": "added"})");
  EXPECT_EQ(world.call("list_events", R"({"date": "2024-05-03"})"), R"({"result": ["12:30 lunch 60 min"]})");
  EXPECT_EQ(io::write_json(world.state()),
            R"({"store":{"pears":"9"},"events":[{"title":"lunch","date":"2024-05-03","time":"12:30","minutes":60}]})");
}

TEST(Tools, SayWhatIsWrongAndChangeNothing) {
  ToolWorld world(io::json::object{});
  world.call("add_event", R"({"title": "lunch", "date": "2024-05-03", "time": "12:30", "minutes": 60})");
  const std::string before = io::write_json(world.state());
  for (const auto& [name, arguments, says] : std::initializer_list<std::array<const char*, 3>>{
           {"calculator", R"json({"expression": "__import__('os')"})json", "not an expression"},
           {"calculator", R"({"expression": "1/0"})", "not an expression"},
           {"calculator", "not json", "arguments"},
           {"calculator", "[]", "arguments"},
           {"convert", R"({"value": 3, "from": "km", "to": "kg"})", "no such conversion"},
           {"get", R"({"key": "apples"})", "nothing is stored"},
           {"get", R"({"key": 7})", "key"},
           {"set", R"({"key": "a"})", "value"},
           {"add_event", R"({"title": "x", "date": "2024-05-03", "time": "13:00", "minutes": 5})", "taken by lunch"},
           {"add_event", R"({"title": "x", "date": "tomorrow", "time": "13:00", "minutes": 5})", "date"},
           {"add_event", R"({"title": "x", "date": "2024-05-04", "time": "25:00", "minutes": 5})", "time"},
           {"add_event", R"({"title": "x", "date": "2024-05-04", "time": "12:00", "minutes": 0})", "minutes"},
           {"rm -rf", "{}", "no such tool"}})
    EXPECT_THAT(world.call(name, arguments), testing::AllOf(HasSubstr("error"), HasSubstr(says)));
  EXPECT_EQ(io::write_json(world.state()), before);
}

/// What a model would write for a turn of the solution.
text::ParsedOutput turn_of(const text::Message& message) {
  text::ParsedOutput turn;
  turn.tool_calls = message.tool_calls;
  for (const text::ContentPart& part : message.content) turn.content += part.text;
  return turn;
}

/// Plays the assistant's turns of a solution; `change` may alter each.
Score play(const GeneratedDialogue& made, const std::function<void(size_t, text::ParsedOutput&)>& change = {}) {
  const auto episode = begin_dialogue(made.problem);
  size_t turn = 0;
  for (const text::Message& message : made.solution) {
    if (message.role != text::Role::kAssistant) continue;
    text::ParsedOutput said = turn_of(message);
    if (change) change(turn, said);
    ++turn;
    episode->reply(said);
  }
  return episode->score({.text = "", .finished = true});
}

TEST(Dialogue, SolutionsPass) {
  for (int64_t level = 1; level <= kLevels; ++level)
    for (uint64_t seed = 0; seed < 30; ++seed) {
      const GeneratedDialogue made = make_dialogue(level, seed, Split::kTrain);
      SCOPED_TRACE(made.problem.id);
      const Score score = play(made);
      EXPECT_EQ(score.score, 1.0) << score.why;
      EXPECT_EQ(io::write_json(to_json(make_dialogue(level, seed, Split::kTrain).problem)),
                io::write_json(to_json(made.problem)));
      // The replies are those that the solution has.
      const auto episode = begin_dialogue(made.problem);
      for (size_t at = 0; at + 1 < made.solution.size(); ++at) {
        if (made.solution[at].role != text::Role::kAssistant) continue;
        const auto replies = episode->reply(turn_of(made.solution[at]));
        ASSERT_EQ(replies.size(), 1u);
        EXPECT_EQ(replies[0], made.solution[at + 1]);
      }
    }
}

TEST(Dialogue, WrongAnswersAndStatesEarnNothing) {
  for (int64_t level = 1; level <= kLevels; ++level)
    for (uint64_t seed = 0; seed < 10; ++seed) {
      const GeneratedDialogue made = make_dialogue(level, seed, Split::kTrain);
      SCOPED_TRACE(made.problem.id);
      for (const char* wrong : {"",
                                " ",
                                "I give up",
                                "I don't know",
                                "0",
                                "1 2 3 4 5 6 7 8 9",
                                "yes",
                                "no",
                                "done",
                                "ok",
                                "The answer is in the calendar.",
                                "-1",
                                "100000",
                                "nan",
                                "null",
                                "[]",
                                "{}",
                                "\"\"",
                                "...",
                                "?",
                                "true",
                                "x",
                                "see above",
                                "<tool_calls>\n</tool_calls>"})
        EXPECT_EQ(play(made,
                       [&](size_t, text::ParsedOutput& turn) {
                         if (turn.tool_calls.empty()) turn.content = wrong;
                       })
                      .score,
                  0.0)
            << wrong;
      // Right words, one digit added.
      EXPECT_EQ(play(made,
                     [&](size_t, text::ParsedOutput& turn) {
                       if (turn.tool_calls.empty()) turn.content.insert(turn.content.size() - 1, "0");
                     })
                    .score,
                0.0);
      // No calls at all: where something is to be stored, the world is not as it should be.
      const Score lazy = play(made, [&](size_t, text::ParsedOutput& turn) {
        if (!turn.tool_calls.empty())
          turn.tool_calls[0].name = "list_events", turn.tool_calls[0].arguments = R"({"date": "2024-01-01"})";
      });
      EXPECT_EQ(lazy.score, level >= 3 ? 0.0 : 1.0);
      // Something else changed besides.
      EXPECT_EQ(play(made,
                     [&](size_t at, text::ParsedOutput& turn) {
                       if (at == 0) turn.tool_calls.push_back({"x", "set", R"({"key": "mine", "value": "1"})"});
                     })
                    .why,
                "wrong_state");
      // Ends early.
      const auto episode = begin_dialogue(made.problem);
      EXPECT_EQ(episode->score({.text = "", .finished = true}).why, "no_answer");
    }
}

TEST(Dialogue, BrokenCallsComeBackAsErrors) {
  const GeneratedDialogue made = make_dialogue(2, 1, Split::kTrain);
  const auto episode = begin_dialogue(made.problem);
  const text::ParsedOutput broken = text::parse_output("<think>x</think><tool_calls>\n{\"name\": get}\n</tool_calls>");
  const auto replies = episode->reply(broken);
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].role, text::Role::kTool);
  EXPECT_THAT(replies[0].content[0].text, HasSubstr("not JSON"));
  for (const text::Message& message : made.solution)
    if (message.role == text::Role::kAssistant) episode->reply(turn_of(message));
  const Score score = episode->score({.text = "", .finished = true});
  EXPECT_TRUE(score.correct);
  EXPECT_FALSE(score.format_ok);
  EXPECT_EQ(score.score, 0.0);
  EXPECT_EQ(score.why, "broken_call");
}

// Through the engine: what stands between turns is the template's, and no token of it is trained.
TEST(Dialogue, RolloutsHaveTurns) {
  test::Policy policy;
  const GeneratedDialogue made = make_dialogue(5, 2, Split::kTrain);
  Problem problem = made.problem;
  problem.limits.max_turns = 3;
  problem.limits.max_new = 5;
  // An untrained model hardly ever ends its turn by itself.
  RolloutOptions options{.group_size = 32, .window = 2000};
  options.sampling.logit_bias = {{*policy.tokenizer.eos_id(), 6.0f}};
  const auto groups = roll_out(policy.engine, policy.tokenizer, std::span(&problem, 1), options, 0);
  int64_t several = 0;
  for (const Sample& sample : groups[0].samples) {
    several += sample.turns > 1;
    int64_t runs = 0;
    for (size_t at = 1; at < sample.sampled.size(); ++at) runs += sample.sampled[at] && !sample.sampled[at - 1];
    EXPECT_EQ(runs, sample.turns);
    for (size_t at = 0; at < sample.sampled.size(); ++at) EXPECT_EQ(sample.log_probs[at] != 0, sample.sampled[at] != 0);
    EXPECT_EQ(sample.score.score, 0.0);
    // Decoded and encoded as a whole, the turns are what the template would have made of them.
    if (sample.turns < 2) continue;
    const std::string text = policy.tokenizer.decode_bytes(sample.tokens, text::SpecialTokens::kKeep);
    EXPECT_THAT(text, HasSubstr("<end_of_sentence>\n<beginning_of_sentence>user name="));
    EXPECT_THAT(text, HasSubstr("ai name="));
  }
  EXPECT_GT(several, 0);
}

}  // namespace
}  // namespace minimax::rl
