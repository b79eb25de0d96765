#include "cli/command_words.h"

#include <CLI/CLI.hpp>
#include <deque>
#include <map>

namespace minimax::cli {
namespace {

// CLI11 writes what it found for each flag here; it keeps references.
using Results = std::deque<std::pair<std::string, std::vector<std::string>>>;

void add_flags(CLI::App& app, const Command& command, Results& results) {
  app.set_help_flag();  // -h is a flag like any other
  for (const Flag& flag : command.flags) {
    auto& [key, words] = results.emplace_back(flag.key(), std::vector<std::string>());
    std::string names;
    for (const std::string& name : flag.names) names += (names.empty() ? "" : ",") + name;
    if (flag.is_switch()) {
      app.add_flag_function(names, [&words](int64_t count) { words.assign(1, count > 0 ? "true" : "false"); });
    } else {
      auto* option = app.add_option(names, words)->type_size(1)->expected(1)->type_name(flag.value_name);
      option->allow_extra_args(false);  // or "--ids=[1, 2]" is taken apart, see below
      option->multi_option_policy(flag.repeats ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast);
    }
  }
}

// CLI11 takes a word "[1, 2]" apart as a list. One that begins with a bracket is hidden from it behind a character that
// nobody types.
constexpr char kHidden = '\1';

std::string hidden(std::string word) {
  return word.starts_with('[') ? kHidden + word : word;
}

void reveal(std::vector<std::string>& words) {
  for (std::string& word : words)
    if (word.starts_with(kHidden)) word.erase(0, 1);
}

}  // namespace

CommandWords match_words(const Command& program, int argc, const char* const* argv) {
  CLI::App app(program.summary, program.name);
  app.require_subcommand(0, 1);
  Results results;
  CommandWords out;
  add_flags(app, program, results);
  std::map<const CLI::App*, std::string> verbs;
  std::map<std::string, CLI::App*> groups;  // by the first word of verbs of two
  for (const Command& verb : program.verbs) {
    CLI::App* parent = &app;
    const size_t space = verb.name.find(' ');
    if (space != std::string::npos) {
      const std::string first = verb.name.substr(0, space);
      CLI::App*& group = groups[first];
      if (!group) {
        group = app.add_subcommand(first)->require_subcommand(0, 1);
        group->set_help_flag();
        verbs[group] = first;
      }
      parent = group;
    }
    CLI::App& sub = *parent->add_subcommand(verb.name.substr(space == std::string::npos ? 0 : space + 1));
    verbs[&sub] = verb.name;
    add_flags(sub, verb, results);
    if (!verb.arguments.empty()) sub.add_option("arguments", out.arguments);
  }
  try {
    std::vector<std::string> words;  // last first, as CLI11 wants them
    for (int at = argc - 1; at > 0; --at) words.push_back(hidden(argv[at]));
    app.parse(std::move(words));
  } catch (const CLI::ExtrasError&) {
    out.unknown = app.remaining(true);
  } catch (const CLI::ParseError& error) {
    out.problem = error.what();
  }
  const CLI::App* named = &app;
  for (auto below = named->get_subcommands(); !below.empty(); below = named->get_subcommands()) named = below.front();
  if (named != &app) out.verb = verbs[named];
  for (auto& [key, words] : results) {
    reveal(words);
    if (!words.empty()) out.flags[key] = std::move(words);
  }
  reveal(out.arguments);
  reveal(out.unknown);
  return out;
}

}  // namespace minimax::cli
