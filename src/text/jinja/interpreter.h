// Template: a Jinja template, parsed once and rendered with variables, within limits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/syntax.h"

namespace minimax::text::jinja {

struct RenderLimits {
  int64_t steps = 5'000'000;  ///< expressions, statements and elements of lists that are looked at
  int64_t bytes = 256 << 20;  ///< of all strings made on the way
};

using Variables = std::vector<std::pair<std::string, Value>>;

/// The Jinja subset of chat templates: docs/chat_format.md. Thread-safe.
class Template {
 public:
  /// Throws kInvalidArgument that names the line.
  explicit Template(std::string_view source) : statements_(parse_template(source, doubts_)) {}
  /// What may fail when a conversation gets there: "line 5: the filter x is not known".
  const std::vector<std::string>& doubts() const { return doubts_; }

  /// `now`: seconds since 1970, for strftime_now; local time. Throws kInvalidArgument that names the line, or gives the
  /// message of raise_exception, or says which limit was reached.
  TracedString render(const Variables& variables, int64_t now, const RenderLimits& limits = {}) const;

 private:
  std::vector<std::string> doubts_;
  std::vector<Statement> statements_;
};

}  // namespace minimax::text::jinja
