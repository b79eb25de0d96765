#include "cli/completion.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "core/error.h"

namespace minimax::cli {
namespace {

std::string joined(const std::vector<std::string>& words, const char* between = " ") {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

std::vector<std::string> flags_of(const Command& command) {
  std::vector<std::string> flags;
  for (const Flag& flag : command.flags) flags.insert(flags.end(), flag.names.begin(), flag.names.end());
  return flags;
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
  return text;
}

std::string single_quoted(const std::string& text) {
  return "'" + replaced(text, "'", "'\\''") + "'";
}

// What bash offers behind a flag, or in a verb's place for words.
std::string bash_action(ValueKind kind, const std::vector<std::string>& choices) {
  switch (kind) {
    case ValueKind::kFile:
      return "compgen -f -- \"$word\"";
    case ValueKind::kFolder:
      return "compgen -d -- \"$word\"";
    case ValueKind::kChoice:
      return fmt::format("compgen -W '{}' -- \"$word\"", joined(choices));
    default:
      return "true";
  }
}

// "train" of "train sft" and "train grad".
std::vector<std::string> first_words_of_two(const Command& tree) {
  std::vector<std::string> words;
  for (const Command& verb : tree.verbs)
    if (const size_t space = verb.name.find(' '); space != std::string::npos)
      if (words.empty() || words.back() != verb.name.substr(0, space)) words.push_back(verb.name.substr(0, space));
  return words;
}

std::vector<std::string> second_words(const Command& tree, const std::string& first) {
  std::vector<std::string> words;
  for (const Command* verb : tree.verbs_under(first)) words.push_back(verb->name.substr(first.size() + 1));
  return words;
}

std::vector<std::string> first_words(const Command& tree) {
  std::vector<std::string> words;
  for (const Command& verb : tree.verbs)
    if (verb.name.find(' ') == std::string::npos) words.push_back(verb.name);
  for (const std::string& word : first_words_of_two(tree)) words.push_back(word);
  return words;
}

// Verbs of two words are one with an underscore in the script's own variable.
std::string groups_case(const Command& tree) {
  std::string out;
  for (const std::string& group : first_words_of_two(tree))
    out += fmt::format(
        "      {0}) verb={0}; ((at + 1 < COMP_CWORD)) && case ${{COMP_WORDS[at+1]}} in {1}) "
        "verb={0}_${{COMP_WORDS[at+1]}} ;; esac; break ;;\n",
        group, joined(second_words(tree, group), "|"));
  return out;
}

std::string bash_script(const Command& tree) {
  std::string out =
      "# bash completion of minimax: eval \"$(minimax completion bash)\"\n"
      "_minimax() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= at\n"
      "  for ((at = 1; at < COMP_CWORD; ++at)); do\n"
      "    case ${COMP_WORDS[at]} in\n" +
      groups_case(tree) + "      " + joined(first_words(tree), "|") +
      ") verb=${COMP_WORDS[at]}; break ;;\n    esac\n  done\n  case $verb in\n";
  const auto branch = [&](const std::string& name, const Command& command, const std::string& words) {
    out += fmt::format("    {})\n      case $before in\n", name);
    for (const Flag& flag : command.flags)
      if (!flag.is_switch())
        out += fmt::format("        {}) mapfile -t COMPREPLY < <({}); return ;;\n", joined(flag.names, "|"),
                           bash_action(flag.kind, flag.choices));
    out += fmt::format(
        "      esac\n      if [[ $word == -* ]]; then mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\")\n"
        "      else mapfile -t COMPREPLY < <({}); fi ;;\n",
        joined(flags_of(command)), words);
  };
  branch("''", tree, fmt::format("compgen -W '{}' -- \"$word\"", joined(first_words(tree))));
  for (const std::string& group : first_words_of_two(tree))
    branch(group, Command{.name = group},
           fmt::format("compgen -W '{}' -- \"$word\"", joined(second_words(tree, group))));
  for (const Command& verb : tree.verbs) {
    const Argument* first = verb.arguments.empty() ? nullptr : &verb.arguments.front();
    branch(replaced(verb.name, " ", "_"), verb, first ? bash_action(first->kind, first->choices) : "true");
  }
  return out + "  esac\n}\ncomplete -o filenames -F _minimax minimax\n";
}

std::string zsh_value(const Flag& flag) {
  if (flag.is_switch()) return "";
  const char* action = flag.kind == ValueKind::kFile ? "_files" : flag.kind == ValueKind::kFolder ? "_files -/" : "";
  if (flag.kind == ValueKind::kChoice) return fmt::format(":{}:({})", flag.value_name, joined(flag.choices));
  return fmt::format(":{}:{}", flag.value_name, action);
}

std::string zsh_script(const Command& tree) {
  const auto escaped = [](std::string text) {
    for (const char* special : {"[", "]", ":"}) text = replaced(text, special, std::string("\\") + special);
    return text;
  };
  const auto specs = [&](const Command& command) {
    std::string out;
    for (const Flag& flag : command.flags)
      for (const std::string& name : flag.names)
        out += " \\\n        " + single_quoted(fmt::format("*{}[{}]{}", name, escaped(flag.help), zsh_value(flag)));
    return out;
  };
  std::string out =
      "#compdef minimax\n# zsh completion of minimax: source <(minimax completion zsh)\n_minimax() {\n"
      "  local -a verbs=(\n";
  for (const Command& verb : tree.verbs)
    if (verb.name.find(' ') == std::string::npos)
      out += "    " + single_quoted(verb.name + ":" + escaped(verb.summary)) + "\n";
  for (const std::string& group : first_words_of_two(tree))
    out += "    " + single_quoted(group + ":" + joined(second_words(tree, group), ", ")) + "\n";
  out += "  )\n  local context state line\n  _arguments -C" + specs(tree) +
         " \\\n        '1:verb:->verb' '*::word:->words'\n  case $state in\n    verb) _describe verb verbs ;;\n"
         "    words) case $line[1] in\n";
  for (const std::string& group : first_words_of_two(tree)) {
    std::string all;
    for (const Command* verb : tree.verbs_under(group)) all += specs(*verb);
    out += fmt::format("      {}) _arguments '1:what:({})'{} ;;\n", group, joined(second_words(tree, group)), all);
  }
  for (const Command& verb : tree.verbs) {
    if (verb.name.find(' ') != std::string::npos) continue;
    out += fmt::format("      {}) _arguments{}", verb.name, specs(verb));
    for (const Argument& argument : verb.arguments) {
      if (argument.kind == ValueKind::kFolder) out += " \\\n        '1:folder:_files -/'";
      if (argument.kind == ValueKind::kChoice)
        out += fmt::format(" \\\n        '1:{}:({})'", argument.name, joined(argument.choices));
      break;
    }
    out += " ;;\n";
  }
  return out +
         "    esac ;;\n  esac\n}\n"
         "# Autoloaded from $fpath it completes at once; sourced it only registers itself.\n"
         "if [[ $funcstack[1] == _minimax ]]; then _minimax \"$@\"\n"
         "elif (( $+functions[compdef] )); then compdef _minimax minimax; fi\n";
}

std::string fish_script(const Command& tree) {
  std::string out = "# fish completion of minimax: minimax completion fish | source\ncomplete -c minimax -f\n";
  const auto options = [&](const Command& command, const std::string& condition) {
    for (const Flag& flag : command.flags) {
      out += "complete -c minimax -n " + single_quoted(condition);
      for (const std::string& name : flag.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (flag.kind == ValueKind::kFile)
        out += " -r -F";
      else if (flag.kind == ValueKind::kFolder)
        out += " -x -a '(__fish_complete_directories)'";
      else if (flag.kind == ValueKind::kChoice)
        out += " -x -a " + single_quoted(joined(flag.choices));
      else if (!flag.is_switch())
        out += " -x";
      out += " -d " + single_quoted(flag.help) + "\n";
    }
  };
  for (const Command& verb : tree.verbs)
    if (verb.name.find(' ') == std::string::npos)
      out += fmt::format("complete -c minimax -n __fish_use_subcommand -a {} -d {}\n", verb.name,
                         single_quoted(verb.summary));
  for (const std::string& group : first_words_of_two(tree)) {
    out += fmt::format("complete -c minimax -n __fish_use_subcommand -a {}\n", group);
    for (const Command* verb : tree.verbs_under(group))
      out +=
          fmt::format("complete -c minimax -n {} -a {} -d {}\n", single_quoted("__fish_seen_subcommand_from " + group),
                      verb->name.substr(group.size() + 1), single_quoted(verb->summary));
  }
  options(tree, "__fish_use_subcommand");
  for (const Command& verb : tree.verbs) {
    const std::string condition =
        "__fish_seen_subcommand_from " + replaced(verb.name, " ", "; and __fish_seen_subcommand_from ");
    if (!verb.arguments.empty()) {
      const Argument& first = verb.arguments.front();
      const std::string words =
          first.kind == ValueKind::kFolder ? "(__fish_complete_directories)" : joined(first.choices);
      if (!words.empty())
        out += fmt::format("complete -c minimax -n {} -a {}\n", single_quoted(condition), single_quoted(words));
    }
    options(verb, condition);
  }
  return out;
}

}  // namespace

std::string completion_script(const Command& tree, const std::string& shell) {
  if (shell == "bash") return bash_script(tree);
  if (shell == "zsh") return zsh_script(tree);
  MM_CHECK(shell == "fish", "completion for shell \"", shell, "\": expected bash, zsh or fish");
  return fish_script(tree);
}

Command define_completion() {
  const std::vector<std::string> shells = {"bash", "zsh", "fish"};
  return {.name = "completion",
          .summary = "print a completion script for a shell",
          .usage = "bash|zsh|fish",
          .arguments = {{"SHELL", "whose script to print", ValueKind::kChoice, shells}},
          .examples = {{"eval \"$(minimax completion bash)\"", "now, in this shell"},
                       {"minimax completion fish > ~/.config/fish/completions/minimax.fish", "for good"}},
          .run = [shells](Command& self, Session& session) {
            if (self.words.size() != 1) throw UsageError("completion: name one shell: bash, zsh or fish", self.name);
            const std::string problem = choice_problem(self.words[0], shells);
            if (!problem.empty()) throw UsageError("completion: shell " + problem, self.name);
            session.terminal.print(completion_script(session.program, self.words[0]));
            return 0;
          }};
}

}  // namespace minimax::cli
