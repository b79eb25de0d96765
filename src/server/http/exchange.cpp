#include "server/http/exchange.h"

#include "server/http/connection.h"

namespace minimax::server {

void Reply::queue(std::string_view bytes) {
  outbox += bytes;
  waiting_bytes += static_cast<int64_t>(bytes.size());
}

void Reply::write_whole(const Response& response) {
  begun = finished = true;
  status = response.status;
  Response head{.status = response.status, .content_type = response.content_type, .headers = response.headers};
  head.headers.insert(head.headers.end(), headers.begin(), headers.end());
  const bool bodyless = response.status == 204 || response.status == 304;
  queue(write_head(head, {.keep_alive = keep_alive, .has_length = !bodyless, .length = response.body.size()}));
  if (body_wanted && !bodyless) queue(response.body);
}

void Reply::write_stream_head(const Response& response) {
  begun = true;
  status = response.status;
  chunked = can_chunk;
  if (!can_chunk) keep_alive = false;
  Response head = response;
  head.headers.insert(head.headers.end(), headers.begin(), headers.end());
  queue(write_head(head, {.keep_alive = keep_alive, .chunked = chunked, .has_length = false}));
}

void Reply::write_piece(std::string_view piece) {
  if (!body_wanted) return;
  if (!chunked) return queue(piece);
  char size[20];
  queue({size, static_cast<size_t>(std::snprintf(size, sizeof(size), "%zx\r\n", piece.size()))});
  queue(piece);
  queue("\r\n");
}

void Reply::write_end() {
  finished = true;
  if (chunked && body_wanted) queue("0\r\n\r\n");
}

namespace {

// Runs `write` under the reply's mutex; true when the connection must be told.
template <typename Write>
void write_to(const std::shared_ptr<Reply>& reply, const std::shared_ptr<Connection>& connection, Write&& write) {
  {
    const std::lock_guard lock(reply->mutex);
    if (reply->gone || reply->finished) return;
    write();
    if (reply->woken) return;
    reply->woken = true;
  }
  Connection::wake(connection);
}

}  // namespace

Exchange::Exchange(std::shared_ptr<Reply> reply, std::shared_ptr<Connection> connection)
    : reply_(std::move(reply)), connection_(std::move(connection)) {}

Exchange::~Exchange() {
  bool begun, finished;
  {
    const std::lock_guard lock(reply_->mutex);
    begun = reply_->begun;
    finished = reply_->finished;
  }
  try {
    if (!begun) respond({.status = 500, .content_type = "text/plain", .body = "the request was dropped\n"});
    if (begun && !finished) finish();
    Connection::release(std::move(connection_));
  } catch (...) {  // out of memory: the client sees the connection close when the server does
  }
}

const Request& Exchange::request() const {
  return reply_->request;
}

void Exchange::respond(const Response& response) {
  write_to(reply_, connection_, [&] {
    if (!reply_->begun) reply_->write_whole(response);
  });
}

void Exchange::begin_stream(const Response& head) {
  write_to(reply_, connection_, [&] {
    if (!reply_->begun) reply_->write_stream_head(head);
  });
}

void Exchange::send(std::string_view piece) {
  if (piece.empty()) return;
  write_to(reply_, connection_, [&] {
    // One piece may be larger than the bound; what may not happen is that pieces pile up.
    if (reply_->waiting_bytes > reply_->max_queued) {
      reply_->gone = reply_->too_slow = true;
      return;
    }
    reply_->write_piece(piece);
  });
}

void Exchange::finish() {
  write_to(reply_, connection_, [&] { reply_->write_end(); });
}

bool Exchange::begun() const {
  const std::lock_guard lock(reply_->mutex);
  return reply_->begun;
}

void Exchange::on_gone(std::function<void()> gone) {
  {
    const std::lock_guard lock(reply_->mutex);
    if (reply_->finished) return;
    if (!reply_->gone) {
      reply_->on_gone = std::move(gone);
      return;
    }
  }
  gone();
}

bool Exchange::gone() const {
  const std::lock_guard lock(reply_->mutex);
  return reply_->gone;
}

void Exchange::add_header(std::string name, std::string value) {
  const std::lock_guard lock(reply_->mutex);
  reply_->headers.emplace_back(std::move(name), std::move(value));
}

void Exchange::note(std::string_view key, int64_t value) {
  const std::lock_guard lock(reply_->mutex);
  reply_->notes.emplace_back(key, value);
}

}  // namespace minimax::server
