// HttpServer: HTTP/1.1 for thousands of connections on one thread; requests go out, answers come back from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/http/exchange.h"

namespace minimax::server {

struct HttpOptions {
  std::string host = "127.0.0.1";    ///< an address, or a name of this machine
  uint16_t port = 8080;              ///< 0: any free one
  std::string tls_certificate = {};  ///< PEM files; both or none
  std::string tls_key = {};
  int64_t max_connections = 10000;
  int64_t max_header_bytes = 32 << 10;
  int64_t max_body_bytes = 32 << 20;
  /// Of all bodies together, read or being read: beyond it a request of more than 64 KiB gets 503.
  int64_t max_bodies_bytes = int64_t{1} << 30;
  /// Of an answer that streams, waiting because its client does not read. An answer that is whole may be larger.
  int64_t max_queued_bytes = 1 << 20;
  double header_seconds = 15;  ///< for a request's header, from its first byte; and for a TLS handshake
  double body_seconds = 120;   ///< for the body
  double write_seconds = 60;   ///< in which a client must take at least one byte
  double idle_seconds = 300;   ///< without any request
};

struct HttpStats {
  int64_t connections = 0;  ///< open now
  int64_t accepted = 0;     ///< since the start
  int64_t refused = 0;      ///< because of max_connections
  int64_t timed_out = 0;
  int64_t dropped_slow = 0;  ///< because of max_queued_bytes
};

class HttpServer {
 public:
  /// Called on the server's thread with each request: it must not take long. Exceptions become a 500.
  using Handler = std::function<void(std::shared_ptr<Exchange>)>;
  /// Called on the server's thread when an exchange is over.
  using Done = std::function<void(const Request&, const Outcome&)>;
  /// The answer to a request that cannot be read: a body for this status and message.
  using ErrorBody = std::function<std::string(int status, const std::string& message)>;

  /// Binds and listens. Throws kIo when that fails, kInvalidArgument for a bad certificate.
  HttpServer(HttpOptions options, Handler handler, Done done = {}, ErrorBody error_body = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const;
  /// Serves until stop(); call it from one thread.
  void run();
  /// No more connections and no more requests; answers that have begun go on, each connection closes after its own.
  /// From any thread.
  void drain();
  /// True once drain() was called and no answer is under way. From any thread.
  bool drained() const;
  /// Closes everything; run() returns. From any thread.
  void stop();
  HttpStats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace minimax::server
