// Settings: values of flags that were not given on the command line: MINIMAX_<FLAG>, then the configuration file.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"

namespace minimax::cli {

struct Setting {
  std::vector<std::string> values;  ///< more than one for a list in the file
  std::string source;               ///< "MINIMAX_TEMP" or "/home/me/.config/minimax/config.toml:3"
};

/// "max-tokens" -> "MINIMAX_MAX_TOKENS".
std::string environment_name(const std::string& key);

/// Keys of the file are flags without dashes ("max-tokens" or "max_tokens"), at the top for every verb that has the
/// flag, or in a table named after the verb, which wins.
class Settings {
 public:
  /// `file` empty: $XDG_CONFIG_HOME/minimax/config.toml (or ~/.config/...), when it is there. Throws kNotFound when a
  /// named file is not, UsageError with the line for bad TOML and for keys no verb of `tree` has.
  Settings(const std::string& file, const Command& tree);

  /// The value for flag `key` of `verb`: environment before file.
  std::optional<Setting> find(const std::string& verb, const std::string& key) const;
  /// The file that was read; empty for none.
  const std::string& file() const { return file_; }

 private:
  std::string file_;
  std::map<std::string, std::map<std::string, Setting>> tables_;  // by verb ("" is the top), then key
};

/// $XDG_CONFIG_HOME, $XDG_STATE_HOME or their defaults under $HOME; empty when there is no home.
std::string config_home();
std::string state_home();

}  // namespace minimax::cli
