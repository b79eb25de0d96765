#include "server/http/http_server.h"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <vector>

#include "core/error.h"
#include "server/http/connection.h"

namespace minimax::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kSweep = std::chrono::milliseconds(250);

// One descriptor a connection; many systems start a process with 1024.
void raise_descriptor_limit(int64_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const auto target = static_cast<rlim_t>(wanted + 256);
  if (limit.rlim_cur >= target) return;
  limit.rlim_cur = std::min(target, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

struct HttpServer::State {
  std::shared_ptr<ServerCore> core = std::make_shared<ServerCore>();
  std::unique_ptr<asio::ssl::context> tls;
  std::vector<tcp::acceptor> acceptors;
  uint16_t port = 0;
  std::optional<asio::steady_timer> sweep, accept_again;

  void listen();
  void accept(tcp::acceptor& acceptor);
  void accepted(tcp::socket socket);
  void make_room();
  void sweep_later();
};

void HttpServer::State::listen() {
  const HttpOptions& options = core->options;
  error_code error;
  tcp::resolver resolver(core->io);
  const auto found = resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, error);
  MM_CHECK_KIND(kIo, !error, "cannot listen on \"", options.host, "\": ", error.message());
  port = options.port;
  for (const auto& entry : found) {
    tcp::endpoint endpoint = entry.endpoint();
    endpoint.port(port);
    tcp::acceptor acceptor(core->io);
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    // Else :: would take the IPv4 addresses too, and binding 0.0.0.0 beside it would fail.
    if (!error && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(4096, error);
    if (error) continue;
    port = acceptor.local_endpoint().port();
    acceptors.push_back(std::move(acceptor));
  }
  MM_CHECK_KIND(kIo, !acceptors.empty(), "cannot listen on ", options.host, " port ", options.port, ": ",
                error.message());
}

void HttpServer::State::accept(tcp::acceptor& acceptor) {
  acceptor.async_accept([this, &acceptor](error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted || !acceptor.is_open()) return;
    if (!error) {
      accepted(std::move(socket));
      return accept(acceptor);
    }
    // Out of descriptors, most likely: some time for connections to go.
    accept_again.emplace(core->io, std::chrono::milliseconds(100));
    accept_again->async_wait([this, &acceptor](error_code stopped) {
      if (!stopped) accept(acceptor);
    });
  });
}

void HttpServer::State::accepted(tcp::socket socket) {
  error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return;  // gone already
  socket.set_option(tcp::no_delay(true), error);
  if (static_cast<int64_t>(core->connections.size()) >= core->options.max_connections) make_room();
  const std::lock_guard lock(core->mutex);
  if (static_cast<int64_t>(core->connections.size()) >= core->options.max_connections) {
    ++core->stats.refused;
    return;
  }
  ++core->stats.accepted;
  ++core->stats.connections;
  auto transport = tls ? tls_transport(std::move(socket), *tls) : plain_transport(std::move(socket));
  const auto connection = std::make_shared<Connection>(core, std::move(transport), peer.address().to_string());
  core->connections.insert(connection);
  connection->start();
}

// The one that has been idle longest gives way.
void HttpServer::State::make_room() {
  std::shared_ptr<Connection> oldest;
  for (const auto& connection : core->connections)
    if (connection->idle_since() && (!oldest || *connection->idle_since() < *oldest->idle_since())) oldest = connection;
  if (oldest) oldest->close();
}

void HttpServer::State::sweep_later() {
  sweep->expires_after(kSweep);
  sweep->async_wait([this](error_code error) {
    if (error) return;
    const auto now = Clock::now();
    const std::vector<std::shared_ptr<Connection>> all(core->connections.begin(), core->connections.end());
    for (const auto& connection : all) connection->check(now);
    sweep_later();
  });
}

HttpServer::HttpServer(HttpOptions options, Handler handler, Done done, ErrorBody error_body)
    : state_(std::make_unique<State>()) {
  ServerCore& core = *state_->core;
  core.options = std::move(options);
  core.handler = std::move(handler);
  core.done = std::move(done);
  core.error_body = std::move(error_body);
  MM_CHECK(core.options.tls_certificate.empty() == core.options.tls_key.empty(),
           "TLS needs a certificate and its key, got only the ", core.options.tls_key.empty() ? "certificate" : "key");
  if (!core.options.tls_key.empty()) state_->tls = tls_context(core.options.tls_certificate, core.options.tls_key);
  raise_descriptor_limit(core.options.max_connections);
  state_->listen();
  state_->sweep.emplace(core.io);
}

HttpServer::~HttpServer() {
  stop();
  // Handlers of what was closed hold connections, and these the io_context: run them, or nothing is ever freed.
  state_->core->io.restart();
  state_->core->io.poll();
}

uint16_t HttpServer::port() const {
  return state_->port;
}

void HttpServer::run() {
  for (tcp::acceptor& acceptor : state_->acceptors) state_->accept(acceptor);
  state_->sweep_later();
  // What a connection's handler throws (no memory, most likely) must not end the others.
  while (true) {
    try {
      state_->core->io.run();
      return;
    } catch (const std::exception&) {
    }
  }
}

void HttpServer::drain() {
  {
    const std::lock_guard lock(state_->core->mutex);
    state_->core->drain_asked = true;
  }
  asio::post(state_->core->io, [this] {
    state_->core->draining = true;
    error_code ignored;
    for (tcp::acceptor& acceptor : state_->acceptors) acceptor.close(ignored);
    const std::vector<std::shared_ptr<Connection>> all(state_->core->connections.begin(),
                                                       state_->core->connections.end());
    for (const auto& connection : all) connection->drain();
  });
}

bool HttpServer::drained() const {
  const std::lock_guard lock(state_->core->mutex);
  return state_->core->drain_asked && state_->core->under_way == 0;
}

void HttpServer::stop() {
  asio::post(state_->core->io, [this] {
    state_->core->stopping = true;
    error_code ignored;
    for (tcp::acceptor& acceptor : state_->acceptors) acceptor.close(ignored);
    state_->sweep->cancel();
    if (state_->accept_again) state_->accept_again->cancel();
    const std::vector<std::shared_ptr<Connection>> all(state_->core->connections.begin(),
                                                       state_->core->connections.end());
    for (const auto& connection : all) connection->close();
    state_->core->io.stop();
  });
}

HttpStats HttpServer::stats() const {
  const std::lock_guard lock(state_->core->mutex);
  return state_->core->stats;
}

}  // namespace minimax::server
