// Programs against hidden tests: right ones pass, and the ways round the tests do not.
#include "rl/code/code_verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/error.h"
#include "rl/code/sandbox.h"
#include "rl/verifier.h"

namespace minimax::rl {
namespace {

TEST(CodeBlock, TheLastClosedOne) {
  EXPECT_EQ(last_code_block("```py\nprint(1)\n```"), "print(1)\n");
  EXPECT_EQ(last_code_block("a\n```\none\n```\nb\n```cpp\ntwo\n```\nc"), "two\n");
  EXPECT_EQ(last_code_block("```\none\n```\n```\nnot closed"), "one\n");
  EXPECT_EQ(last_code_block("```py\nprint('```')\n```"), "print('```')\n");
  for (const char* none : {"", "no code", "```", "inline ```code``` only", "```\nnot closed"})
    EXPECT_EQ(last_code_block(none), std::nullopt) << none;
}

TEST(Output, ComparesWords) {
  EXPECT_TRUE(same_output("1 2\n3\n", "1 2 3"));
  EXPECT_FALSE(same_output("1 2", "1 2 3"));
  EXPECT_FALSE(same_output("1 2 3 4", "1 2 3"));
  EXPECT_FALSE(same_output("0.3333", "0.33333333"));
  EXPECT_TRUE(same_output("0.3333333", "0.33333333", 1e-6));
  EXPECT_TRUE(same_output("1000000.5", "1000000", 1e-6));
  EXPECT_FALSE(same_output("nan", "1", 1e-6));
  EXPECT_FALSE(same_output("", "1"));
}

class Code : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto problem = sandbox_problem()) GTEST_SKIP() << "no sandbox here: " << *problem;
    if (!std::filesystem::exists("/usr/bin/python3")) GTEST_SKIP() << "needs python3";
  }

  static std::string why(const char* gold, const std::string& code) {
    io::json::value value = io::parse_json(gold, "gold");
    // Unless it says so itself: a slow machine is not to be taken for an endless loop.
    value.as_object().emplace("time_ms", 300000);
    return run_tests(io::JsonField(value, "gold"), "```\n" + code + "\n```").why;
  }

  static constexpr const char* kSum =
      R"({"lang": "py", "tests": [{"in": "1 2\n", "out": "3\n"}, {"in": "5 7", "out": "12"}], "time_ms": 300000})";
  static constexpr const char* kHurried =
      R"({"lang": "py", "tests": [{"in": "1 2\n", "out": "3\n"}], "time_ms": 1000})";
};

TEST_F(Code, PythonStdio) {
  EXPECT_EQ(why(kSum, "print(sum(map(int, input().split())))"), "correct");
  EXPECT_EQ(why(kSum, "print(3)"), "wrong_output");
  EXPECT_EQ(why(kSum, "print(sum(map(int, input().split())), 'extra')"), "wrong_output");
  EXPECT_EQ(why(kSum, "raise SystemExit(0)"), "wrong_output");  // exit(0) early
  EXPECT_EQ(why(kSum, "import os; os._exit(0)"), "wrong_output");
  EXPECT_EQ(why(kHurried, "while True: pass"), "timeout");
  EXPECT_EQ(why(kHurried, "import time; time.sleep(60)"), "timeout");
  EXPECT_EQ(why(kSum, "x = [0] * (1 << 40)"), "crash");
  EXPECT_EQ(why(kSum, "1/0"), "crash");
  EXPECT_EQ(why(kSum, "this is no python"), "crash");
  EXPECT_EQ(why(kSum, ""), "wrong_output");
  // The expected output is nowhere: not in files, not in /proc, not in the environment, not in the parent.
  EXPECT_EQ(why(kSum, "import os\nfor f in os.listdir('/work'):\n  print(open('/work/' + f).read())"), "wrong_output");
  EXPECT_EQ(why(kSum, "print(open('/proc/1/environ').read())"), "crash");
  EXPECT_EQ(why(kSum, "import os, signal\nos.kill(os.getppid(), 9)\nprint(3)"), "wrong_output");
  EXPECT_EQ(run_tests(io::JsonField(io::json::value(io::json::object{}), "gold"), "no code here").why, "no_code");
}

TEST_F(Code, Compiled) {
  if (!std::filesystem::exists("/usr/bin/g++")) GTEST_SKIP() << "needs g++";
  const char* gold = R"({"lang": "cpp", "tests": [{"in": "1 2\n", "out": "3\n"}, {"in": "5 7", "out": "12"}]})";
  EXPECT_EQ(why(gold, "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }"),
            "correct");
  EXPECT_EQ(why(gold, "int main() { return 0 }"), "compile_error");
  EXPECT_EQ(why(gold, "int main() { int* p = nullptr; return *p; }"), "crash");
  EXPECT_EQ(why(gold, "#include \"/etc/passwd\"\nint main() {}"), "compile_error");
}

TEST_F(Code, Functions) {
  const char* gold =
      R"({"lang": "py", "mode": "function", "name": "f", "tests": [{"args": [[3, 1, 2], 2], "out": [1, 2]},
                         {"args": [[], 5], "out": []}]})";
  EXPECT_EQ(why(gold, "def f(x, n):\n  print('noise')\n  return tuple(sorted(x)[:n])"), "correct");
  EXPECT_EQ(why(gold, "def f(x, n):\n  return x[:n]"), "wrong_output");
  EXPECT_EQ(why(gold, "def g(x, n):\n  return x[:n]"), "crash");
  // An object that is equal to everything is no JSON.
  EXPECT_EQ(why(gold, "class A:\n  def __eq__(self, o): return True\ndef f(x, n):\n  return A()"), "crash");
  EXPECT_EQ(why(gold, "import sys\ndef f(x, n):\n  print('[1, 2]'); sys.exit(0)"), "wrong_output");
}

TEST_F(Code, Checkers) {
  const char* gold = R"json({"lang": "py", "mode": "checker", "tests": [{"in": "10", "out": ""}],
                         "checker": "import sys\nn = int(open('in').read())\na, b = map(int, open('answer').read().split())\nsys.exit(0 if a + b == n and a > 0 and b > 0 else 1)"})json";
  EXPECT_EQ(why(gold, "n = int(input()); print(1, n - 1)"), "correct");
  EXPECT_EQ(why(gold, "n = int(input()); print(n - 4, 4)"), "correct");
  EXPECT_EQ(why(gold, "n = int(input()); print(0, n)"), "wrong_output");
  EXPECT_EQ(why(gold, "print('nothing')"), "wrong_output");
}

TEST_F(Code, IsAVerifier) {
  Problem problem;
  problem.verifier.name = "code";
  problem.gold = io::parse_json(kSum, "gold").as_object();
  const std::string right = "<think>easy</think>\n```python\nprint(sum(map(int, input().split())))\n```";
  EXPECT_EQ(verify(problem, {.text = right}).score, 1.0);
  EXPECT_EQ(verify(problem, {.text = right, .finished = false}).score, 0.0);
  for (const char* wrong : {"<think>```\nprint(3)\n```</think>", "<think></think>```\nprint(3)\n```",
                            "<think></think>I give up", "```\nprint(sum(map(int, input().split())))\n```"})
    EXPECT_EQ(verify(problem, {.text = wrong}).score, 0.0) << wrong;
  problem.gold["lang"] = "cobol";
  EXPECT_THROW(verify(problem, {.text = right}), Error);
}

}  // namespace
}  // namespace minimax::rl
