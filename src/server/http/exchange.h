// Exchange: one request and the way to answer it, from any thread and as slowly as a model speaks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/message.h"

namespace minimax::server {

class Connection;
struct Reply;

/// How an exchange ended, for log and metrics.
struct Outcome {
  int status = 0;            ///< 0: the client left before there was an answer
  int64_t bytes_sent = 0;    ///< of head and body, as the kernel took them
  double seconds = 0;        ///< from the last byte of the request
  bool client_gone = false;  ///< it left, or read too slowly, before the end of the answer
  bool cut = false;          ///< the server was stopped before the end of the answer
  std::vector<std::pair<std::string, int64_t>> notes = {};  ///< of Exchange::note
};

/// All members may be called from any thread. Either respond(), or begin_stream(), send() as often as wanted, finish().
/// An exchange that is dropped unanswered answers 500 by itself. What is sent is queued and never blocks: when the
/// client reads so slowly that more than the server's bound is waiting, the connection is dropped.
class Exchange {
 public:
  Exchange(std::shared_ptr<Reply> reply, std::shared_ptr<Connection> connection);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const Request& request() const;

  /// The whole answer. A second answer, and one to a client that is gone, is dropped.
  void respond(const Response& response);
  /// Status and headers of an answer whose body comes in pieces.
  void begin_stream(const Response& head);
  /// The next piece of the body. Empty pieces are left out.
  void send(std::string_view piece);
  void finish();
  /// respond() or begin_stream() was called.
  bool begun() const;

  /// `gone` is called at most once, from the server's thread, when the client leaves or is dropped before the answer is
  /// finished; at once, from this thread, when that has happened already. One callback an exchange.
  void on_gone(std::function<void()> gone);
  bool gone() const;

  /// A header that the answer gets, whoever writes it (CORS, a request id). Before the answer begins.
  void add_header(std::string name, std::string value);
  /// A figure for the access log.
  void note(std::string_view key, int64_t value);

 private:
  std::shared_ptr<Reply> reply_;
  std::shared_ptr<Connection> connection_;
};

}  // namespace minimax::server
