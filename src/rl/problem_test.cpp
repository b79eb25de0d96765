// Records of problems as JSON, where answers stand, and exact fractions.
#include "rl/problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/test_folder.h"
#include "rl/answer.h"
#include "rl/rational.h"
#include "rl/tasks/task.h"
#include "rl/verifier.h"

namespace minimax::rl {
namespace {

using testing::HasSubstr;

Problem parse(std::string_view text) {
  const io::json::value root = io::parse_json(text, "problems.jsonl:1");
  return problem_from_json(io::JsonField(root, "problems.jsonl:1"));
}

TEST(Problem, ComesBackFromItsJson) {
  for (const Task& task : tasks()) {
    const GeneratedProblem made = make_problem(task, 3, 5, Split::kHeldOut, {}, true);
    const Problem back = parse(io::write_json(to_json(made.problem)));
    EXPECT_EQ(io::write_json(to_json(back)), io::write_json(to_json(made.problem)));
    EXPECT_EQ(back.messages, made.problem.messages);
    const std::string text = cat("<think>", made.thinking, "</think>", made.answer);
    EXPECT_EQ(verify(back, {.text = text}).score, 1.0) << task.name;
  }
}

TEST(Problem, NeedsMessagesAndVerifier) {
  EXPECT_THAT(test::error_of([] { parse(R"({"verifier": {"name": "math"}})"); }), HasSubstr("messages"));
  EXPECT_THAT(test::error_of([] { parse(R"({"messages": [{"role": "user", "content": "1+1"}]})"); }),
              HasSubstr("verifier"));
  const Problem least = parse(R"({"messages": [{"role": "user", "content": "1+1"}], "verifier": {"name": "none"}})");
  EXPECT_EQ(least.provenance, "user");
  EXPECT_THAT(test::error_of([&] { verify(least, {.text = "<think></think>2"}); }),
              HasSubstr("\"none\" does not exist"));
}

TEST(Problem, GoldOfTheWrongShapeIsTheProblemsFault) {
  const Problem problem = parse(
      R"({"messages": [{"role": "user", "content": "1+1="}], "verifier": {"name": "addition"}, "gold": {"answer": "2"}})");
  EXPECT_THAT(test::error_of([&] { verify(problem, {.text = "<think></think>2"}); }), HasSubstr("gold"));
}

TEST(Problem, GoldThatIsNoPuzzleIsRefused) {
  for (const auto& [verifier, gold] : std::initializer_list<std::pair<const char*, const char*>>{
           {"maze", R"({"maze": "", "length": 1})"},
           {"maze", R"({"maze": "S./G", "length": 1})"},
           {"maze", R"({"maze": "..../....", "length": 1})"},
           {"sudoku", R"({"givens": "..................................."})"},
           {"sudoku", R"({"givens": "///////////////////"})"},
           {"countdown", R"({"numbers": 3, "target": 4})"},
           {"math", R"({"answer": 3})"}}) {
    Problem problem = parse(R"({"messages": [{"role": "user", "content": "?"}], "verifier": {"name": "x"}})");
    problem.verifier.name = verifier;
    problem.gold = io::parse_json(gold, "gold").as_object();
    EXPECT_THROW(verify(problem, {.text = "<think></think>111111111111111111111111111111111111"}), Error) << gold;
    EXPECT_THROW(verify(problem, {.text = "<think></think>1111/1111/1111/1111"}), Error) << gold;
    EXPECT_THROW(verify(problem, {.text = "<think></think>R"}), Error) << gold;
  }
}

TEST(Problem, ThinkingMayBeOptional) {
  Problem problem = make_problem(tasks()[0], 1, 1, Split::kTrain).problem;
  const std::string gold = std::to_string(problem.gold.at("answer").as_int64());
  EXPECT_EQ(verify(problem, {.text = gold}).score, 0.0);
  problem.verifier.params["think"] = "optional";
  EXPECT_EQ(verify(problem, {.text = gold}).score, 1.0);
  EXPECT_EQ(verify(problem, {.text = "<think>" + gold}).score, 0.0);
}

TEST(Integer, IsReadStrictly) {
  EXPECT_EQ(parse_integer("0"), 0);
  EXPECT_EQ(parse_integer("-17"), -17);
  EXPECT_EQ(parse_integer("999999999999999999"), 999999999999999999);
  for (const char* wrong :
       {"", "-", "+5", "007", "-0", "1.0", "1e3", " 5", "5 ", "--5", "1,000", "0x5", "٣", "9999999999999999999", "5\n"})
    EXPECT_EQ(parse_integer(wrong), std::nullopt) << wrong;
}

TEST(Boxed, LastBalanced) {
  EXPECT_EQ(last_boxed("\\boxed{1} then \\boxed{\\frac{1}{2}}"), "\\frac{1}{2}");
  EXPECT_EQ(last_boxed("a \\boxed{} b"), "");
  EXPECT_EQ(last_boxed("\\boxed{unclosed"), std::nullopt);
  EXPECT_EQ(last_boxed("\\boxed{7} \\boxed{unclosed"), "7");
  EXPECT_EQ(last_boxed("text \\boxed 5."), "5.");
  EXPECT_EQ(last_boxed("\\boxed{\\{1, 2\\}}"), "\\{1, 2\\}");
  EXPECT_EQ(last_boxed("none"), std::nullopt);
}

TEST(Rational, IsExact) {
  EXPECT_EQ(evaluate("1/3+1/3+1/3")->value, (Rational{1, 1}));
  EXPECT_EQ(evaluate("2-3*4")->value, (Rational{-10, 1}));
  EXPECT_EQ(evaluate("8/2/2")->value, (Rational{2, 1}));
  EXPECT_EQ(evaluate("(1+2)*(3)")->numbers, (std::vector<int64_t>{1, 2, 3}));
  for (const char* wrong : {"", "1+", "*1", "1 2", "1/0", "1/(2-2)", "(1", "1)", "-1", "2**3", "2//1", "01", "1.5", "a",
                            "999999999999999999*999999999999999999"})
    EXPECT_FALSE(evaluate(wrong)) << wrong;
}

}  // namespace
}  // namespace minimax::rl
