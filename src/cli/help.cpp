#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "cli/suggest.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"

namespace minimax::cli {
namespace {

// The left column of flags: "-t, --threads N".
std::string flag_head(const Flag& flag) {
  std::string head;
  for (const std::string& name : flag.names) head += (head.empty() ? "" : ", ") + name;
  if (!head.starts_with("--")) return head + (flag.is_switch() ? "" : " " + flag.value_name);
  return "    " + head + (flag.is_switch() ? "" : " " + flag.value_name);
}

std::string flag_text(const Flag& flag) {
  std::string text = flag.help;
  if (!flag.choices.empty()) {
    std::string list;
    for (const std::string& choice : flag.choices) list += (list.empty() ? "" : ", ") + choice;
    text += " (" + list + ")";
  }
  if (!flag.default_text.empty()) text += " [" + flag.default_text + "]";
  return text;
}

// Rows of two columns; a left cell too long for its column gets a line of its own.
std::string two_columns(const std::vector<std::pair<std::string, std::string>>& rows, int columns) {
  constexpr int kIndent = 2, kWidest = 30;
  int left = 0;
  for (const auto& [head, text] : rows)
    if (display_width(head) <= kWidest) left = std::max(left, display_width(head));
  const int right = kIndent + left + 2;
  std::string out;
  for (const auto& [head, text] : rows) {
    const std::string body = wrapped(text, std::max(columns, right + 20), right);
    const int width = display_width(head);
    if (width > left)
      out += std::string(kIndent, ' ') + head + "\n" + body;
    else
      out += std::string(kIndent, ' ') + head + std::string(left - width + 2, ' ') + body.substr(right);
  }
  return out;
}

}  // namespace

std::string wrapped(const std::string& text, int columns, int indent) {
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string current;
    for (std::string word; words >> word;) {
      if (!current.empty() && indent + display_width(current) + 1 + display_width(word) > columns) {
        out += std::string(indent, ' ') + current + "\n";
        current.clear();
      }
      current += (current.empty() ? "" : " ") + word;
    }
    out += (current.empty() ? "" : std::string(indent, ' ') + current) + "\n";
  }
  return out;
}

std::string help_text(const Command& command, const Terminal& terminal) {
  const int columns = std::min(terminal.width(), 100);
  const auto heading = [&](const std::string& text) { return "\n" + terminal.out_styled(Style::kBold, text) + "\n"; };
  const bool is_program = !command.verbs.empty();
  std::string out = wrapped(command.summary, columns, 0);
  out += heading("Usage") + "  minimax " + (is_program ? "" : command.name + " ") + command.usage + "\n";
  if (!command.description.empty()) out += "\n" + wrapped(command.description, columns, 0);

  std::vector<std::pair<std::string, std::string>> rows;
  if (is_program) {
    for (const Command& verb : command.verbs) rows.emplace_back(verb.name, verb.summary);
    out += heading("Verbs") + two_columns(rows, columns);
  }
  if (!command.arguments.empty()) {
    rows.clear();
    for (const Argument& argument : command.arguments) rows.emplace_back(argument.name, argument.help);
    out += heading("Arguments") + two_columns(rows, columns);
  }
  // Groups in the order of their first flag.
  std::vector<std::string> groups;
  for (const Flag& flag : command.flags)
    if (std::find(groups.begin(), groups.end(), flag.group) == groups.end()) groups.push_back(flag.group);
  for (const std::string& group : groups) {
    rows.clear();
    for (const Flag& flag : command.flags)
      if (flag.group == group) rows.emplace_back(flag_head(flag), flag_text(flag));
    out += heading(group) + two_columns(rows, columns);
  }
  if (!command.examples.empty()) {
    out += heading("Examples");
    for (const Example& example : command.examples) {
      if (!example.says.empty()) out += terminal.out_styled(Style::kDim, "  # " + example.says) + "\n";
      out += "  " + example.command + "\n";
    }
  }
  if (is_program)
    out += "\n" + wrapped(
                      "A flag can also be set as an environment variable (--max-tokens: MINIMAX_MAX_TOKENS) or in "
                      "~/.config/minimax/config.toml (max-tokens = 100). The command line wins, then the "
                      "environment, then the file.\nminimax VERB --help says more about each verb.",
                      columns, 0);
  return out;
}

namespace {

// `minimax help train`: what there is to train.
std::string group_help_text(const std::string& first, const std::vector<const Command*>& verbs,
                            const Terminal& terminal) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Command* verb : verbs) rows.emplace_back(verb->name, verb->summary);
  return terminal.out_styled(Style::kBold, "Usage") + "\n  minimax " + first + " WHAT [flags]\n\n" +
         two_columns(rows, std::min(terminal.width(), 100)) + "\nminimax " + first + " WHAT --help says more.\n";
}

}  // namespace

Command define_help() {
  return {.name = "help",
          .summary = "say what the program or a verb does",
          .usage = "[VERB]",
          .arguments = {{"VERB", "which one"}},
          .examples = {{"minimax help run"}},
          .run = [](Command& self, Session& session) {
            std::string verb;
            for (const std::string& word : self.words) verb += (verb.empty() ? "" : " ") + word;
            const Command* about = verb.empty() ? &session.program : session.program.find_verb(verb);
            if (const auto group = session.program.verbs_under(verb); !about && !group.empty()) {
              session.terminal.print(group_help_text(verb, group, session.terminal));
              return 0;
            }
            if (!about) {
              const std::string guess = nearest(verb, session.program.verb_names());
              throw UsageError(fmt::format("unknown verb \"{}\"{}", verb,
                                           guess.empty() ? "" : fmt::format("; did you mean {}?", guess)));
            }
            session.terminal.print(help_text(*about, session.terminal));
            return 0;
          }};
}

}  // namespace minimax::cli
