// When two mathematical answers are the same: hand-written rules, and the verdicts of a published grader.
#include "rl/maths/maths_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <map>
#include <set>

#include "core/rng.h"
#include "rl/answer.h"
#include "rl/maths/expression.h"
#include "rl/verifier.h"
#include "text/tokenizer_files.h"

namespace minimax::rl {
namespace {

struct Pair {
  const char *a, *b;
};

class Equal : public testing::TestWithParam<Pair> {};
class Unequal : public testing::TestWithParam<Pair> {};

TEST_P(Equal, BothWays) {
  const auto [a, b] = GetParam();
  EXPECT_TRUE(same_maths(a, b)) << a << "   " << b << "   as " << normalize_maths(a) << "   " << normalize_maths(b);
  EXPECT_TRUE(same_maths(b, a)) << b << "   " << a;
}
TEST_P(Unequal, BothWays) {
  const auto [a, b] = GetParam();
  EXPECT_FALSE(same_maths(a, b)) << a << "   " << b << "   as " << normalize_maths(a) << "   " << normalize_maths(b);
  EXPECT_FALSE(same_maths(b, a)) << b << "   " << a;
}

INSTANTIATE_TEST_SUITE_P(
    Maths, Equal,
    testing::Values(
        // Numbers.
        Pair{"42", "42"}, Pair{"042", "42"}, Pair{"+42", "42"}, Pair{"42.0", "42"}, Pair{"42.", "42"},
        Pair{"84/2", "42"}, Pair{"\\frac{1}{2}", "0.5"}, Pair{"\\frac12", "1/2"}, Pair{"\\dfrac{2}{4}", "\\tfrac12"},
        Pair{"\\frac9{19}", "9/19"}, Pair{"\\frac 34", "0.75"}, Pair{".35625", "0.35625"}, Pair{"1,234", "1234"},
        Pair{"11,\\! 111,\\! 111,\\! 100", "11111111100"}, Pair{"\\$32,\\!348", "32348"},
        Pair{"137 \\frac{1}{2}", "137.5"}, Pair{"137 \\frac{1}{2}", "\\frac{275}{2}"}, Pair{"-\\frac{24}{25}", "-0.96"},
        Pair{"2^{10}", "1024"}, Pair{"5!", "120"}, Pair{"\\binom{5}{2}", "10"}, Pair{"\\sqrt{16}", "4"},
        Pair{"10^{30}", "1000000000000000000000000000000"}, Pair{"3 \\times 10^5", "300000"},
        // Dressing.
        Pair{"$42$", "42"}, Pair{"42\\%", "42"}, Pair{"30^\\circ", "30"}, Pair{"30 degrees", "30^{\\circ}"},
        Pair{"\\text{42}", "42"}, Pair{"15\\mbox{ cm}^2", "15"}, Pair{"864 \\mbox{ inches}^2", "864"},
        Pair{"5.4 \\text{ cents}", "5.4"}, Pair{"\\frac{270}7\\text{ degrees}", "270/7"}, Pair{"8 cm", "8"},
        Pair{"x=5", "5"}, Pair{"x = 5", "x=5"}, Pair{"{42}", "42"}, Pair{"3 square inches", "3"},
        Pair{"x \\in [-2,7]", "[-2,7]"}, Pair{"\\text{(B)}", "B"}, Pair{"(B)", "\\text{B}"},
        // Expressions.
        Pair{"\\sqrt2", "\\sqrt{2}"}, Pair{"\\sqrt{8}", "2\\sqrt{2}"},
        Pair{"\\frac{1}{\\sqrt{3}}", "\\frac{\\sqrt{3}}{3}"}, Pair{"11\\sqrt2", "11 \\sqrt{2}"},
        Pair{"sqrt(53)", "\\sqrt{53}"}, Pair{"(x+1)^2", "x^2+2x+1"}, Pair{"p - q", "-q+p"},
        Pair{"(a+5)(b+2)", "ab+2a+5b+10"}, Pair{"6r^2-4r-24", "2(3r^2-2r-12)"}, Pair{"\\frac{11+9a}{20}", "(9a+11)/20"},
        Pair{"\\sin^2 x + \\cos^2 x", "1"}, Pair{"288 \\pi", "288\\pi"}, Pair{"3.141593", "\\pi"}, Pair{"2+3i", "3i+2"},
        Pair{"(2+3i)(2-3i)", "13"}, Pair{"|3-5|", "2"}, Pair{"\\log_2 8", "3"}, Pair{"e^{2\\pi i}", "1"},
        Pair{"x_1+x_2", "x_{2}+x_{1}"}, Pair{"5r^5", "5 \\cdot r^5"}, Pair{"\\frac{x^2-1}{x-1}", "x+1"},
        Pair{"-\\frac{\\pi}{6}", "-\\pi/6"}, Pair{"\\sqrt[3]{27}", "3"},
        // Tuples, intervals, sets, matrices, equations.
        Pair{"\\left( 3, \\frac{\\pi}{2} \\right)", "(3,\\pi/2)"}, Pair{"(6,31,-1)", "( 6, 31, -1 )"},
        Pair{"\\left(\\frac{3}{5},\\frac{8}{3}\\right]", "(0.6,8/3]"}, Pair{"\\{1,2,3\\}", "\\{3,2,1\\}"},
        Pair{"\\{1\\pm\\sqrt{5},-2\\}", "\\{-2,1-\\sqrt5,1+\\sqrt5\\}"},
        Pair{"1 \\pm \\sqrt{19}", "1-\\sqrt{19},1+\\sqrt{19}"},
        Pair{"(-\\infty, 2) \\cup (3, \\infty)", "(3,\\infty)\\cup(-\\infty,2)"}, Pair{"3, 5, 7", "3,5,7"},
        Pair{"\\begin{pmatrix} 1/5 \\\\ -18/5 \\end{pmatrix}", "\\begin{bmatrix} 0.2 \\\\ -3.6 \\end{bmatrix}"},
        Pair{"\\begin{pmatrix} -1 & 0 \\\\ 0 & -1 \\end{pmatrix}", "\\begin{pmatrix}-1&0\\\\0&-1\\end{pmatrix}"},
        Pair{"y = -2x", "2x+y=0"}, Pair{"y=-2x", "-2x"}, Pair{"3x+6y=9", "x+2y=3"}, Pair{"\\{5\\}", "5"},
        // Words, bases, times.
        Pair{"\\text{Navin}", "navin"}, Pair{"\\text{even}", "Even"}, Pair{"4210_{5}", "4210_5"},
        Pair{"10:30", "10:30"}, Pair{"\\text{1 and 3}", "1 and 3"}));

INSTANTIATE_TEST_SUITE_P(
    Maths, Unequal,
    testing::Values(Pair{"1/3", "0.33"}, Pair{"[0,1)", "[0,1]"}, Pair{"(1,2)", "\\{1,2\\}"}, Pair{"2x", "x^2"},
                    Pair{"1,234", "(1,234)"}, Pair{"42", "-42"}, Pair{"42", "24"},
                    Pair{"4.666666666666667", "\\frac{14}{3}"}, Pair{"3.14", "\\pi"}, Pair{"22/7", "\\pi"},
                    Pair{"(1,2)", "(2,1)"}, Pair{"(1,2)", "(1,2,3)"}, Pair{"(1,2)", "[1,2]"}, Pair{"3/14", "14/3"},
                    Pair{"\\{1,2\\}", "\\{1,2,2\\}"}, Pair{"\\{1,1,2\\}", "\\{1,2,2\\}"}, Pair{"x+1", "x-1"},
                    Pair{"x", "y"}, Pair{"x", "1"}, Pair{"\\sqrt{2}", "2"}, Pair{"(1) \\cup \x01", "(j) \\cup \x01"},
                    Pair{"\\sqrt{2}", "1.41"}, Pair{"2^{10}", "1023"}, Pair{"i", "1"}, Pair{"2+3i", "2-3i"},
                    Pair{"1 \\pm \\sqrt{19}", "1+\\sqrt{19}"}, Pair{"1\\pm 2", "(3,-1)"}, Pair{"y = 2x", "y = -2x"},
                    Pair{"x=5", "x=6"}, Pair{"y=x", "x=5"}, Pair{"0=0", "x=5"}, Pair{"east", "seat"}, Pair{"no", "on"},
                    Pair{"yes", "no"}, Pair{"A", "B"}, Pair{"204_5", "204_6"}, Pair{"204_5", "204"}, Pair{"101_2", "5"},
                    Pair{"10:30", "10:31"}, Pair{"10:30", "1/3"}, Pair{"", "0"}, Pair{"", ""}, Pair{"1 2", "12"},
                    Pair{"1 2", "2"}, Pair{"\\frac{1}{0}", "\\infty"}, Pair{"1/0", "2/0"}, Pair{"\\infty", "-\\infty"},
                    Pair{"\\begin{pmatrix} 1 & 2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"},
                    Pair{"\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "(1,2)"}, Pair{"(0,9) \\cup (9,36)", "(0,36)"},
                    Pair{"50\\%", "1/2"}, Pair{"42 or 43", "42"}, Pair{"42, 43", "42"}, Pair{"the answer is 42", "42"},
                    Pair{"__import__('os')", "1"}, Pair{"9**9**9", "9"}, Pair{"9^{9^{9^9}}", "9"}, Pair{"200!!", "1"},
                    Pair{"x^2+x+41", "x^2-x+41"}, Pair{"10^{15}+1", "10^{15}"}, Pair{"10^{30}+1", "10^{30}"},
                    Pair{"1000000.0000001", "1000000"}));

TEST(Maths, RulesOfTheRecord) {
  EXPECT_TRUE(same_maths("50\\%", "1/2", {.percent_is_hundredth = true}));
  EXPECT_TRUE(same_maths("0.5", "50%", {.percent_is_hundredth = true}));
  EXPECT_FALSE(same_maths("50", "1/2", {.percent_is_hundredth = true}));
  EXPECT_TRUE(same_maths("0.33", "1/3", {.decimals = 2}));
  EXPECT_FALSE(same_maths("0.34", "1/3", {.decimals = 2}));
}

TEST(Maths, IsAVerifier) {
  Problem problem;
  problem.gold = {{"answer", "\\frac{14}{3}"}};
  problem.verifier.name = "math";
  EXPECT_EQ(verify(problem, {.text = "<think>7*2/3</think>So \\boxed{\\dfrac{28}{6}}."}).score, 1.0);
  for (const char* wrong : {"<think>\\boxed{14/3}</think>", "<think></think>\\boxed{}", "<think></think>\\boxed{3/14}",
                            "<think></think>\\boxed{14/3} or \\boxed{14/3}", "\\boxed{14/3}",
                            "<think></think>I give up", "<think></think>14/3 or 3/14", "<think></think>\\boxed{4.67}"})
    EXPECT_EQ(verify(problem, {.text = wrong}).score, 0.0) << wrong;
  problem.verifier.params = {{"decimals", 2}};
  EXPECT_EQ(verify(problem, {.text = "<think></think>\\boxed{4.67}"}).score, 1.0);
}

// The suite that every verifier passes (tasks/task_test.cpp): gold passes; wrong answers, the prompt, changed gold and
// random text do not, whatever the kind of answer.
TEST(Maths, WrongAnswersEarnNothing) {
  const std::string prompt = "Find the value of the expression, in lowest terms.";
  Rng rng(5);
  for (const std::string gold : {"\\frac{14}{3}", "42", "(1,2)", "[0,1)", "\\{1,2,3\\}", "x^2+2x+1", "3+4i",
                                 "\\sqrt{7}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "y=2x+5"}) {
    SCOPED_TRACE(gold);
    Problem problem;
    problem.gold = {{"answer", gold}};
    problem.verifier.name = "math";
    problem.messages = {text::text_message(text::Role::kUser, prompt)};
    const auto reward = [&](const std::string& answer) {
      return verify(problem, {.text = "<think>so</think>" + answer}).score.value_or(-1);
    };
    EXPECT_EQ(reward("\\boxed{" + gold + "}"), 1);
    EXPECT_EQ(reward("<answer>" + gold + "</answer>"), 1);
    for (const std::string& wrong : std::initializer_list<std::string>{"",
                                                                       " ",
                                                                       "I give up",
                                                                       "I don't know",
                                                                       prompt,
                                                                       "0",
                                                                       "1/0",
                                                                       "0/0",
                                                                       "nan",
                                                                       "inf",
                                                                       "-\\infty",
                                                                       "\\infty",
                                                                       "()",
                                                                       "[]",
                                                                       "\\{\\}",
                                                                       "{}",
                                                                       "?",
                                                                       "x",
                                                                       "x=x",
                                                                       "0=0",
                                                                       "1=1",
                                                                       "...",
                                                                       "all",
                                                                       "any",
                                                                       "\\emptyset",
                                                                       "\\mathbb{R}",
                                                                       "\\pm",
                                                                       "__import__('os')",
                                                                       "9^{9^{9^9}}",
                                                                       "14",
                                                                       "41",
                                                                       "3",
                                                                       "\\frac{}{}",
                                                                       "\\sqrt{}",
                                                                       "\\begin{pmatrix}",
                                                                       gold + " or 0",
                                                                       gold + ", 0",
                                                                       "0, " + gold,
                                                                       "not " + gold,
                                                                       gold + " " + gold,
                                                                       "2(" + gold + ")+1",
                                                                       std::string(4000, '('),
                                                                       std::string(4000, '9')})
      for (const std::string& form : {"\\boxed{" + wrong + "}", "<answer>" + wrong + "</answer>"})
        EXPECT_EQ(reward(form), 0) << form.substr(0, 80);
    EXPECT_EQ(reward(""), 0);
    EXPECT_EQ(reward(prompt), 0);
    for (size_t at = 0; at < gold.size(); ++at) {  // each digit, another one
      if (!std::isdigit(static_cast<unsigned char>(gold[at]))) continue;
      std::string changed = gold;
      changed[at] = changed[at] == '9' ? '8' : static_cast<char>(changed[at] + 1);
      EXPECT_EQ(reward("\\boxed{" + changed + "}"), 0) << changed;
    }
    constexpr std::string_view kAlphabet = "0123456789+-*/()[]{}<>xyi \\^_,=.|frac sqrt boxed";
    for (int trial = 0; trial < 200; ++trial) {
      std::string text;
      for (uint64_t left = 12 + rng.below(40); left > 0; --left) text += kAlphabet[rng.below(kAlphabet.size())];
      EXPECT_EQ(reward("\\boxed{" + text + "}"), 0) << text;
    }
  }
}

// Variants of the answers of MATH-500 with the verdicts of PRM800K's grader (openai/prm800k 7ecc794703b2, MIT). We
// differ from it on purpose, and only where it is said here.
TEST(Maths, AgainstAPublishedGrader) {
  std::filesystem::path found;
  const auto text = text::read_maybe_gzipped(std::filesystem::path(MINIMAX_TESTDATA) / "rl", "math_equiv.jsonl", found);
  ASSERT_TRUE(text);
  // It takes braces around an answer away and reads 221 as 2 over 21; to us {-2,1} is a set, and \frac 221 is 2/2
  // and 1.
  std::set<std::string> stricter = {"\\frac 221",         "\\frac 356",
                                    "\\frac 815",         "\\{(-\\infty, 0]\\}",
                                    "\\{(3,4]\\}",        "\\{-2,1\\}",
                                    "\\{1,-2\\}",         "\\{10,\\!080\\}",
                                    "\\{\\$32,\\!348\\}", "\\{\\left(\\frac{3}{5},\\frac{8}{3}\\right]\\}"};
  int64_t rows = 0, laxer = 0;
  for (const std::string_view line : split(*text, '\n')) {
    if (line.empty()) continue;
    const io::json::value row = io::parse_json(line, "math_equiv.jsonl");
    const io::JsonField field(row, "math_equiv.jsonl");
    const std::string prediction(field["prediction"].string()), gold(field["gold"].string());
    const bool theirs = field["prm800k"].boolean(), ours = same_maths(prediction, gold);
    SCOPED_TRACE(prediction + "   for   " + gold);
    EXPECT_EQ(ours, same_maths(gold, prediction));
    ++rows;
    if (ours && !theirs) {
      ++laxer;
      // It wants fractions reduced, knows a full stop only after some answers, and no decimals for an irrational
      // number.
      const bool fraction = prediction.find("frac{") != prediction.npos || prediction.find('/') != prediction.npos;
      EXPECT_TRUE(fraction || prediction.ends_with('.') || prediction == "3.14159");
    }
    if (theirs && !ours) {
      EXPECT_EQ(stricter.erase(prediction), 1u);
    }
  }
  EXPECT_EQ(rows, 3079);
  EXPECT_THAT(stricter, testing::IsEmpty());
  EXPECT_EQ(laxer, 259);
}

}  // namespace
}  // namespace minimax::rl
