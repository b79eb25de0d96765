// Command: a verb with its flags, described once, for parsing, settings, help, completion and spelling suggestions.
#pragma once

#include <charconv>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.h"

namespace minimax::cli {

struct Session;

/// What kind of word a flag or an argument wants, for completion.
enum class ValueKind { kNone, kText, kNumber, kFile, kFolder, kChoice };

struct Flag {
  std::vector<std::string> names;  ///< with their dashes: "-t", "--threads"
  std::string value_name = {};     ///< "N"; empty for a switch
  std::string help = {};
  std::string default_text = {};  ///< as shown; empty: none to show
  ValueKind kind = ValueKind::kNone;
  std::vector<std::string> choices = {};
  std::string group = {};
  bool repeats = false;       ///< every use counts; else the last
  bool from_settings = true;  ///< may come from the environment or the configuration file
  /// Takes the words given ("true" for a bare switch); returns what is wrong with them, or nothing.
  std::function<std::string(const std::vector<std::string>&)> take = {};

  bool is_switch() const { return value_name.empty(); }
  /// The first long name without dashes: the key in settings ("max-tokens").
  std::string key() const;
};

/// A word that is no flag.
struct Argument {
  std::string name;
  std::string help;
  ValueKind kind = ValueKind::kText;
  std::vector<std::string> choices = {};
};

struct Example {
  std::string command;
  std::string says = {};
};

/// One of `choices`, or what is wrong.
std::string choice_problem(const std::string& word, const std::vector<std::string>& choices);
/// true/false, yes/no, on/off, 1/0.
std::optional<bool> parse_bool(const std::string& word);

struct Command {
  std::string name;              ///< one word, or two: "train sft"
  std::string summary = {};      ///< one line
  std::string usage = {};        ///< after the name: "MODEL [PROMPT] [flags]"
  std::string description = {};  ///< paragraphs, or empty
  std::vector<Argument> arguments = {};
  std::vector<Example> examples = {};
  std::vector<Flag> flags = {};
  std::vector<Command> verbs = {};

  bool* json = nullptr;                             ///< errors are printed as JSON too when it is set
  std::vector<std::string> words = {};              ///< the arguments given
  std::vector<std::string> from_settings = {};      ///< keys of flags that the environment or the file gave
  std::function<int(Command&, Session&)> run = {};  ///< after all flags were taken; returns the exit code

  const Command* find_verb(const std::string& name) const;
  std::vector<std::string> verb_names() const;
  /// The verbs whose first word is `first` and that have a second.
  std::vector<const Command*> verbs_under(const std::string& first) const;

  /// Flags declared after this stand under this heading in the help.
  void group(const std::string& title) { current_group = title; }

  /// "-q,--quiet".
  Flag& flag(const std::string& names, bool& target, const std::string& help);
  /// "--no-mmap": `target` becomes false.
  Flag& negative_flag(const std::string& names, bool& target, const std::string& help);

  /// A whole number or a float within [least, most]. `target`: T or std::optional<T>.
  template <typename Target>
  Flag& number(const std::string& names, Target& target, const std::string& value_name, const std::string& help,
               const std::string& default_text = "", double least = -kUnbounded, double most = kUnbounded);

  /// `target`: std::string, std::optional<std::string>, or std::vector<std::string> for a flag that repeats.
  template <typename Target>
  Flag& text(const std::string& names, Target& target, const std::string& value_name, const std::string& help,
             ValueKind kind = ValueKind::kText, const std::string& default_text = "");

  /// One of a few words, each with what it means.
  template <typename Target>
  Flag& choice(const std::string& names, Target& target, const std::string& value_name, const std::string& help,
               const std::vector<std::pair<std::string, Target>>& meanings, const std::string& default_text);

  /// A flag that repeats, whose words `take` reads.
  Flag& list(const std::string& names, const std::string& value_name, const std::string& help,
             std::function<std::string(const std::vector<std::string>&)> take);

  /// A switch that parse.cpp looks for itself (--help).
  Flag& mark(const std::string& names, const std::string& help);

  Flag& declare(const std::string& names, Flag flag);
  static std::string range_problem(const std::string& word, double least, double most);

  static constexpr double kUnbounded = std::numeric_limits<double>::infinity();
  std::string current_group = "Flags";
};

template <typename Target>
Flag& Command::number(const std::string& names, Target& target, const std::string& value_name, const std::string& help,
                      const std::string& default_text, double least, double most) {
  const auto take = [&target, least, most](const std::vector<std::string>& words) -> std::string {
    using Number = std::remove_cvref_t<decltype(std::optional(target).value())>;
    const std::string& word = words.back();
    Number value{};
    const char* begin = word.data() + word.starts_with('+');
    const auto [stop, failure] = std::from_chars(begin, word.data() + word.size(), value);
    if (failure == std::errc::invalid_argument || stop != word.data() + word.size())
      return cat("\"", word, "\" is not a ", std::is_integral_v<Number> ? "whole number" : "number");
    const auto wide = static_cast<double>(value);
    // Written so that NaN is out of range too.
    if (failure != std::errc{} || !(wide >= least && wide <= most)) return range_problem(word, least, most);
    target = value;
    return "";
  };
  return declare(names, {.names = {},
                         .value_name = value_name,
                         .help = help,
                         .default_text = default_text,
                         .kind = ValueKind::kNumber,
                         .take = take});
}

template <typename Target>
Flag& Command::text(const std::string& names, Target& target, const std::string& value_name, const std::string& help,
                    ValueKind kind, const std::string& default_text) {
  constexpr bool kRepeats = std::is_same_v<Target, std::vector<std::string>>;
  const auto take = [&target](const std::vector<std::string>& words) -> std::string {
    if constexpr (kRepeats)
      target = words;
    else
      target = words.back();
    return "";
  };
  return declare(names, {.names = {},
                         .value_name = value_name,
                         .help = help,
                         .default_text = default_text,
                         .kind = kind,
                         .repeats = kRepeats,
                         .take = take});
}

template <typename Target>
Flag& Command::choice(const std::string& names, Target& target, const std::string& value_name, const std::string& help,
                      const std::vector<std::pair<std::string, Target>>& meanings, const std::string& default_text) {
  std::vector<std::string> choices;
  for (const auto& [word, meaning] : meanings) choices.push_back(word);
  const auto take = [&target, meanings, choices](const std::vector<std::string>& words) -> std::string {
    for (const auto& [word, meaning] : meanings)
      if (word == words.back()) target = meaning;
    return choice_problem(words.back(), choices);
  };
  return declare(names, {.names = {},
                         .value_name = value_name,
                         .help = help,
                         .default_text = default_text,
                         .kind = ValueKind::kChoice,
                         .choices = choices,
                         .take = take});
}

}  // namespace minimax::cli
