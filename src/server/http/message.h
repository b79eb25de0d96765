// What an HTTP request is once it has been read, and what an answer is before it is written.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace minimax::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;  ///< "GET", as the client wrote it
  std::string path;    ///< up to the question mark, not decoded
  std::string query;   ///< after it
  Headers headers;     ///< names in lower case
  std::string body;
  std::string peer;  ///< the client's address

  /// The first header of this (lower case) name; empty when there is none.
  std::string_view header(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  Headers headers = {};  ///< besides content-type, content-length, connection and date
};

/// "Not Found" for 404; empty for a number without a name here.
std::string_view status_text(int status);

/// The value of `key` in "a=1&b=two", percent-decoded; empty when it is not there.
std::string query_value(std::string_view query, std::string_view key);

/// %41 and the like become bytes; a broken escape stays as it is.
std::string percent_decode(std::string_view text);

/// Bytes of the status line and the headers of an answer, up to and with the empty line.
struct HeadOptions {
  bool keep_alive = true;
  bool chunked = false;    ///< instead of content-length
  bool has_length = true;  ///< content-length is told (never with `chunked`)
  size_t length = 0;
};
std::string write_head(const Response& response, const HeadOptions& options);

}  // namespace minimax::server
