// What Python's str methods do to text, on UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/traced_string.h"

namespace minimax::text::jinja {

/// str.isspace() of one code point.
bool is_python_space(uint32_t code_point);

/// repr() of a string.
std::string python_quoted(std::string_view text);

/// Byte offsets of the characters, and the size at the end.
std::vector<size_t> character_offsets(std::string_view text);
size_t character_count(std::string_view text);

/// str.strip(), lstrip() and rstrip(); with `characters`, any of these instead of white space.
TracedString stripped(const TracedString& text, bool left, bool right, const std::string* characters = nullptr);

/// str.upper() and lower(): Latin, Greek and Cyrillic letters with one counterpart of the same length in UTF-8, and no
/// others.
TracedString uppercase(const TracedString& text);
TracedString lowercase(const TracedString& text);

}  // namespace minimax::text::jinja
