// The generated tasks: the same everywhere, splits apart, and verifiers that nobody talks round.
#include "rl/tasks/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/error.h"
#include "rl/answer.h"
#include "rl/tasks/draw.h"
#include "rl/verifier.h"

namespace minimax::rl {
namespace {

std::string written(std::string_view thinking, std::string_view answer) {
  return cat("<think>\n", thinking, "\n</think>\n\n", answer);
}

double reward(const Problem& problem, std::string_view text, bool finished = true) {
  return verify(problem, {.text = text, .finished = finished}).score.value();
}

class EveryTask : public testing::TestWithParam<size_t> {
 protected:
  const Task& task() const { return tasks()[GetParam()]; }

  /// `check` for problems of all levels.
  template <typename Check>
  void for_problems(int64_t seeds, Check check) {
    for (int64_t level = 1; level <= kLevels; ++level)
      for (int64_t seed = 0; seed < seeds; ++seed) {
        const GeneratedProblem made = make_problem(task(), level, static_cast<uint64_t>(seed), Split::kTrain);
        SCOPED_TRACE(
            cat(made.problem.id, "\n", made.problem.messages.back().content[0].text, "\nanswer ", made.answer));
        check(made);
      }
  }
};

INSTANTIATE_TEST_SUITE_P(Tasks, EveryTask, testing::Range<size_t>(0, 16),
                         [](const auto& info) { return std::string(tasks()[info.param].name); });

TEST_P(EveryTask, GoldPasses) {
  for_problems(40, [](const GeneratedProblem& made) {
    const Score score = verify(made.problem, {.text = written(made.thinking, made.answer)});
    EXPECT_EQ(score.score, 1.0) << score.why;
    EXPECT_TRUE(score.correct && score.format_ok);
    EXPECT_EQ(score.extracted, made.answer);
    EXPECT_FALSE(made.thinking.empty());
    EXPECT_LE(made.thinking.size() + made.answer.size(), 2500u);
  });
}

TEST_P(EveryTask, DependsOnLevelSeedAndSplitAlone) {
  std::set<std::string> prompts;
  for_problems(8, [&](const GeneratedProblem& made) {
    const GeneratedProblem again = make_problem(task(), made.problem.level, made.problem.seed, Split::kTrain);
    EXPECT_EQ(again.problem.messages, made.problem.messages);
    EXPECT_EQ(again.thinking, made.thinking);
    EXPECT_EQ(again.answer, made.answer);
    prompts.insert(made.problem.messages.back().content[0].text);
  });
  EXPECT_GT(prompts.size(), 30u);
}

TEST_P(EveryTask, SplitsShareNoProblem) {
  std::map<std::string, Split> home;
  for (const Split split : {Split::kWarmup, Split::kTrain, Split::kHeldOut})
    for (int64_t level = 1; level <= kLevels; ++level)
      for (uint64_t seed = 0; seed < 30; ++seed) {
        const GeneratedProblem made = make_problem(task(), level, seed, split);
        EXPECT_EQ(home.emplace(made.problem.messages.back().content[0].text, split).first->second, split);
      }
}

// What a model learns to write when a verifier is careless. Every line must earn nothing, for every task.
TEST_P(EveryTask, WrongAnswersEarnNothing) {
  for_problems(6, [](const GeneratedProblem& made) {
    const std::string& gold = made.answer;
    const std::string prompt = made.problem.messages.back().content[0].text;
    for (const std::string& wrong : std::initializer_list<std::string>{"",
                                                                       " ",
                                                                       "\n",
                                                                       "I give up",
                                                                       "I don't know",
                                                                       prompt,
                                                                       prompt + gold,
                                                                       "the answer",
                                                                       "0/0",
                                                                       "1e9",
                                                                       "nan",
                                                                       "inf",
                                                                       "None",
                                                                       "null",
                                                                       "True",
                                                                       "?",
                                                                       "-",
                                                                       "()",
                                                                       "[]",
                                                                       "{}",
                                                                       "\"\"",
                                                                       "\\boxed{}",
                                                                       "<answer></answer>",
                                                                       "...",
                                                                       "9999999999999999999999",
                                                                       "0x10",
                                                                       "1.0",
                                                                       "٣",
                                                                       "１２",
                                                                       "½",
                                                                       "__import__('os')",
                                                                       "'; drop table",
                                                                       gold + ".",
                                                                       gold + " " + gold,
                                                                       gold + "\n" + gold,
                                                                       "answer: " + gold,
                                                                       gold + " or not",
                                                                       "not " + gold,
                                                                       "x=" + gold,
                                                                       gold + ",",
                                                                       "+" + gold,
                                                                       gold + "!",
                                                                       "(" + gold,
                                                                       gold + "\n0",
                                                                       "$" + gold + "$",
                                                                       std::string(5000, '1')})
      EXPECT_EQ(reward(made.problem, written(made.thinking, wrong)), 0) << wrong;
  });
}

TEST_P(EveryTask, FormIsPartOfTheReward) {
  for_problems(3, [](const GeneratedProblem& made) {
    const std::string &gold = made.answer, &think = made.thinking;
    for (const std::string& text : {
             gold,                                                        // no thinking at all
             "<think>" + think + gold,                                    // never closed
             "<think>" + think + "\nthe answer is " + gold + "</think>",  // only inside
             think + "</think>" + gold,                                   // never opened
             "<think>a</think><think>b</think>" + gold,                   // twice
             "well <think>" + think + "</think>" + gold,                  // not at the start
             written(think, gold) + "</think>",
             written(think, "<answer>" + gold + "</answer> <answer>" + gold + "</answer>"),
             written(think, "<answer>" + gold),
             written(think, "\\boxed{" + gold + "} \\boxed{" + gold + "}"),
         })
      EXPECT_EQ(reward(made.problem, text), 0) << text;
    EXPECT_EQ(reward(made.problem, written(think, gold), /*finished=*/false), 0);
    EXPECT_EQ(reward(made.problem, written(think, "So: <answer>" + gold + "</answer>")), 1);
    // The last of two marked answers is the one that is read, though it earns nothing.
    const Score last =
        verify(made.problem, {.text = written(think, "<answer>7</answer><answer>" + gold + "</answer>")});
    EXPECT_TRUE(last.correct);
    EXPECT_EQ(last.why, "two_answers");
  });
}

// A digit or letter of the answer changed to another of the same kind: wrong in every task, for expressions too, since
// it changes the numbers used.
TEST_P(EveryTask, MutatedGoldFails) {
  Rng rng(7);
  for_problems(10, [&](const GeneratedProblem& made) {
    std::vector<size_t> places;
    for (size_t at = 0; at < made.answer.size(); ++at)
      if (std::isalnum(static_cast<unsigned char>(made.answer[at]))) places.push_back(at);
    for (int mutation = 0; mutation < 10 && !places.empty(); ++mutation) {
      std::string wrong = made.answer;
      char& c = wrong[pick(rng, places)];
      const char before = c;
      while (c == before) c = static_cast<char>(std::isdigit(before) ? '0' + rng.below(10) : 'A' + rng.below(26));
      EXPECT_EQ(reward(made.problem, written("x", wrong)), 0) << wrong;
      wrong = made.answer;
      wrong.erase(pick(rng, places), 1);
      EXPECT_EQ(reward(made.problem, written("x", wrong)), 0) << wrong;
    }
  });
}

TEST_P(EveryTask, RandomTextNeverPasses) {
  Rng rng(11);
  // Longer than any answer that could be guessed.
  constexpr std::string_view kAlphabet = "0123456789+-*/()[]{}<>TFKNUDLR abcdefghij\n.=,\\boxed";
  for_problems(4, [&](const GeneratedProblem& made) {
    for (int trial = 0; trial < 50; ++trial) {
      std::string text;
      for (int64_t left = between(rng, 12, 60); left > 0; --left) text += pick(rng, kAlphabet);
      EXPECT_EQ(reward(made.problem, written("x", text)), 0) << text;
    }
  });
}

// One answer must not be right for many problems.
TEST_P(EveryTask, NoAnswerIsAGoodGuess) {
  std::map<std::string, int> answers;
  for (uint64_t seed = 0; seed < 200; ++seed) ++answers[make_problem(task(), 3, seed, Split::kTrain).answer];
  int most = 0;
  for (const auto& [answer, count] : answers) most = std::max(most, count);
  RecordProperty("most_frequent_of_200", most);
  EXPECT_LE(most, 70);
}

bool passes(const char* task, const io::json::object& gold, std::string_view answer) {
  return find_task(task)->check(gold, answer).correct;
}

TEST(Countdown, ChecksTheRules) {
  const io::json::object gold{{"numbers", io::json::array{3, 7, 8, 2}}, {"target", 21}};
  for (const char* right : {"7*(8-3-2)", "(7*((8-3)-2))", "7 * ( 8 - 3 - 2 )", "(8-(3+2))*7", "7*(8-2-3)"})
    EXPECT_TRUE(passes("countdown", gold, right)) << right;
  for (const char* wrong :
       {"21",           "7*3",          "3*7*1",         "3*7+2-2",       "7*(8-3-2)+0",   "7*(8-3-2",
        "7*(8-3-2))",   "7*(8-3-2)=21", "-7*(3+2-8)",    "+7*(8-3-2)",    "7**(8-3-2)",    "7//(8-3-2)",
        "7*(8-3-02)",   "7.0*(8-3-2)",  "7*(8-3-2)+7-7", "78-32-(5*5)",   "(7+8+2)*3",     "7*(8-3-2)/1",
        "7×(8−3−2)",    "7*(8-3-2)#",   "7(8-3-2)",      "7*(8-3-2);",    "7*(8- 3-2",     "((((7*(8-3-2)))",
        "21=7*(8-3-2)", "7^1*(8-3-2)",  "3/0+7+8+2",     "7*(8-3-2)\n21", "abs(7)*(8-3-2)"})
    EXPECT_FALSE(passes("countdown", gold, wrong)) << wrong;
  // Fractions on the way are exact, and a division by zero is wrong.
  const io::json::object thirds{{"numbers", io::json::array{8, 3, 8, 3}}, {"target", 24}};
  EXPECT_TRUE(passes("countdown", thirds, "8/(3-8/3)"));
  EXPECT_FALSE(passes("countdown", thirds, "8/(3-3)+8"));
  EXPECT_FALSE(passes("countdown", thirds, std::string(2000, '(') + "8"));
}

TEST(Sudoku, AcceptsAnySolutionAndKeepsGivens) {
  const io::json::object open{{"givens", "..../..../..../...."}};
  EXPECT_TRUE(passes("sudoku", open, "1234/3412/2143/4321"));
  EXPECT_TRUE(passes("sudoku", open, "2143/4321/1234/3412"));
  for (const char* wrong :
       {"1234/3412/2143/4312", "1234/2341/3412/4123", "1234/3412/2143", "1234/3412/2143/432.", "1234 3412 2143 4321",
        "1234/3412/2143/4321/", "5234/3412/2143/4321", "0000/0000/0000/0000"})
    EXPECT_FALSE(passes("sudoku", open, wrong)) << wrong;
  EXPECT_FALSE(passes("sudoku", {{"givens", "2.../..../..../...."}}, "1234/3412/2143/4321"));
}

TEST(Maze, WalksTheMaze) {
  const io::json::object gold{{"maze", "S.#/#.G/..."}, {"length", 3}};
  EXPECT_TRUE(passes("maze", gold, "RDR"));
  for (const char* wrong : {"", "RDDRU", "DRR", "RRD", "RD", "RDRR", "rdr", "R D R", "RDR.", "LRRDR", "UDRDR"})
    EXPECT_FALSE(passes("maze", gold, wrong)) << wrong;
  // Two shortest ways, both right.
  const io::json::object two{{"maze", "S./.G"}, {"length", 2}};
  EXPECT_TRUE(passes("maze", two, "RD") && passes("maze", two, "DR"));
}

TEST(Tasks, TracesSlipWhenAsked) {
  for (const char* name : {"addition", "chain_sum", "multiplication", "sudoku"}) {
    int slips = 0;
    for (uint64_t seed = 0; seed < 200; ++seed) {
      const GeneratedProblem made = make_problem(*find_task(name), 3, seed, Split::kWarmup, {.slips = 0.1});
      slips += made.thinking.find(" wait ") != std::string::npos;
      EXPECT_EQ(reward(made.problem, written(made.thinking, made.answer)), 1);
    }
    EXPECT_GT(slips, 5) << name;
    EXPECT_LT(slips, 45) << name;
  }
}

// The lines of a chain's trace are true and lead to the answer.
TEST(ChainSum, TraceAddsUp) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const GeneratedProblem made = make_problem(*find_task("chain_sum"), 5, seed, Split::kWarmup);
    std::string_view last;
    for (const std::string_view line : split(made.thinking, '\n')) {
      const size_t equals = line.find('=');
      const size_t sign = line.find_first_of("+-", 1);
      ASSERT_TRUE(equals != line.npos && sign < equals);
      const int64_t a = *parse_integer(line.substr(0, sign)),
                    b = *parse_integer(line.substr(sign + 1, equals - sign - 1));
      EXPECT_EQ(line[sign] == '+' ? a + b : a - b, *parse_integer(line.substr(equals + 1)));
      last = line.substr(equals + 1);
    }
    EXPECT_EQ(last, made.answer);
  }
}

