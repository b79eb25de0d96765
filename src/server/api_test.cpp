// What stands between the engine's ids and a client's JSON, where the whole-system tests (tests/server/) do not reach.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/api/answer_text.h"
#include "server/api/gate.h"
#include "server/api/prometheus.h"
#include "server/api/utility_endpoints.h"
#include "server/api/work_queue.h"
#include "server/api/writer_group.h"
#include "text/tokenizer_files.h"

namespace minimax::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = text::OutputEvent::Kind;

// Every byte is a token with its own id.
const text::Tokenizer& bytes_tokenizer() {
  static const text::Tokenizer tokenizer = [] {
    text::TokenizerParts parts = text::parse_merges("#version: 0.2\n", "merges");
    text::complete_special_tokens(parts);
    return text::Tokenizer::from_parts(std::move(parts));
  }();
  return tokenizer;
}

struct Read {
  text::ParsedOutput output;
  std::string tokens;  // of the reports
  std::optional<std::string> stop;
};

Read read(std::string_view text, AnswerTextOptions options) {
  AnswerText answer(bytes_tokenizer(), std::move(options));
  Read read;
  const auto take = [&](const AnswerText::Step& step) {
    read.output.add(step.events);
    for (const TokenReport& token : step.tokens) read.tokens += static_cast<char>(token.id);
  };
  for (const char c : text) {
    const AnswerText::Step step = answer.push({.id = static_cast<unsigned char>(c)});
    take(step);
    if (step.stopped) break;
  }
  take(answer.finish());
  read.stop = answer.stop_string();
  return read;
}

TEST(AnswerText, StopStringsEndTheContentAlone) {
  const Read got =
      read("<think>\nSTOP? no\n</think>\n\nThe answer. STOP it", {.stop = {"nothing", "STOP"}, .reports = true});
  EXPECT_EQ(got.output.reasoning, "STOP? no");
  EXPECT_EQ(got.output.content, "The answer. ");
  EXPECT_EQ(got.stop, "STOP");
  EXPECT_EQ(got.tokens, "The answer. STOP");
}

TEST(AnswerText, ReportsAreOfTheContent) {
  EXPECT_EQ(read("<think>a</think>\n\nb\n\nc", {.reports = true}).tokens, "b\n\nc");
  EXPECT_EQ(read("</think>\n\nb</think>", {.reports = true}).tokens, "b</think>");
  EXPECT_EQ(read("\n\nplain", {.reports = true}).tokens, "\n\nplain");
  EXPECT_EQ(read("a<think>b", {.parse = false, .reports = true}).tokens, "a<think>b");
  EXPECT_EQ(read("abc", {}).tokens, "");
}

TEST(AnswerText, HeldBackTextComesBeforeACall) {
  const Read got = read("Wait S<tool_calls>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_calls>",
                        {.parser = {.tool_calls = {.stream_arguments = false}}, .stop = {"STOP"}});
  EXPECT_EQ(got.output.content, "Wait S");
  ASSERT_EQ(got.output.tool_calls.size(), 1U);
  EXPECT_EQ(got.output.tool_calls[0].name, "f");
}

TEST(ResponseStore, TheOldestGoes) {
  ResponseStore store(3000);
  for (const char* id : {"a", "b", "c"}) store.put(id, {.body = std::string(1000, 'x')});
  EXPECT_FALSE(store.find("a"));
  EXPECT_TRUE(store.find("b") && store.find("c"));
  store.put("b", {.body = "new"});
  EXPECT_EQ(store.find("b")->body, "new");
  store.put("huge", {.body = std::string(5000, 'x')});
  EXPECT_FALSE(store.find("huge"));
  EXPECT_TRUE(store.find("c"));
  EXPECT_TRUE(store.drop("c"));
  EXPECT_FALSE(store.drop("c"));
}

TEST(Prometheus, LabelsAndHistograms) {
  PrometheusText out(PrometheusText::Labels{{"model", "a \"quoted\" \\ name\n"}});
  out.gauge("g", "help", 0.5);
  engine::Histogram histogram;
  histogram.add(0.002);
  histogram.add(1e9);
  out.histogram("h", "help", histogram);
  EXPECT_THAT(out.text(), HasSubstr("g{model=\"a \\\"quoted\\\" \\\\ name \"} 0.5\n"));
  EXPECT_THAT(out.text(), HasSubstr("le=\"0.001\"} 0\n"));
  EXPECT_THAT(out.text(), HasSubstr("le=\"0.0025\"} 1\n"));
  EXPECT_THAT(out.text(), HasSubstr("le=\"+Inf\"} 2\n"));
}

TEST(Sessions, NamesAreFileNamesAndNothingMore) {
  for (const char* good : {"a", "tea-time_2.1", "A"}) EXPECT_TRUE(is_session_name(good)) << good;
  for (const char* bad : {"", ".", "..", ".a", "a/b", "a b", "a%2f", "\xC3\xA4"})
    EXPECT_FALSE(is_session_name(bad)) << bad;
  EXPECT_FALSE(is_session_name(std::string(101, 'a')));
}

// Notes what a group tells of the whole.
struct Notes : AnswerWriter {
  std::vector<std::string>& told;
  explicit Notes(std::vector<std::string>& told) : told(told) {}
  void begin() override { told.emplace_back("begin"); }
  void piece(int64_t answer, const AnswerText::Step&) override { told.push_back("piece " + std::to_string(answer)); }
  void end(const AnswerFinish& finish) override { told.push_back("end " + std::to_string(finish.answer)); }
  void done(const engine::Usage& usage) override { told.push_back("done " + std::to_string(usage.generated_tokens)); }
  void failed(const ApiError& error) override { told.push_back(std::string("failed ") + error.what()); }
};

TEST(WriterGroup, IsOneAnswerOfMany) {
  std::vector<std::string> told;
  const auto group = std::make_shared<WriterGroup>(std::make_unique<Notes>(told), 2, 2);
  const auto first = group->member(0), second = group->member(1);
  first->begin();
  first->piece(1, {});
  EXPECT_TRUE(told.empty());  // the second may still be refused
  group->open();
  second->begin();
  second->piece(0, {});
  second->end({.answer = 1});
  second->done({.generated_tokens = 3});
  first->done({.generated_tokens = 4});
  EXPECT_THAT(told, ElementsAre("begin", "piece 1", "piece 2", "end 3", "done 7"));

  told.clear();
  const auto refused = std::make_shared<WriterGroup>(std::make_unique<Notes>(told), 2, 1);
  const auto member = refused->member(0);
  member->begin();
  refused->abandon();
  member->done({});
  EXPECT_TRUE(told.empty());
}

TEST(WorkQueue, RefusesWhatIsTooMuchAndFinishesTheRest) {
  std::atomic<int> done = 0;
  std::mutex hold;
  {
    hold.lock();
    WorkQueue queue(1, 2);
    ASSERT_TRUE(queue.post([&] {
      const std::lock_guard lock(hold);
      ++done;
    }));
    int taken = 0;
    for (int piece = 0; piece < 10; ++piece) taken += queue.post([&] { ++done; }) ? 1 : 0;
    EXPECT_LE(taken, 3);
    EXPECT_GE(taken, 1);
    hold.unlock();
  }
  EXPECT_GE(done, 2);
}

}  // namespace
}  // namespace minimax::server
