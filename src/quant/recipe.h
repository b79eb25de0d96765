// Recipe: which matrix of a model is stored in which format.
#pragma once

#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "quant/format.h"

namespace minimax::quant {

/// What a matrix does. Routers, norms, slopes and the coefficients of shared experts have no role: they are never
/// quantized.
enum class Role : uint8_t { kExpert, kAttention, kShared, kEmbedding, kHead };

/// "experts", "attention", "shared", "embedding", "head".
std::string_view name(Role role);

/// How a matrix is stored: in a format, as bfloat16, or as the checkpoint has it.
struct Storage {
  enum class Kind : uint8_t { kAsItIs, kBFloat16, kQuantized };
  Kind kind = Kind::kAsItIs;
  Format format = Format::kQ8;  ///< when quantized

  bool quantized() const { return kind == Kind::kQuantized; }
  bool operator==(const Storage& other) const { return kind == other.kind && (!quantized() || format == other.format); }
};

/// "q4", "bf16", "keep".
std::string_view name(const Storage& storage);

class Recipe {
 public:
  /// Rules separated by commas or lines; # starts a comment. A rule is FORMAT, ROLE=FORMAT or REGEX=FORMAT; the last
  /// one that fits a matrix holds, what no rule fits stays as it is. FORMAT: a format's name, bf16 or keep. A bare
  /// FORMAT is for experts, attention and shared experts; embedding and head get the same when it has 8 bits, else q8.
  /// A bare experts-int8 is for experts alone. REGEX (ECMAScript) is searched for in the matrix's published name; in a
  /// line of a file it may have commas. Throws kInvalidArgument, naming the rule.
  static Recipe parse(std::string_view text, std::string_view what);

  Storage choose(Role role, std::string_view name) const;

  /// The rules as they were given, separated by commas.
  const std::string& text() const { return text_; }
  /// The rules that fit none of these matrices: likely a mistake.
  std::vector<std::string> idle_rules(const std::vector<std::pair<std::string, Role>>& matrices) const;

 private:
  struct Rule {
    std::string text;
    std::vector<Role> roles;  // empty: by name
    std::regex pattern;
    Storage storage;
  };
  static bool fits(const Rule& rule, Role role, std::string_view name);
  void add(std::string_view text, std::string_view what);

  std::string text_;
  std::vector<Rule> rules_;
};

}  // namespace minimax::quant
