#include "cli/settings.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "cli/suggest.h"
#include "cli/usage_error.h"
#include "core/error.h"
#include "io/file.h"

namespace minimax::cli {
namespace {

std::string home_or(const char* xdg, const char* below_home) {
  if (const char* value = std::getenv(xdg); value && *value) return value;
  if (const char* home = std::getenv("HOME"); home && *home) return std::string(home) + below_home;
  return "";
}

// The word a person would have typed behind the flag.
std::string as_word(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* yes = node.as_boolean()) return yes->get() ? "true" : "false";
  return "";
}

bool is_word(const toml::node& node) {
  return node.is_string() || node.is_integer() || node.is_floating_point() || node.is_boolean();
}

std::vector<std::string> keys_of(const Command& command) {
  std::vector<std::string> keys;
  for (const Flag& flag : command.flags)
    if (flag.from_settings) keys.push_back(flag.key());
  return keys;
}

std::string line_of(const std::string& file, const toml::source_region& where) {
  return fmt::format("{}:{}", file, where.begin.line);
}

}  // namespace

std::string environment_name(const std::string& key) {
  std::string name = "MINIMAX_" + key;
  for (char& letter : name) letter = letter == '-' ? '_' : static_cast<char>(std::toupper(letter));
  return name;
}

std::string config_home() {
  return home_or("XDG_CONFIG_HOME", "/.config");
}
std::string state_home() {
  return home_or("XDG_STATE_HOME", "/.local/state");
}

Settings::Settings(const std::string& file, const Command& tree) {
  if (file.empty()) {
    const std::string home = config_home();
    const std::string usual = home + "/minimax/config.toml";
    if (home.empty() || !std::filesystem::exists(usual)) return;
    file_ = usual;
  } else {
    MM_CHECK_KIND(kNotFound, std::filesystem::exists(file), "configuration file ", file, ": no such file");
    file_ = file;
  }
  const std::string text = io::read_file(file_);
  toml::table root;
  try {
    root = toml::parse(text, file_);
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{}: {}", line_of(file_, error.source()), error.description()));
  }

  // A key is good when some verb has that flag; in a verb's own table, when that verb has it.
  std::vector<std::string> all_keys, verb_names;
  for (const Command& verb : tree.verbs) {
    verb_names.push_back(verb.name);
    for (std::string& key : keys_of(verb)) all_keys.push_back(std::move(key));
  }
  const auto read_table = [&](const std::string& verb, const toml::table& table, const std::vector<std::string>& keys) {
    for (const auto& [toml_key, node] : table) {
      std::string key(toml_key.str());
      const std::string where = line_of(file_, toml_key.source());
      if (node.is_table() && verb.empty()) continue;
      std::replace(key.begin(), key.end(), '_', '-');
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
        const std::string guess = nearest(key, keys);
        throw UsageError(fmt::format("{}: unknown setting \"{}\"{}", where, toml_key.str(),
                                     guess.empty() ? "" : fmt::format("; did you mean \"{}\"?", guess)));
      }
      Setting setting{{}, where};
      if (const toml::array* list = node.as_array()) {
        for (const toml::node& item : *list) {
          if (!is_word(item)) throw UsageError(fmt::format("{}: a list of plain values was expected", where));
          setting.values.push_back(as_word(item));
        }
      } else if (is_word(node)) {
        setting.values.push_back(as_word(node));
      } else {
        throw UsageError(fmt::format("{}: a plain value or a list was expected", where));
      }
      tables_[verb][key] = std::move(setting);
    }
  };
  read_table("", root, all_keys);
  for (const auto& [name, node] : root) {
    const toml::table* table = node.as_table();
    if (!table) continue;
    const Command* verb = tree.find_verb(std::string(name.str()));
    if (const auto under = tree.verbs_under(std::string(name.str())); !verb && !under.empty()) {
      // [train.sft]
      for (const auto& [second, inner] : *table) {
        const Command* two = tree.find_verb(fmt::format("{} {}", name.str(), second.str()));
        if (!two || !inner.is_table())
          throw UsageError(
              fmt::format("{}: [{}.{}] is not a verb", line_of(file_, second.source()), name.str(), second.str()));
        read_table(two->name, *inner.as_table(), keys_of(*two));
      }
      continue;
    }
    if (!verb) {
      const std::string guess = nearest(name.str(), verb_names);
      throw UsageError(fmt::format("{}: [{}] is not a verb{}", line_of(file_, name.source()), name.str(),
                                   guess.empty() ? "" : fmt::format("; did you mean [{}]?", guess)));
    }
    read_table(verb->name, *table, keys_of(*verb));
  }
}

std::optional<Setting> Settings::find(const std::string& verb, const std::string& key) const {
  const std::string name = environment_name(key);
  if (const char* value = std::getenv(name.c_str()); value && *value) return Setting{{value}, name};
  for (const std::string& table : {verb, std::string()}) {
    const auto found = tables_.find(table);
    if (found == tables_.end()) continue;
    if (const auto setting = found->second.find(key); setting != found->second.end()) return setting->second;
  }
  return std::nullopt;
}

}  // namespace minimax::cli
