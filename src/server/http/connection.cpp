#include "server/http/connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <cctype>
#include <utility>

namespace minimax::server {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

// What a client may send ahead while its request is being answered.
constexpr size_t kMaxReadAhead = 64 << 10;
// Such requests are taken however many large ones there are.
constexpr int64_t kSmallBody = 64 << 10;
// How long a connection that was refused mid-request is still read: closing at once would make the kernel throw away
// the answer before the client saw it.
constexpr double kLingerSeconds = 2;

Clock::duration seconds(double count) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// "/path?query", also when the client wrote the whole URL as a proxy would get it.
void split_target(std::string_view target, Request& request) {
  if (target.starts_with("http://") || target.starts_with("https://")) {
    const size_t path = target.find('/', target.find("//") + 2);
    target = path == std::string_view::npos ? "/" : target.substr(path);
  }
  const size_t question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  request.query = target.substr(std::min(question + 1, target.size()));
}

}  // namespace

Connection::Connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport, std::string peer)
    : core_(std::move(core)), transport_(std::move(transport)), peer_(std::move(peer)) {}

Connection::~Connection() = default;

void Connection::wake(std::shared_ptr<Connection> connection) {
  asio::io_context& io = connection->core_->io;
  asio::post(io, [connection = std::move(connection)] { connection->collect(); });
}

void Connection::release(std::shared_ptr<Connection> connection) {
  asio::io_context& io = connection->core_->io;
  asio::post(io, [connection = std::move(connection)] {});
}

void Connection::enter(State state) {
  state_ = state;
  state_begin_ = Clock::now();
  const HttpOptions& options = core_->options;
  switch (state) {
    case State::kHandshake:
    case State::kHeader:
      deadline_ = state_begin_ + seconds(options.header_seconds);
      break;
    case State::kIdle:
      deadline_ = state_begin_ + seconds(options.idle_seconds);
      break;
    case State::kBody:
      deadline_ = state_begin_ + seconds(options.body_seconds);
      break;
    case State::kLingering:
      deadline_ = state_begin_ + seconds(kLingerSeconds);
      break;
    case State::kAnswering:
    case State::kClosed:
      deadline_ = Clock::time_point::max();
      break;
  }
}

void Connection::start() {
  enter(State::kHandshake);
  transport_->handshake([self = shared_from_this()](error_code error, size_t) {
    if (error) return self->close();
    if (self->state_ == State::kClosed) return;
    self->enter(State::kIdle);
    self->new_parser();
    self->read();
  });
}

void Connection::new_parser() {
  parser_.emplace();
  parser_->eager(true);
  parser_->header_limit(static_cast<std::uint32_t>(core_->options.max_header_bytes));
  parser_->body_limit(static_cast<std::uint64_t>(core_->options.max_body_bytes));
  header_seen_ = false;
}

void Connection::read() {
  if (reading_ || state_ == State::kClosed) return;
  if (state_ == State::kAnswering && in_.size() > kMaxReadAhead) return;
  reading_ = true;
  transport_->read_some(asio::buffer(buffer_),
                        [self = shared_from_this()](error_code error, size_t bytes) { self->on_read(error, bytes); });
}

void Connection::on_read(error_code error, size_t bytes) {
  reading_ = false;
  if (state_ == State::kClosed) return;
  // A client that half-closes counts as gone: nothing tells it from one that left.
  if (error) return close();
  if (state_ != State::kLingering) {
    in_.append(buffer_.data(), bytes);
    if (state_ != State::kAnswering) parse();
  }
  read();
}

