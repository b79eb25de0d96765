// Programs and endpoints as verifiers, those that misbehave too.
#include "rl/external/external_verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "io/test_folder.h"
#include "rl/tasks/task.h"

namespace minimax::rl {
namespace {

using testing::HasSubstr;

Problem some_problem() {
  return make_problem(tasks()[0], 1, 1, Split::kTrain).problem;
}

/// A verifier in the shell's own words.
ExternalOptions shell(const std::string& script, double timeout = 1200) {
  return {.name = "mine", .command = {"/bin/sh", "-c", script}, .timeout_seconds = timeout};
}

Score ask(ExternalVerifier& verifier, std::string_view text = "<think>t</think>42") {
  return verifier.score(some_problem(), {.text = text});
}

TEST(ExternalVerifier, TalksInLines) {
  ExternalVerifier verifier(shell(R"(while read -r line; do case "$line" in
    *'"answer":"42"'*'"finished":true'*) echo '{"score": 1, "why": "yes"}';;
    *) echo '{"score": 0.25, "correct": false, "format_ok": false}';; esac; done)"));
  const Score right = ask(verifier);
  EXPECT_EQ(right.score, 1.0);
  EXPECT_TRUE(right.correct && right.format_ok);
  EXPECT_EQ(right.why, "yes");
  EXPECT_EQ(right.extracted, "42");
  const Score wrong = ask(verifier, "43");
  EXPECT_EQ(wrong.score, 0.25);
  EXPECT_FALSE(wrong.correct || wrong.format_ok);
  EXPECT_EQ(ask(verifier).score, 1.0);  // the same program still
}

TEST(ExternalVerifier, GetsTheWholeRecord) {
  const test::Folder folder;
  ExternalVerifier verifier(shell("read -r line; echo \"$line\" > " + (folder / "line").string() +
                                  "; echo '{\"score\": null, \"why\": \"not today\"}'"));
  const Score score = ask(verifier);
  EXPECT_EQ(score.score, std::nullopt);
  EXPECT_EQ(score.why, "not today");
  const io::json::value request = io::read_json_file(folder / "line");
  const io::JsonField field(request, "line");
  EXPECT_EQ(field["text"].string(), "<think>t</think>42");
  EXPECT_EQ(field["problem"]["id"].string(), some_problem().id);
  EXPECT_TRUE(field["problem"]["gold"].is_object());
}

TEST(ExternalVerifier, FailuresAreNoScores) {
  for (const auto& [script, says] : std::initializer_list<std::pair<const char*, const char*>>{
           {"read -r line; exit 0", "ended"},
           {"exec sleep 100", "timeout"},
           {"read -r line; echo not json", "answer of verifier mine"},
           {"read -r line; echo '[1]'", "answer of verifier mine"},
           {"read -r line; echo '{\"score\": \"high\"}'", "score"},
           {"read -r line; exec yes | tr -d '\\n'", "too long"}}) {
    // Those that say something or end are not to be cut short by their time.
    ExternalVerifier verifier(shell(script, std::string_view(says) == "timeout" ? 0.5 : 1200));
    const Score score = ask(verifier);
    EXPECT_EQ(score.score, std::nullopt) << script;
    EXPECT_FALSE(score.correct);
    EXPECT_THAT(score.why, HasSubstr(says)) << script;
  }
  // It may be gone before it is asked or after.
  ExternalVerifier gone(shell("exit 0"));
  EXPECT_THAT(ask(gone).why, testing::AnyOf(HasSubstr("ended"), HasSubstr("takes no more input")));
  ExternalVerifier missing({.name = "mine", .command = {"/no/such/program"}});
  EXPECT_THAT(ask(missing).why, testing::AnyOf(HasSubstr("cannot be started"), HasSubstr("ended")));
}

// One that dies is started again for the next attempt.
TEST(ExternalVerifier, StartsAgain) {
  ExternalVerifier verifier(shell("read -r line; echo '{\"score\": 1}'; exit 1"));
  EXPECT_EQ(ask(verifier).score, 1.0);
  int scored = 0;
  for (int i = 0; i < 4; ++i) scored += ask(verifier).score.has_value();
  EXPECT_GE(scored, 2);  // the first after a death may find out only by asking
}

TEST(ExternalVerifier, ServesThreads) {
  ExternalVerifier verifier(shell("while read -r line; do echo '{\"score\": 1}'; done"));
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int j = 0; j < 10; ++j) right += ask(verifier).score == 1.0;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 40);
}

/// Answers one request with `reply`, on a port of its own; keeps what it was asked.
class Endpoint {
 public:
  explicit Endpoint(std::string reply) {
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(socket_, 1);
    socklen_t size = sizeof address;
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    thread_ = std::thread([this, reply = std::move(reply)] {
      const int client = ::accept(socket_, nullptr, nullptr);
      char buffer[65536];
      while (asked.find("\"finished\":true}") == std::string::npos) {
        const ssize_t now = ::read(client, buffer, sizeof buffer);
        if (now <= 0) break;
        asked.append(buffer, static_cast<size_t>(now));
      }
      [[maybe_unused]] const auto written = ::write(client, reply.data(), reply.size());
      ::close(client);
    });
  }
  ~Endpoint() {
    if (thread_.joinable()) thread_.join();
    ::close(socket_);
  }
  void join() { thread_.join(); }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port) + "/score?x=1"; }

  int port = 0;
  std::string asked;

 private:
  int socket_;
  std::thread thread_;
};

TEST(ExternalVerifier, PostsToAnEndpoint) {
  Endpoint endpoint("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"score\": 0.5, \"why\": \"half\"}");
  ExternalVerifier verifier({.name = "mine", .url = endpoint.url(), .timeout_seconds = 1200});
  const Score score = ask(verifier);
  EXPECT_EQ(score.score, 0.5);
  EXPECT_EQ(score.why, "half");
  endpoint.join();
  EXPECT_THAT(endpoint.asked, testing::StartsWith("POST /score?x=1 HTTP/1.0\r\nHost: 127.0.0.1\r\n"));
}

TEST(ExternalVerifier, EndpointsFailToo) {
  for (const auto& [reply, says] : std::initializer_list<std::pair<const char*, const char*>>{
           {"HTTP/1.1 500 Oh no\r\n\r\n{}", "HTTP status 500"}, {"hello", "no HTTP"}, {"", "no HTTP"}}) {
    Endpoint endpoint(reply);
    ExternalVerifier verifier({.name = "mine", .url = endpoint.url(), .timeout_seconds = 1200});
    const Score score = ask(verifier);
    EXPECT_EQ(score.score, std::nullopt);
    EXPECT_THAT(score.why, HasSubstr(says));
  }
  ExternalVerifier nobody({.name = "mine", .url = "http://127.0.0.1:1/", .timeout_seconds = 1200});
  EXPECT_THAT(ask(nobody).why, HasSubstr("no connection"));
}

TEST(ExternalVerifier, RefusesWhatItCannotBe) {
  EXPECT_THAT(test::error_of([] { ExternalVerifier({.name = "x"}); }), HasSubstr("command or a url"));
  EXPECT_THAT(test::error_of([] { ExternalVerifier({.name = "x", .url = "https://a/"}); }), HasSubstr("http://"));
  EXPECT_THAT(test::error_of([] { ExternalVerifier({.name = "x", .url = "http://a:b/"}); }), HasSubstr("http://"));
}

}  // namespace
}  // namespace minimax::rl
