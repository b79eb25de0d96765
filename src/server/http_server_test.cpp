// The HTTP server against clients that are slow, rude or gone, with bounds small enough for a test.
#include "server/http/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"

namespace minimax::server {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A blocking socket.
class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer = 0) : descriptor_(socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    const timeval patience{.tv_sec = 1200, .tv_usec = 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
      throw Error(ErrorKind::kIo, "connect");
  }
  ~Client() { leave(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(std::string_view bytes) { ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  /// One read; empty at the end.
  std::string receive() {
    char buffer[4096];
    const ssize_t bytes = recv(descriptor_, buffer, sizeof(buffer), 0);
    return bytes > 0 ? std::string(buffer, static_cast<size_t>(bytes)) : "";
  }
  std::string receive_all() {
    std::string all;
    for (std::string piece = receive(); !piece.empty(); piece = receive()) all += piece;
    return all;
  }
  void leave() {
    if (descriptor_ >= 0) close(descriptor_);
    descriptor_ = -1;
  }

 private:
  int descriptor_;
};

struct Running {
  explicit Running(HttpServer::Handler handler, HttpOptions options = {})
      : server(with_port(options), std::move(handler), [this](const Request&, const Outcome& outcome) {
          const std::lock_guard lock(mutex);
          outcomes.push_back(outcome);
        }) {
    thread = std::thread([this] { server.run(); });
  }
  ~Running() {
    server.stop();
    thread.join();
  }
  static HttpOptions with_port(HttpOptions options) {
    options.port = 0;
    return options;
  }
  std::vector<Outcome> ended() {
    const std::lock_guard lock(mutex);
    return outcomes;
  }

  std::mutex mutex;
  std::vector<Outcome> outcomes;
  HttpServer server;
  std::thread thread;
};

bool eventually(const std::function<bool()>& condition) {
  for (int tries = 0; tries < 120'000; ++tries) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

void answer(std::shared_ptr<Exchange> exchange) {
  exchange->respond({.content_type = "text/plain", .body = exchange->request().path});
}

constexpr std::string_view kGet = "GET /path?q=1 HTTP/1.1\r\nhost: x\r\n\r\n";

TEST(HttpServer, BodiesHaveOneBoundTogether) {
  std::mutex hold;
  std::vector<std::shared_ptr<Exchange>> held;
  Running running(
      [&](std::shared_ptr<Exchange> exchange) {
        if (exchange->request().path == "/quick") return answer(exchange);
        const std::lock_guard lock(hold);
        held.push_back(std::move(exchange));
      },
      {.max_body_bytes = 1 << 20, .max_bodies_bytes = 300 << 10});
  const auto post = [&](std::string_view path, int64_t bytes) {
    auto client = std::make_unique<Client>(running.server.port());
    client->send("POST " + std::string(path) + " HTTP/1.1\r\nhost: x\r\ncontent-length: " + std::to_string(bytes) +
                 "\r\n\r\n");
    client->send(std::string(static_cast<size_t>(bytes), 'x'));
    return client;
  };
  const auto waiting = [&] {
    const std::lock_guard lock(hold);
    return held.size();
  };
  const auto first = post("/kept", 200 << 10);
  ASSERT_TRUE(eventually([&] { return waiting() == 1; }));
  EXPECT_THAT(post("/quick", 200 << 10)->receive(), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(post("/quick", 60 << 10)->receive(), StartsWith("HTTP/1.1 200 "));
  {
    const std::lock_guard lock(hold);
    answer(held[0]);
    held.clear();
  }
  EXPECT_THAT(first->receive(), StartsWith("HTTP/1.1 200 "));
  for (int round = 0; round < 5; ++round)  // what was refused or answered is no longer counted
    EXPECT_THAT(post("/quick", 250 << 10)->receive(), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, AnswersOneAfterAnother) {
  Running running(answer);
  Client client(running.server.port());
  for (int round = 0; round < 3; ++round) {
    client.send(kGet);
    const std::string got = client.receive();
    EXPECT_THAT(got, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(got, ::testing::EndsWith("\r\n\r\n/path"));
  }
  EXPECT_TRUE(eventually([&] { return running.ended().size() == 3; }));
  EXPECT_EQ(running.server.stats().connections, 1);
}

TEST(HttpServer, RequestThatIsDroppedGets500) {
  Running running([](const std::shared_ptr<Exchange>&) {});
  Client client(running.server.port());
  client.send(kGet);
  EXPECT_THAT(client.receive(), StartsWith("HTTP/1.1 500 "));
  Running throwing([](const std::shared_ptr<Exchange>&) { throw Error(ErrorKind::kInternal, "oh"); });
  Client other(throwing.server.port());
  other.send(kGet);
  EXPECT_THAT(other.receive(), StartsWith("HTTP/1.1 500 "));
}

TEST(HttpServer, SlowHeadersAndBodiesTimeOut) {
  Running running(answer, {.header_seconds = 0.3, .body_seconds = 0.3, .idle_seconds = 60});
  for (const std::string_view start : {"GET / HT", "POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\nabc"}) {
    std::string got;
    for (int tries = 0; got.empty() && tries < 1000; ++tries) {  // a slow machine may not get as far as the first byte
      Client client(running.server.port());
      client.send(start);
      got = client.receive_all();
    }
    EXPECT_THAT(got, StartsWith("HTTP/1.1 408 ")) << start;
  }
  EXPECT_GE(running.server.stats().timed_out, 2);
}

TEST(HttpServer, IdleConnectionsAreClosed) {
  Running running(answer, {.idle_seconds = 0.3});
  Client silent(running.server.port());
  EXPECT_EQ(silent.receive_all(), "");
  std::string got;
  for (int tries = 0; got.empty() && tries < 1000; ++tries) {  // a slow client is idle before it has said a word
    Client used(running.server.port());
    used.send(kGet);
    got = used.receive_all();
  }
  EXPECT_THAT(got, HasSubstr("/path"));
}

TEST(HttpServer, NoticesThatAClientLeftWhileNothingIsSent) {
  std::atomic<bool> gone{false};
  std::shared_ptr<Exchange> kept;
  std::atomic<bool> asked{false};
  Running running([&](const std::shared_ptr<Exchange>& exchange) {
    exchange->on_gone([&] { gone = true; });
    kept = exchange;
    asked = true;
  });
  Client client(running.server.port());
  client.send(kGet);
  ASSERT_TRUE(eventually([&] { return asked.load(); }));
  EXPECT_FALSE(gone);
  client.leave();
  EXPECT_TRUE(eventually([&] { return gone.load(); }));
  EXPECT_TRUE(kept->gone());
  kept->respond({.body = "too late"});
  kept.reset();
  ASSERT_TRUE(eventually([&] { return running.ended().size() == 1; }));
  EXPECT_TRUE(running.ended()[0].client_gone);
}

TEST(HttpServer, ClientThatDoesNotReadIsDroppedAndHoldsNobodyUp) {
  std::shared_ptr<Exchange> stream;
  std::atomic<bool> asked{false};
  Running running(
      [&](const std::shared_ptr<Exchange>& exchange) {
        if (exchange->request().path != "/stream") return answer(exchange);
        exchange->begin_stream({});
        stream = exchange;
        asked = true;
      },
      {.max_queued_bytes = 100 << 10, .write_seconds = 1e6});  // a send() that waited for it would wait for ever
  Client slow(running.server.port(), 4096);
  slow.send("GET /stream HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return asked.load(); }));
  const std::string piece(10 << 10, 'x');
  for (int pieces = 0; pieces < 5000; ++pieces) stream->send(piece);  // 50 MB, more than any kernel keeps
  EXPECT_TRUE(eventually([&] { return stream->gone(); }));
  Client other(running.server.port());
  other.send(kGet);
  EXPECT_THAT(other.receive(), HasSubstr("/path"));
  stream.reset();
  EXPECT_TRUE(eventually([&] { return running.server.stats().dropped_slow == 1; }));
  EXPECT_TRUE(eventually([&] { return running.server.stats().connections == 1; }));
}

TEST(HttpServer, WholeAnswerThatNobodyReadsTimesOut) {
  Running running(
      [](const std::shared_ptr<Exchange>& exchange) {
        exchange->respond({.body = std::string(30 << 20, 'x')});  // more than the bound of streams, and the kernel's
      },
      {.max_queued_bytes = 1000, .write_seconds = 0.3});
  Client client(running.server.port(), 4096);
  client.send(kGet);
  EXPECT_TRUE(eventually([&] { return running.server.stats().timed_out == 1; }));
  EXPECT_TRUE(eventually([&] { return running.server.stats().connections == 0; }));
}

TEST(HttpServer, AtItsLimitTheOldestIdleConnectionGivesWay) {
  Running running(answer, {.max_connections = 3});
  Client first(running.server.port()), second(running.server.port()), third(running.server.port());
  second.send(kGet);
  EXPECT_THAT(second.receive(), HasSubstr("/path"));
  ASSERT_TRUE(eventually([&] { return running.server.stats().connections == 3; }));
  Client fourth(running.server.port());
  fourth.send(kGet);
  EXPECT_THAT(fourth.receive(), HasSubstr("/path"));
  EXPECT_EQ(first.receive_all(), "");
  EXPECT_EQ(running.server.stats().connections, 3);
}

TEST(HttpServer, DrainsAnswersThatHaveBegun) {
  std::shared_ptr<Exchange> stream;
  std::atomic<bool> asked{false};
  Running running([&](const std::shared_ptr<Exchange>& exchange) {
    exchange->begin_stream({});
    stream = exchange;
    asked = true;
  });
  Client idle(running.server.port()), client(running.server.port());
  client.send(kGet);
  ASSERT_TRUE(eventually([&] { return asked.load(); }));
  running.server.drain();
  EXPECT_EQ(idle.receive_all(), "");
  EXPECT_FALSE(running.server.drained());
  stream->send("the end");
  stream->finish();
  stream.reset();
  EXPECT_THAT(client.receive_all(), HasSubstr("7\r\nthe end\r\n0\r\n\r\n"));
  EXPECT_TRUE(eventually([&] { return running.server.drained(); }));
  EXPECT_THROW(Client(running.server.port()), Error);
}

TEST(HttpServer, ManyThreadsWriteAtOnce) {
  std::mutex mutex;
  std::vector<std::thread> writers;
  Running running([&](const std::shared_ptr<Exchange>& exchange) {
    const std::lock_guard lock(mutex);
    writers.emplace_back([exchange] {
      exchange->begin_stream({});
      for (int piece = 0; piece < 200; ++piece) exchange->send("piece ");
      exchange->note("pieces", 200);
      exchange->finish();
    });
  });
  std::vector<std::unique_ptr<Client>> clients;
  for (int client = 0; client < 20; ++client) {
    clients.push_back(std::make_unique<Client>(running.server.port()));
    clients.back()->send("GET / HTTP/1.1\r\nconnection: close\r\n\r\n");
  }
  for (const auto& client : clients) {
    const std::string got = client->receive_all();
    size_t pieces = 0;
    for (size_t at = got.find("piece "); at != std::string::npos; at = got.find("piece ", at + 1)) ++pieces;
    EXPECT_EQ(pieces, 200U);
  }
  for (std::thread& writer : writers) writer.join();
  ASSERT_TRUE(eventually([&] { return running.ended().size() == 20; }));
  for (const Outcome& outcome : running.ended()) EXPECT_EQ(outcome.notes.at(0).second, 200);
}

TEST(HttpMessage, Pieces) {
  EXPECT_EQ(percent_decode("a%20b%2Fc%zz%"), "a b/c%zz%");
  EXPECT_EQ(query_value("a=1&b=x%20y&c", "b"), "x y");
  EXPECT_EQ(query_value("a=1&b=x%20y&c", "c"), "");
  EXPECT_EQ(query_value("a=1", "z"), "");
  const std::string head = write_head({.headers = {{"x", "a\r\nset-cookie: evil"}}}, {.length = 3});
  EXPECT_THAT(head, HasSubstr("x: a\r\n\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("evil")));
}

}  // namespace
}  // namespace minimax::server
