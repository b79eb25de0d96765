// Connection: one client: reads its requests one after another and writes what is answered.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>

#include "server/http/exchange.h"
#include "server/http/http_server.h"
#include "server/http/transport.h"

namespace minimax::server {

using Clock = std::chrono::steady_clock;

/// What the connections of a server share. It lives as long as the last of them.
struct ServerCore {
  HttpOptions options;
  HttpServer::Handler handler;
  HttpServer::Done done;
  HttpServer::ErrorBody error_body;
  boost::asio::io_context io{1};  // one thread runs it
  std::unordered_set<std::shared_ptr<Connection>> connections;
  int64_t body_bytes = 0;  // of requests that are being read or answered
  bool draining = false;
  bool stopping = false;  // connections are closed by the server, not by clients

  mutable std::mutex mutex;  // guards stats and under_way
  HttpStats stats;
  int64_t under_way = 0;  // exchanges
  bool drain_asked = false;
};

/// The answer of one exchange, between whoever writes it and the connection. The mutex guards everything but `request`.
struct Reply {
  Request request;
  int64_t max_queued = 0;
  Clock::time_point begin;
  bool can_chunk = true;  // false for HTTP/1.0, whose streams end with the connection
  bool body_wanted = true;

  std::mutex mutex;
  Headers headers = {};
  std::string outbox = {};    // written, not yet fetched by the connection
  int64_t waiting_bytes = 0;  // in outbox, or fetched and not yet taken by the kernel
  bool keep_alive = true;
  bool begun = false, finished = false, gone = false, too_slow = false, woken = false, chunked = false;
  int status = 0;
  int64_t bytes_sent = 0;
  std::function<void()> on_gone = {};
  std::vector<std::pair<std::string, int64_t>> notes = {};

  /// Each leaves in the outbox what is to be sent. Under the mutex.
  void write_whole(const Response& response);
  void write_stream_head(const Response& head);
  void write_piece(std::string_view piece);
  void write_end();

 private:
  void queue(std::string_view bytes);
};

/// All members run on the io_context's thread, except wake() and release().
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport, std::string peer);
  ~Connection();

  void start();
  /// Looks at the deadlines.
  void check(Clock::time_point now);
  /// Closes now when it is between requests, else after the answer.
  void drain();
  void close();
  /// Since when it is between requests; nothing while it is not.
  std::optional<Clock::time_point> idle_since() const;

  /// Something is in the reply's outbox. From any thread.
  static void wake(std::shared_ptr<Connection> connection);
  /// Lets go of the connection on its own thread. From any thread.
  static void release(std::shared_ptr<Connection> connection);

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  enum class State : uint8_t { kHandshake, kIdle, kHeader, kBody, kAnswering, kLingering, kClosed };

  void enter(State state);
  void new_parser();
  void read();
  void on_read(boost::system::error_code error, size_t bytes);
  void parse();
  void header_done();
  void dispatch();
  void refuse(int status, const std::string& message);
  bool count_body();
  void forget_body();
  void collect();
  void write();
  void on_write(boost::system::error_code error, size_t bytes);
  void answer_done();
  void linger();
  void end_reply(bool client_gone);

  std::shared_ptr<ServerCore> core_;
  std::unique_ptr<Transport> transport_;
  std::string peer_;
  State state_ = State::kHandshake;
  Clock::time_point deadline_, write_deadline_, state_begin_;

  std::array<char, 8192> buffer_;
  std::string in_;  // read, not yet parsed
  bool reading_ = false;
  std::optional<Parser> parser_;
  bool header_seen_ = false;
  int64_t body_bytes_ = 0;  // counted in core_->body_bytes

  std::shared_ptr<Reply> reply_;  // while answering
  std::string out_, writing_;     // to be written; being written
  size_t written_ = 0;            // of writing_
  bool write_pending_ = false;
  bool reply_complete_ = false;  // all of it is in out_ or writing_
  bool close_after_ = false;
};

}  // namespace minimax::server
