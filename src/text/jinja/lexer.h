// Lexer: a template's text as tokens, with Jinja's rules for white space around tags.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace minimax::text::jinja {

struct Token {
  enum class Kind : uint8_t {
    kText,      ///< outside of tags
    kBegin,     ///< {{
    kEnd,       ///< }}
    kTagBegin,  ///< {%
    kTagEnd,    ///< %}
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kFileEnd,
  };
  Kind kind;
  int32_t line;
  std::string text;  ///< of a string: what it stands for
};

/// As with trim_blocks and lstrip_blocks and without keep_trailing_newline, which is how transformers sets Jinja up.
/// Throws kInvalidArgument that names the line.
std::vector<Token> tokenize(std::string_view source);

[[noreturn]] void fail_at(int32_t line, std::string_view problem);

}  // namespace minimax::text::jinja
