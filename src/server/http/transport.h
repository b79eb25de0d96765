// Transport: a byte stream that is plain TCP or TLS, so that a connection is written once.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>

namespace minimax::server {

/// Not thread-safe. At most one read and one write at a time; `done` runs on the io_context's thread.
class Transport {
 public:
  using Done = std::function<void(boost::system::error_code, size_t bytes)>;

  virtual ~Transport() = default;
  virtual void handshake(Done done) = 0;
  virtual void read_some(boost::asio::mutable_buffer into, Done done) = 0;
  virtual void write_some(boost::asio::const_buffer from, Done done) = 0;
  /// Says that nothing more will be written; what the peer sends can still be read.
  virtual void end_output(Done done) = 0;
  /// Ends all operations; their callbacks get an error.
  virtual void close() = 0;
};

std::unique_ptr<Transport> plain_transport(boost::asio::ip::tcp::socket socket);
/// `context` must outlive it.
std::unique_ptr<Transport> tls_transport(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context& context);

/// A server's context: TLS 1.2 and up, this certificate chain and key (PEM). Throws kInvalidArgument naming the file.
std::unique_ptr<boost::asio::ssl::context> tls_context(const std::string& certificate, const std::string& key);

}  // namespace minimax::server