void Connection::parse() {
  while (!in_.empty() && state_ != State::kAnswering && state_ != State::kClosed && state_ != State::kLingering) {
    if (state_ == State::kIdle) enter(State::kHeader);
    // Beast asserts five bytes when it looks at a last chunk again; fewer never end a chunked body.
    if (parser_->is_header_done() && parser_->chunked() && in_.size() < 5) return;
    error_code error;
    const size_t taken = parser_->put(asio::buffer(in_), error);
    in_.erase(0, taken);
    if (error == http::error::header_limit) return refuse(431, "the headers are larger than this server takes");
    if (error == http::error::body_limit) return refuse(413, "the body is larger than this server takes");
    if (error && error != http::error::need_more) return refuse(400, "not an HTTP request: " + error.message());
    if (!count_body()) return refuse(503, "the server has too many large requests to read now");
    if (parser_->is_header_done() && !header_seen_) header_done();
    if (parser_->is_done()) return dispatch();
    if (taken == 0) return;
  }
}

/// False when this one is too much.
bool Connection::count_body() {
  const auto bytes = static_cast<int64_t>(parser_->get().body().size());
  core_->body_bytes += bytes - body_bytes_;
  body_bytes_ = bytes;
  return bytes <= kSmallBody || core_->body_bytes <= core_->options.max_bodies_bytes;
}

void Connection::forget_body() {
  core_->body_bytes -= std::exchange(body_bytes_, 0);
}

void Connection::header_done() {
  header_seen_ = true;
  enter(State::kBody);
  const auto& message = parser_->get();
  if (!parser_->is_done() && boost::beast::iequals(message[http::field::expect], "100-continue")) {
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    write();
  }
}

void Connection::dispatch() {
  Parser::value_type message = parser_->release();
  reply_ = std::make_shared<Reply>();
  Reply& reply = *reply_;
  reply.keep_alive = message.keep_alive() && !core_->draining;
  reply.can_chunk = message.version() >= 11;
  reply.body_wanted = message.method() != http::verb::head;
  reply.max_queued = core_->options.max_queued_bytes;
  reply.begin = Clock::now();
  Request& request = reply.request;
  request.method = std::string(message.method_string());
  split_target({message.target().data(), message.target().size()}, request);
  for (const auto& field : message)
    request.headers.emplace_back(lower({field.name_string().data(), field.name_string().size()}),
                                 std::string(field.value()));
  request.body = std::move(message.body());
  request.peer = peer_;

  parser_.reset();
  reply_complete_ = false;
  enter(State::kAnswering);
  {
    const std::lock_guard lock(core_->mutex);
    ++core_->under_way;
  }
  const auto exchange = std::make_shared<Exchange>(reply_, shared_from_this());
  try {
    core_->handler(exchange);
  } catch (const std::exception& error) {
    const std::string body = core_->error_body ? core_->error_body(500, error.what()) : "";
    exchange->respond({.status = 500, .body = body});
  }
}

void Connection::refuse(int status, const std::string& message) {
  Response response{.status = status};
  if (core_->error_body)
    response.body = core_->error_body(status, message);
  else
    response.body = message + "\n", response.content_type = "text/plain";
  out_ += write_head(response, {.keep_alive = false, .length = response.body.size()}) + response.body;
  if (core_->done) core_->done(Request{.method = "-", .path = "-", .peer = peer_}, Outcome{.status = status});
  in_.clear();
  parser_.reset();
  forget_body();
  close_after_ = true;
  enter(State::kLingering);
  write();
}

// Fetches what was written to the reply's outbox.
void Connection::collect() {
  if (!reply_ || state_ == State::kClosed) return;
  bool too_slow;
  {
    const std::lock_guard lock(reply_->mutex);
    reply_->woken = false;
    out_ += reply_->outbox;
    reply_->outbox.clear();
    if (reply_->finished) {
      reply_complete_ = true;
      close_after_ = close_after_ || !reply_->keep_alive;
    }
    too_slow = reply_->too_slow;
  }
  if (too_slow) {
    const std::lock_guard lock(core_->mutex);
    ++core_->stats.dropped_slow;
  }
  if (too_slow) return close();
  write();
}

