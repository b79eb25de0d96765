#include "server/api/gate.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "io/file.h"

namespace minimax::server {
namespace {

using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

Digest digest(std::string_view text) {
  Digest out{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data());
  return out;
}

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// "[::1]:8080" -> "[::1]", "localhost:8080" -> "localhost".
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool is_address(std::string_view name) {
  return name.starts_with('[') || name.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

Gate::Gate(GateOptions options) : options_(std::move(options)) {}

std::vector<std::string> Gate::read_keys(const std::string& file) {
  const std::string text = io::read_file(file, 1 << 20);
  std::vector<std::string> keys;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = trim(std::string_view(text).substr(begin, end - begin));
    if (!line.empty() && !line.starts_with('#')) keys.emplace_back(line);
    begin = end + 1;
  }
  MM_CHECK(!keys.empty(), file, ": no keys in it, expected at least one line");
  return keys;
}

// Digests have one length and all keys are looked at: time tells neither lengths nor which key nor how much of it fits.
bool Gate::key_fits(const Request& request) const {
  std::string_view given = request.header("authorization");
  if (given.size() > 7 && (given.starts_with("Bearer ") || given.starts_with("bearer ")))
    given = trim(given.substr(7));
  else
    given = trim(request.header("x-api-key"));  // Anthropic's clients
  const Digest wanted = digest(given);
  int fits = 0;
  for (const std::string& key : options_.keys)
    fits |= CRYPTO_memcmp(digest(key).data(), wanted.data(), wanted.size()) == 0 ? 1 : 0;
  return fits != 0 && !given.empty();
}

bool Gate::origin_allowed(std::string_view origin) const {
  const auto& allowed = options_.cors_origins;
  return std::find(allowed.begin(), allowed.end(), "*") != allowed.end() ||
         std::find(allowed.begin(), allowed.end(), origin) != allowed.end();
}

bool Gate::origin_fits(const Request& request, std::string_view origin) const {
  if (origin_allowed(origin)) return true;
  const size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && origin.substr(scheme + 3) == request.header("host");
}

bool Gate::host_fits(std::string_view host) const {
  const std::string_view name = without_port(host);
  if (name.empty() || is_address(name) || name == "localhost" || name.ends_with(".localhost")) return true;
  const auto& allowed = options_.allowed_hosts;
  return std::find(allowed.begin(), allowed.end(), name) != allowed.end();
}

std::optional<ApiError> Gate::check(Exchange& exchange, bool needs_key) const {
  const Request& request = exchange.request();
  const std::string_view origin = request.header("origin");
  if (!origin.empty() && origin_allowed(origin)) {
    exchange.add_header("access-control-allow-origin", std::string(origin));
    exchange.add_header("vary", "Origin");
    exchange.add_header("access-control-expose-headers", "retry-after, x-request-id");
  }
  if (!origin.empty() && !origin_fits(request, origin))
    return ApiError(403, "pages of this origin may not use this server (--cors-origin allows one)", "", "origin");
  if (options_.local_only && options_.keys.empty() && !host_fits(request.header("host")))
    return ApiError(403, "this server does not go by the name in the Host header (--allowed-host adds one)", "",
                    "host");
  if (request.method == "OPTIONS" || !needs_key || options_.keys.empty() || key_fits(request)) return std::nullopt;
  return ApiError(401, "the API key is missing or wrong, expected \"Authorization: Bearer KEY\"", "",
                  "invalid_api_key");
}

}  // namespace minimax::server
