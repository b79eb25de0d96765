#include "server/api/api_error.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "core/error.h"
#include "engine/engine.h"
#include "io/json.h"
#include "text/utf8.h"

namespace minimax::server {
namespace {

std::string anthropic_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

}  // namespace

std::string ApiError::type() const {
  switch (status) {
    case 401:
      return "authentication_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

ApiError to_api_error(std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const ApiError& api) {
    return api;
  } catch (const engine::QueueFull& full) {
    ApiError api(429, full.what(), "", "queue_full");
    api.retry_after_seconds = std::max(1.0, full.retry_after_seconds());
    return api;
  } catch (const io::FieldError& field) {
    return ApiError(400, field.what(), field.path(), "invalid_value");
  } catch (const Error& error) {
    switch (error.kind()) {
      case ErrorKind::kInvalidArgument:
        return ApiError(400, error.what());
      case ErrorKind::kNotFound:
        return ApiError(404, error.what());
      case ErrorKind::kOutOfMemory:
        return ApiError(503, error.what());
      default:
        return ApiError(500, error.what());
    }
  } catch (const std::bad_alloc&) {
    return ApiError(503, "out of memory");
  } catch (const std::exception& other) {
    return ApiError(500, other.what());
  }
}

std::string valid_utf8(std::string_view bytes) {
  std::string out;
  text::append_valid_utf8(bytes, out);
  return out;
}

std::string error_body(const ApiError& error, ApiStyle style) {
  io::json::object inner;
  if (style == ApiStyle::kAnthropic) {
    inner["type"] = anthropic_type(error.status);
    inner["message"] = valid_utf8(error.what());
    return io::write_json(io::json::object{{"type", "error"}, {"error", std::move(inner)}});
  }
  const auto or_null = [](const std::string& text) {
    return text.empty() ? io::json::value(nullptr) : io::json::value(valid_utf8(text));
  };
  inner["message"] = valid_utf8(error.what());
  inner["type"] = error.type();
  inner["param"] = or_null(error.param);
  inner["code"] = or_null(error.code);
  return io::write_json(io::json::object{{"error", std::move(inner)}});
}

Response error_response(const ApiError& error, ApiStyle style) {
  Response response{.status = error.status, .body = error_body(error, style)};
  if (error.retry_after_seconds > 0)
    response.headers.emplace_back("retry-after",
                                  std::to_string(static_cast<int64_t>(std::ceil(error.retry_after_seconds))));
  if (error.status == 401) response.headers.emplace_back("www-authenticate", "Bearer");
  return response;
}

}  // namespace minimax::server
