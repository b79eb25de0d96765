#include "cli/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "cli/command_words.h"
#include "cli/settings.h"
#include "cli/suggest.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"

namespace minimax::cli {
namespace {

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string guess = nearest(word, candidates);
  return guess.empty() ? "" : fmt::format("; did you mean {}?", guess);
}

// A verb or flag nobody knows: say which, and what may have been meant.
UsageError unknown_word(const Command& program, const CommandWords& given) {
  const std::string& word = given.unknown.front();
  const Command& command = given.verb.empty() ? program : *program.find_verb(given.verb);
  if (word.size() > 1 && word.front() == '-') {
    std::vector<std::string> names;
    for (const Flag& flag : command.flags) names.insert(names.end(), flag.names.begin(), flag.names.end());
    const std::string name = word.substr(0, word.find('='));
    return UsageError(fmt::format("unknown flag \"{}\"{}", name, did_you_mean(name, names)), given.verb);
  }
  if (!given.verb.empty())
    return UsageError(fmt::format("{}: \"{}\" is one word too many", given.verb, word), given.verb);
  return UsageError(fmt::format("unknown verb \"{}\"{}", word, did_you_mean(word, program.verb_names())));
}

void take(const Flag& flag, const std::vector<std::string>& words, const std::string& source, const std::string& verb) {
  const std::string problem = flag.take(words);
  if (!problem.empty()) throw UsageError(fmt::format("{}: {}", source, problem), verb);
}

Command& show_help(Command& program, const std::string& verb) {
  auto& help = const_cast<Command&>(*program.find_verb("help"));
  help.words.clear();
  if (!verb.empty()) help.words.push_back(verb);
  return help;
}

// The first word of verbs of two, and nothing behind it that is one's second.
Command& first_word_alone(Command& program, const CommandWords& given) {
  std::vector<std::string> seconds;
  for (const Command* verb : program.verbs_under(given.verb))
    seconds.push_back(verb->name.substr(given.verb.size() + 1));
  const std::string word = given.unknown.empty() ? "" : given.unknown.front();
  if (word == "--help" || word == "-h") return show_help(program, given.verb);
  std::string list;
  for (const std::string& second : seconds) list += (list.empty() ? "" : ", ") + second;
  if (word.empty()) throw UsageError(fmt::format("{}: say what: {}", given.verb, list), given.verb);
  throw UsageError(fmt::format("{}: \"{}\" is not one of {}{}", given.verb, word, list, did_you_mean(word, seconds)),
                   given.verb);
}

}  // namespace

Command& parse_command_line(Command& program, GlobalOptions& global, int argc, const char* const* argv) {
  CommandWords given = match_words(program, argc, argv);
  if (given.has("help")) return show_help(program, given.verb);
  if (!given.verb.empty() && !program.find_verb(given.verb)) return first_word_alone(program, given);
  if (!given.unknown.empty()) throw unknown_word(program, given);
  if (!given.problem.empty()) throw UsageError(given.problem, given.verb);
  if (given.has("version")) return const_cast<Command&>(*program.find_verb("version"));
  if (given.verb.empty()) {
    if (argc > 1) throw UsageError("no verb given");
    return show_help(program, "");
  }

  auto& verb = const_cast<Command&>(*program.find_verb(given.verb));
  verb.words = std::move(given.arguments);
  const auto key_of_config = environment_name("config");
  if (given.has("config"))
    global.config_file = given.flags["config"].back();
  else if (const char* file = std::getenv(key_of_config.c_str()); file && *file)
    global.config_file = file;
  const Settings settings(global.config_file, program);
  for (const Flag& flag : verb.flags) {
    const std::string key = flag.key();
    if (given.has(key)) {
      take(flag, given.flags[key], "--" + key, verb.name);
    } else if (const auto setting = flag.from_settings ? settings.find(verb.name, key) : std::nullopt) {
      take(flag, setting->values, setting->source, verb.name);
      verb.from_settings.push_back(key);
    }
  }
  return verb;
}

}  // namespace minimax::cli
