// ApiError: why a request is refused or failed, in the shapes that OpenAI's and Anthropic's clients expect.
#pragma once

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

#include "server/http/message.h"

namespace minimax::server {

struct ApiError : std::runtime_error {
  /// `param`: the field at fault, as in "messages[0].role"; empty: none in particular.
  ApiError(int status, const std::string& message, std::string param = {}, std::string code = {})
      : std::runtime_error(message), status(status), param(std::move(param)), code(std::move(code)) {}

  int status;
  std::string param, code;
  double retry_after_seconds = 0;  ///< > 0: told in Retry-After

  /// OpenAI's word for the kind: invalid_request_error, authentication_error, not_found_error, rate_limit_error,
  /// server_error.
  std::string type() const;
};

/// The one place where errors become HTTP statuses: kInvalidArgument 400, kNotFound 404, a full queue 429,
/// kOutOfMemory 503, everything else 500.
ApiError to_api_error(std::exception_ptr error);

enum class ApiStyle : uint8_t { kOpenAi, kAnthropic };

/// What strangers wrote, for an answer or a log: bytes that are no UTF-8 become U+FFFD.
std::string valid_utf8(std::string_view bytes);

/// {"error": {"message", "type", "param", "code"}}, or {"type": "error", "error": {"type", "message"}}.
std::string error_body(const ApiError& error, ApiStyle style);
Response error_response(const ApiError& error, ApiStyle style);

}  // namespace minimax::server
