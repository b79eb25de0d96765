// The verbs and flags of the program as plain data, for help, completion, settings and spelling suggestions.
#pragma once

#include <string>
#include <vector>

namespace minimax::cli {

/// What kind of word an option wants, for completion.
enum class ValueKind { kNone, kText, kNumber, kFile, kFolder, kChoice };

struct OptionSpec {
  std::vector<std::string> names = {};  ///< with their dashes: "-t", "--threads"
  std::string value_name = {};          ///< "N"; empty for a switch
  std::string help = {};
  std::string default_text = {};  ///< as shown; empty: none to show
  ValueKind kind = ValueKind::kNone;
  std::vector<std::string> choices = {};
  std::string group = {};
  bool from_settings = true;  ///< may come from the environment or the configuration file

  /// The first long name without dashes: the key in settings ("max-tokens").
  std::string key() const;
};

struct PositionalSpec {
  std::string name = {};
  std::string help = {};
  ValueKind kind = ValueKind::kText;
  std::vector<std::string> choices = {};
};

struct Example {
  std::string command = {};
  std::string says = {};
};

struct CommandSpec {
  std::string name = {};
  std::string summary = {};      ///< one line
  std::string usage = {};        ///< after the name: "MODEL [PROMPT] [flags]"
  std::string description = {};  ///< paragraphs, or empty
  std::vector<PositionalSpec> positionals = {};
  std::vector<OptionSpec> options = {};
  std::vector<Example> examples = {};
  std::vector<CommandSpec> verbs = {};

  const CommandSpec* find_verb(const std::string& name) const;
};

}  // namespace minimax::cli
