// Fuzz target: what a stranger's bytes do to a connection: requests come out or a refusal does, and everything that is
// written is HTTP. The first byte says how the bytes are cut.
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "server/http/connection.h"

namespace {

using namespace minimax::server;

// Gives the input in pieces, then the end; keeps what is written.
class MemoryTransport : public Transport {
 public:
  MemoryTransport(boost::asio::io_context& io, std::string_view input, size_t piece, std::string& output)
      : io_(io), input_(input), piece_(piece), output_(output) {}

  void handshake(Done done) override {
    boost::asio::post(io_, [done = std::move(done)] { done({}, 0); });
  }
  void read_some(boost::asio::mutable_buffer into, Done done) override {
    const size_t bytes = std::min({piece_, into.size(), input_.size()});
    std::memcpy(into.data(), input_.data(), bytes);
    input_.remove_prefix(bytes);
    const auto error =
        bytes == 0 ? boost::asio::error::make_error_code(boost::asio::error::eof) : boost::system::error_code();
    boost::asio::post(io_, [done = std::move(done), error, bytes] { done(error, bytes); });
  }
  void write_some(boost::asio::const_buffer from, Done done) override {
    const size_t bytes = std::min<size_t>(from.size(), 100);
    output_.append(static_cast<const char*>(from.data()), bytes);
    boost::asio::post(io_, [done = std::move(done), bytes] { done({}, bytes); });
  }
  void end_output(Done done) override {
    boost::asio::post(io_, [done = std::move(done)] { done({}, 0); });
  }
  void close() override {}

 private:
  boost::asio::io_context& io_;
  std::string_view input_;
  size_t piece_;
  std::string& output_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string output;
  const auto core = std::make_shared<ServerCore>();
  core->options.max_header_bytes = 2048;
  core->options.max_body_bytes = 4096;
  core->error_body = [](int, const std::string& message) { return message; };
  core->handler = [](const std::shared_ptr<Exchange>& exchange) {
    const Request& request = exchange->request();
    if (request.body.size() > 4096 || request.path.find('?') != std::string::npos) std::abort();
    if (request.method == "DELETE") return;  // dropped: 500
    if (request.method != "POST") return exchange->respond({.body = request.query});
    exchange->begin_stream({.headers = {{"x-path", request.path}}});
    exchange->send(request.body);
    exchange->finish();
  };
  {
    const auto connection = std::make_shared<Connection>(
        core, std::make_unique<MemoryTransport>(core->io, input, size_t{data[0]} + 1, output), "peer");
    core->connections.insert(connection);
    ++core->stats.connections;
    connection->start();
  }
  core->io.run();
  if (core->stats.connections != 0 || core->under_way != 0 || !core->connections.empty()) std::abort();
  if (!output.empty() && !output.starts_with("HTTP/1.1 ")) std::abort();
  return 0;
}