TEST(Date, KnowsLeapYears) {
  // Found by search among the generated ones, checked against a day count (proleptic Gregorian).
  const auto days_from_civil = [](int64_t y, int64_t m, int64_t d) {
    y -= m <= 2;
    const int64_t era = y / 400, year_of_era = y - era * 400;
    const int64_t day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  };
  const auto number = [](std::string_view text) {
    int64_t value = 0;
    for (const char c : text) value = value * 10 + (c - '0');
    return value;
  };
  const auto count = [&](std::string_view date) {
    return days_from_civil(number(date.substr(0, 4)), number(date.substr(5, 2)), number(date.substr(8, 2)));
  };
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const GeneratedProblem made = make_problem(*find_task("date"), 5, seed, Split::kTrain);
    const std::string& prompt = made.problem.messages.back().content[0].text;
    const int64_t days = number(std::string_view(prompt).substr(12, prompt.find(" days") - 12));
    EXPECT_EQ(count(made.answer) - count(prompt), days) << prompt << " " << made.answer;
  }
}

TEST(Tasks, InstructionsComeFirst) {
  const GeneratedProblem made = make_problem(tasks()[0], 1, 0, Split::kTrain, {}, true);
  ASSERT_EQ(made.problem.messages.size(), 2u);
  EXPECT_EQ(made.problem.messages[0].role, text::Role::kSystem);
}

TEST(Tasks, RefusesALevelThatIsNone) {
  EXPECT_THROW(make_problem(tasks()[0], 0, 0, Split::kTrain), Error);
  EXPECT_THROW(make_problem(tasks()[0], 6, 0, Split::kTrain), Error);
  EXPECT_EQ(find_task("no_such_task"), nullptr);
}

}  // namespace
}  // namespace minimax::rl
