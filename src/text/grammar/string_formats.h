// The values of JSON Schema's "format", as patterns.
#pragma once

#include <optional>
#include <string_view>

namespace minimax::text::grammar {

/// A pattern of whole texts (regex_syntax.h) that have this format; nothing for one that is unknown, which then only
/// describes. Narrower than the RFCs where those allow what few readers expect: no leap seconds, no quoted or
/// international mail addresses.
std::optional<std::string_view> format_pattern(std::string_view format);

}  // namespace minimax::text::grammar
