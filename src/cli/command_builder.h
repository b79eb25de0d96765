// CommandBuilder: declares a flag once, for CLI11 (which parses it) and for the CommandSpec (which describes it).
// Included by parse.cpp alone: CLI11 costs 8 s a file.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "cli/command_tree.h"
#include "cli/suggest.h"

namespace minimax::cli {

/// A flag as CLI11 knows it, by its key in settings.
using ParsedFlags = std::map<std::string, CLI::Option*>;

class CommandBuilder {
 public:
  CommandBuilder(CLI::App& app, CommandSpec& spec, ParsedFlags& parsed) : app_(app), spec_(spec), parsed_(parsed) {}

  /// Flags declared after this stand under this heading.
  void group(const std::string& title) { group_ = title; }

  /// "-q,--quiet"; in settings: true or false.
  CLI::Option* flag(const std::string& names, bool& target, const std::string& help) {
    return declare(app_.add_flag(names, target), names, {.help = help});
  }

  /// The opposite of a switch that is on: --no-mmap. `target` becomes false.
  CLI::Option* negative_flag(const std::string& names, bool& target, const std::string& help) {
    auto* option = app_.add_flag_function(names, [&target](int64_t count) { target = count <= 0; });
    return declare(option, names, {.help = help});
  }

  /// A whole number or a float within [least, most].
  template <typename T>
  CLI::Option* number(const std::string& names, T& target, const std::string& value_name, const std::string& help,
                      const std::string& default_text, T least = std::numeric_limits<T>::lowest(),
                      T most = std::numeric_limits<T>::max()) {
    auto* option = app_.add_option(names, target)->take_last();
    option->check([least, most](const std::string& word) { return number_problem(word, least, most); });
    return declare(option, names,
                   {.value_name = value_name, .help = help, .default_text = default_text, .kind = ValueKind::kNumber});
  }

  template <typename T>
  CLI::Option* text(const std::string& names, T& target, const std::string& value_name, const std::string& help,
                    ValueKind kind = ValueKind::kText, const std::string& default_text = "") {
    auto* option = app_.add_option(names, target);
    option->type_size(1)->expected(1);
    if constexpr (std::is_same_v<T, std::vector<std::string>>)
      option->take_all();
    else
      option->take_last();
    return declare(option, names, {.value_name = value_name, .help = help, .default_text = default_text, .kind = kind});
  }

  /// One of a few words. `value_of[i]` is what choices[i] means.
  template <typename T>
  CLI::Option* choice(const std::string& names, T& target, const std::string& value_name, const std::string& help,
                      const std::vector<std::string>& choices, const std::vector<T>& value_of,
                      const std::string& default_text) {
    auto* option = app_.add_option_function<std::string>(names, [&target, choices, value_of](const std::string& word) {
      for (size_t at = 0; at < choices.size(); ++at)
        if (choices[at] == word) target = value_of[at];
    });
    option->take_last()->check([choices](const std::string& word) { return choice_problem(word, choices); });
    return declare(option, names,
                   {.value_name = value_name,
                    .help = help,
                    .default_text = default_text,
                    .kind = ValueKind::kChoice,
                    .choices = choices});
  }

  /// All words that are not flags.
  void words(std::vector<std::string>& target, std::vector<PositionalSpec> specs) {
    app_.add_option("words", target);
    spec_.positionals = std::move(specs);
  }

  static std::string choice_problem(const std::string& word, const std::vector<std::string>& choices) {
    std::string list;
    for (const std::string& choice : choices) {
      if (choice == word) return "";
      list += (list.empty() ? "" : ", ") + choice;
    }
    return fmt::format("\"{}\" is not one of {}", word, list);
  }

 private:
  template <typename T>
  static std::string number_problem(const std::string& word, T least, T most) {
    T value{};
    const char* end = word.data() + word.size();
    const auto [stop, failure] = std::from_chars(word.data() + word.starts_with('+'), end, value);
    const char* what = std::is_integral_v<T> ? "a whole number" : "a number";
    if (failure == std::errc::invalid_argument || stop != end) return fmt::format("\"{}\" is not {}", word, what);
    if (failure == std::errc{} && value >= least && value <= most) return "";
    const bool has_most = most != std::numeric_limits<T>::max();
    return has_most ? fmt::format("{} is not between {} and {}", word, least, most)
                    : fmt::format("{} is less than {}", word, least);
  }

  CLI::Option* declare(CLI::Option* option, const std::string& names, OptionSpec spec) {
    for (size_t begin = 0; begin <= names.size();) {
      const size_t end = std::min(names.find(',', begin), names.size());
      spec.names.push_back(names.substr(begin, end - begin));
      begin = end + 1;
    }
    spec.group = group_;
    parsed_[spec.key()] = option;
    spec_.options.push_back(std::move(spec));
    return option;
  }

  CLI::App& app_;
  CommandSpec& spec_;
  ParsedFlags& parsed_;
  std::string group_ = "Flags";
};

}  // namespace minimax::cli
