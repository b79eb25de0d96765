// Gate: who may ask: API keys, origins of web pages, names the server goes by.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api/api_error.h"
#include "server/http/exchange.h"

namespace minimax::server {

struct GateOptions {
  std::vector<std::string> keys;           ///< any of them opens; none: no key is asked for
  std::vector<std::string> cors_origins;   ///< whose pages may read answers, as "https://chat.example"; "*": all
  std::vector<std::string> allowed_hosts;  ///< Host names besides localhost and addresses, when local_only
  bool local_only = false;                 ///< listens on a loopback address
};

/// Keys are compared in a time that tells nothing about them. A page of another origin is refused unless it was
/// allowed: CORS alone would keep it from reading the answer, but not from keeping the model busy. A server on loopback
/// without keys takes no request under a foreign name, which is what a page gets that points its own name at 127.0.0.1.
class Gate {
 public:
  explicit Gate(GateOptions options);

  /// Adds CORS headers, and says why the request may not pass. `needs_key`: false for what everybody may see.
  std::optional<ApiError> check(Exchange& exchange, bool needs_key) const;

  /// Lines of a file of keys: empty ones and those that begin with # are left out. Throws as io::read_file does, and
  /// kInvalidArgument when there is none.
  static std::vector<std::string> read_keys(const std::string& file);

 private:
  bool key_fits(const Request& request) const;
  bool origin_fits(const Request& request, std::string_view origin) const;
  bool origin_allowed(std::string_view origin) const;
  bool host_fits(std::string_view host) const;

  GateOptions options_;
};

}  // namespace minimax::server
