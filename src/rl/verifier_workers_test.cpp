// Verifiers in processes of their own: what workers answer, and what becomes of those that do not.
#include "rl/verifier_workers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <sstream>
#include <thread>

#include "io/json.h"
#include "io/test_folder.h"
#include "rl/dialogue/dialogue.h"
#include "rl/rollout.h"
#include "rl/tasks/task.h"
#include "rl/test_policy.h"
#include "text/chat_output_parser.h"

namespace minimax::rl {
namespace {

using testing::HasSubstr;

Problem addition() {
  return make_problem(tasks()[0], 1, 1, Split::kTrain).problem;
}
std::string right_answer() {
  const GeneratedProblem made = make_problem(tasks()[0], 1, 1, Split::kTrain);
  return "<think>" + made.thinking + "</think>" + made.answer;
}

io::json::object request(const Problem& problem, const std::string& text) {
  return {{"problem", to_json(problem)}, {"text", text}, {"finished", true}, {"earlier", io::json::array()}};
}

std::vector<io::json::value> answers_to(const std::string& lines) {
  std::istringstream in(lines);
  std::ostringstream out;
  answer_score_requests(in, out);
  std::vector<io::json::value> answers;
  std::istringstream written(out.str());
  for (std::string line; std::getline(written, line);) answers.push_back(io::parse_json(line, "answer"));
  return answers;
}

TEST(VerifierWorkers, AnswerLinesWithScores) {
  Problem broken = addition();
  broken.gold = {{"nothing", 1}};
  const auto answers = answers_to(io::write_json(request(addition(), right_answer())) + "\n" +
                                  io::write_json(request(addition(), "<think></think>no")) + "\nnot json\n" +
                                  io::write_json(request(broken, right_answer())) + "\n");
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(answers[0].at("score"), 1.0);
  EXPECT_EQ(answers[0].at("correct"), true);
  EXPECT_EQ(answers[1].at("score"), 0.0);
  for (const size_t bad : {2, 3}) {
    EXPECT_TRUE(answers[bad].at("score").is_null());
    EXPECT_THAT(std::string(answers[bad].at("why").as_string()), HasSubstr("verifier failed: "));
  }
}

// A dialogue is played again in the worker: the score is that of the episode it was.
TEST(VerifierWorkers, PlayDialoguesAgain) {
  const GeneratedDialogue made = make_dialogue(3, 3, Split::kTrain);
  std::vector<std::string> turns;
  const std::unique_ptr<Episode> episode = begin_episode(made.problem);
  for (const text::Message& message : made.solution) {
    if (message.role != text::Role::kAssistant) continue;
    std::string turn = "<think>" + message.reasoning.value_or("") + "</think>";
    if (!message.content.empty()) turn += message.content.front().text;
    if (!message.tool_calls.empty()) {
      turn += "<tool_calls>\n";
      for (const text::ToolCall& call : message.tool_calls)
        turn += R"({"name": ")" + call.name + R"(", "arguments": )" + call.arguments + "}\n";
      turn += "</tool_calls>";
    }
    episode->reply(text::parse_output(turn, {.parse_tool_calls = true}));
    turns.push_back(turn);
  }
  ASSERT_GE(turns.size(), 2u);
  const std::span<const std::string> earlier = std::span(turns).first(turns.size() - 1);
  const Attempt last{.text = turns.back(), .earlier = earlier};
  const Score want = episode->score(last), got = score_attempt(made.problem, last);
  EXPECT_EQ(want.score, 1.0) << want.why;
  EXPECT_EQ(got.score, 1.0) << got.why;
  EXPECT_EQ(got.extracted, want.extracted);
  EXPECT_NE(score_attempt(made.problem, {.text = turns.back()}).score, 1.0);  // its calls changed the world
}

#if !defined(__SANITIZE_THREAD__)  // it does not live through a fork of a process with threads
void hang(const Problem&) {
  for (std::atomic<int64_t> i = 0;; ++i) {
  }
}
TEST(VerifierWorkersDeathTest, EndWhenAScoreTakesTooLong) {
  Problem problem = addition();
  problem.limits.wall_seconds = 0.05;
  std::istringstream in(io::write_json(request(problem, "x")) + "\n");
  EXPECT_EXIT(answer_score_requests(in, std::cout,
                                    [](const Problem& hostile, const Attempt&) -> Score {
                                      hang(hostile);
                                      return {};
                                    }),
              testing::KilledBySignal(SIGPROF), "");
}
#endif

// What is no worker: programs of the shell that do what a verifier must not.
VerifierWorkers shell(const std::string& script) {
  return VerifierWorkers({"/bin/sh", "-c", script}, 2);
}

TEST(VerifierWorkers, ThatCrashCostOneScore) {
  const minimax::test::Folder folder;
  // The first of them dies on its question; the ones after it answer.
  VerifierWorkers workers = shell("while read -r line; do if mkdir '" + (folder / "died").string() +
                                  "' 2> /dev/null; then kill -SEGV $$; fi; echo '{\"score\": 1.0, \"correct\": true, "
                                  "\"format_ok\": true, \"extracted\": \"7\", \"why\": \"correct\", \"ms\": 0.5, "
                                  "\"verifier_v\": 3}'; done");
  const Score none = workers.score(addition(), {.text = "x"});
  EXPECT_EQ(none.score, std::nullopt);
  EXPECT_FALSE(none.correct);
  EXPECT_EQ(none.why, "verifier failed: it ended by signal 11");
  const Score good = workers.score(addition(), {.text = "x"});
  EXPECT_EQ(good.score, 1.0);
  EXPECT_TRUE(good.correct && good.format_ok);
  EXPECT_EQ(good.extracted, "7");
  EXPECT_EQ(good.why, "correct");
  EXPECT_EQ(good.verifier_version, 3);
}

TEST(VerifierWorkers, ThatReachTheirLimitAreTimeouts) {
  const Score late = shell("read -r line; kill -PROF $$").score(addition(), {.text = "x"});
  EXPECT_EQ(late.score, std::nullopt);
  EXPECT_EQ(late.why, "timeout");
}

TEST(VerifierWorkers, ThatCannotSpeakMakeNoScore) {
  for (const char* script : {"exit 0", "read -r line; echo hello", "read -r line; echo '{\"score\": 1.0}'"}) {
    const Score score = shell(script).score(addition(), {.text = "x"});
    EXPECT_EQ(score.score, std::nullopt) << script;
    EXPECT_THAT(score.why, HasSubstr("verifier failed: ")) << script;
  }
}

TEST(VerifierWorkers, ScoreRollouts) {
  test::Policy policy;
  Problem problem = addition();
  problem.limits.max_new = 4;
  RolloutOptions options{.group_size = 3, .window = 4};
  options.verifier_workers = std::make_shared<VerifierWorkers>(
      std::vector<std::string>{"/bin/sh", "-c",
                               "while read -r line; do echo '{\"score\": 0.5, \"correct\": false, \"format_ok\": true, "
                               "\"extracted\": \"\", \"why\": \"half\", \"ms\": 0.5, \"verifier_v\": 1}'; done"},
      2);
  const std::vector<Group> groups = roll_out(policy.engine, policy.tokenizer, std::span(&problem, 1), options, 0);
  for (const Sample& sample : groups[0].samples) {
    EXPECT_EQ(sample.score.score, 0.5);
    EXPECT_EQ(sample.score.why, "half");
  }
}

}  // namespace
}  // namespace minimax::rl
