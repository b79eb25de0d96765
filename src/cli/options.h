// What each verb of the program can be told: plain structs, filled by parse.cpp and read by one file a verb.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace minimax::cli {

enum class ColorWhen { kAuto, kAlways, kNever };
enum class LogLevel { kError, kWarn, kInfo, kDebug };

/// Flags of every verb.
struct GlobalOptions {
  int threads = 0;  ///< 0: one per processor
  bool quiet = false;
  LogLevel log_level = LogLevel::kWarn;
  ColorWhen color = ColorWhen::kAuto;
  std::string config_file;  ///< empty: the default place, if there is one
};

/// `minimax help [VERB]`, and --help anywhere.
struct HelpOptions {
  std::string verb;  ///< empty: the program
};

struct VersionOptions {
  bool json = false;
};

struct CompletionOptions {
  std::string shell;
};

using Verb = std::variant<HelpOptions, VersionOptions, CompletionOptions>;

}  // namespace minimax::cli