void Connection::write() {
  if (write_pending_ || state_ == State::kClosed) return;
  if (written_ == writing_.size()) {
    writing_.clear();
    written_ = 0;
    if (writing_.capacity() > (64 << 10)) writing_.shrink_to_fit();
    std::swap(writing_, out_);
  }
  if (writing_.empty()) {
    if (state_ == State::kAnswering && reply_complete_)
      answer_done();
    else if (state_ == State::kLingering && close_after_)
      linger();
    return;
  }
  write_pending_ = true;
  write_deadline_ = Clock::now() + seconds(core_->options.write_seconds);
  const asio::const_buffer rest(writing_.data() + written_, writing_.size() - written_);
  transport_->write_some(rest,
                         [self = shared_from_this()](error_code error, size_t bytes) { self->on_write(error, bytes); });
}

void Connection::on_write(error_code error, size_t bytes) {
  write_pending_ = false;
  if (state_ == State::kClosed) return;
  if (error) return close();
  written_ += bytes;
  if (reply_) {
    const std::lock_guard lock(reply_->mutex);
    reply_->waiting_bytes -= static_cast<int64_t>(bytes);
    reply_->bytes_sent += static_cast<int64_t>(bytes);
  }
  write();
}

void Connection::answer_done() {
  end_reply(false);
  if (close_after_ || core_->draining) return linger();
  enter(State::kIdle);
  new_parser();
  parse();  // what the client sent ahead
  read();
}

// The last answer is out: says so, and waits a little for the client to close first.
void Connection::linger() {
  close_after_ = false;
  if (state_ != State::kLingering) enter(State::kLingering);
  transport_->end_output([self = shared_from_this()](error_code error, size_t) {
    if (error) self->close();
  });
  read();
}

void Connection::end_reply(bool client_gone) {
  forget_body();
  if (!reply_) return;
  const std::shared_ptr<Reply> reply = std::move(reply_);
  Outcome outcome;
  std::function<void()> on_gone;
  {
    const std::lock_guard lock(reply->mutex);
    outcome.client_gone = client_gone && !core_->stopping;
    outcome.cut = client_gone && core_->stopping;
    outcome.status = reply->status;
    outcome.bytes_sent = reply->bytes_sent;
    outcome.seconds = std::chrono::duration<double>(Clock::now() - reply->begin).count();
    outcome.notes = std::move(reply->notes);
    if (client_gone) {
      reply->gone = true;
      on_gone = std::move(reply->on_gone);
      if (reply->finished) on_gone = nullptr;
    }
    reply->on_gone = nullptr;
  }
  {
    const std::lock_guard lock(core_->mutex);
    --core_->under_way;
  }
  if (on_gone) on_gone();
  if (core_->done) core_->done(reply->request, outcome);
}

void Connection::check(Clock::time_point now) {
  const bool stuck = write_pending_ && now > write_deadline_;
  if (now <= deadline_ && !stuck) return;
  if (state_ != State::kIdle && state_ != State::kLingering) {
    const std::lock_guard lock(core_->mutex);
    ++core_->stats.timed_out;
  }
  if (!stuck && (state_ == State::kHeader || state_ == State::kBody))
    return refuse(408, "the request took too long to arrive");
  close();
}

void Connection::drain() {
  if (state_ == State::kAnswering) {
    const std::lock_guard lock(reply_->mutex);
    if (!reply_->begun) reply_->keep_alive = false;
    close_after_ = true;
  } else if (state_ != State::kLingering) {
    close();
  }
}

void Connection::close() {
  if (state_ == State::kClosed) return;
  const auto self = shared_from_this();
  enter(State::kClosed);
  transport_->close();
  core_->connections.erase(self);
  {
    const std::lock_guard lock(core_->mutex);
    --core_->stats.connections;
  }
  end_reply(true);
}

std::optional<Clock::time_point> Connection::idle_since() const {
  return state_ == State::kIdle ? std::optional(state_begin_) : std::nullopt;
}

}  // namespace minimax::server
