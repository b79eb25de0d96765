// The syntax tree of a template, and its parser.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace minimax::text::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Expression {
  enum class Kind : uint8_t {
    kConstant,   ///< value
    kName,       ///< name
    kList,       ///< parts
    kTuple,      ///< parts
    kDict,       ///< parts: key, value, key, value...
    kAttribute,  ///< parts[0].name
    kItem,       ///< parts[0][parts[1]]
    kSlice,      ///< parts[0][parts[1]:parts[2]:parts[3]], each of the last three may be null
    kCall,       ///< parts[0](parts[1...], named...)
    kFilter,     ///< parts[0] | name(parts[1...], named...); parts[0] is null in a filter block
    kTest,       ///< parts[0] is name(parts[1...])
    kUnary,      ///< name: "-", "+", "not"
    kBinary,     ///< name: the operator; "and" and "or" decide as early as they can
    kCompare,    ///< parts[0] names[0] parts[1] names[1] parts[2]...
    kIf,         ///< parts[0] if parts[1] else parts[2], which may be null
  };
  Kind kind;
  int32_t line;
  std::string name = {};
  Value value = {};
  std::vector<ExpressionPtr> parts = {};
  std::vector<std::pair<std::string, ExpressionPtr>> named = {};
  std::vector<std::string> names = {};
  int32_t depth = 1;  // of the tree
};

struct Statement {
  enum class Kind : uint8_t {
    kText,       ///< text
    kPrint,      ///< expression
    kFor,        ///< target in expression if condition: body, otherwise
    kIf,         ///< expression: body, otherwise
    kSet,        ///< target = expression
    kSetBlock,   ///< target = body, through the filters of expression when there are any
    kMacro,      ///< name(parameters): body
    kCallBlock,  ///< expression called with body as `caller`, whose parameters are these
    kFilter,     ///< body through the filters of expression
    kWith,       ///< parameters with their values: body
    kBlock,      ///< body
    kBreak,
    kContinue,
  };
  Kind kind;
  int32_t line;
  TracedString text = {};
  std::string name = {};
  ExpressionPtr expression = {};
  ExpressionPtr condition = {};
  ExpressionPtr target = {};  // kName, kTuple of names, or kAttribute of a namespace
  std::vector<std::pair<std::string, ExpressionPtr>> parameters = {};  // with defaults, null for none
  std::vector<Statement> body = {};
  std::vector<Statement> otherwise = {};
};

/// Throws kInvalidArgument that names the line, for tags that chat templates do not use (include, extends, ...) too,
/// and for filters and tests that are not known. Under a condition these are left alone, as Jinja does, since it may
/// never hold; `doubts` gets a sentence for each.
std::vector<Statement> parse_template(std::string_view source, std::vector<std::string>& doubts);

}  // namespace minimax::text::jinja
