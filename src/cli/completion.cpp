#include "cli/completion.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"

namespace minimax::cli {
namespace {

std::string joined(const std::vector<std::string>& words, const char* between = " ") {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

std::vector<std::string> flags_of(const CommandSpec& command) {
  std::vector<std::string> flags;
  for (const OptionSpec& option : command.options) flags.insert(flags.end(), option.names.begin(), option.names.end());
  return flags;
}

std::vector<std::string> verb_names(const CommandSpec& tree) {
  std::vector<std::string> names;
  for (const CommandSpec& verb : tree.verbs) names.push_back(verb.name);
  return names;
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

std::string bash_script(const CommandSpec& tree) {
  std::string out =
      "# bash completion of minimax: eval \"$(minimax completion bash)\"\n"
      "_minimax() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= at\n"
      "  for ((at = 1; at < COMP_CWORD; ++at)); do\n"
      "    case ${COMP_WORDS[at]} in " +
      joined(verb_names(tree), "|") + ") verb=${COMP_WORDS[at]}; break ;; esac\n  done\n  case $verb in\n";
  const auto branch = [&](const std::string& name, const CommandSpec& command, const std::string& words) {
    out += fmt::format("    {})\n      case $before in\n", name);
    for (const OptionSpec& option : command.options)
      if (!option.value_name.empty())
        out += fmt::format("        {}) mapfile -t COMPREPLY < <({}); return ;;\n", joined(option.names, "|"),
                           bash_action(option.kind, option.choices));
    out += fmt::format(
        "      esac\n      if [[ $word == -* ]]; then mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\")\n"
        "      else mapfile -t COMPREPLY < <({}); fi ;;\n",
        joined(flags_of(command)), words);
  };
  branch("''", tree, fmt::format("compgen -W '{}' -- \"$word\"", joined(verb_names(tree))));
  for (const CommandSpec& verb : tree.verbs) {
    const PositionalSpec* first = verb.positionals.empty() ? nullptr : &verb.positionals.front();
    branch(verb.name, verb, first ? bash_action(first->kind, first->choices) : "true");
  }
  return out + "  esac\n}\ncomplete -o filenames -F _minimax minimax\n";
}

std::string zsh_value(const OptionSpec& option) {
  if (option.value_name.empty()) return "";
  const char* action = option.kind == ValueKind::kFile     ? "_files"
                       : option.kind == ValueKind::kFolder ? "_files -/"
                                                           : "";
  if (option.kind == ValueKind::kChoice) return fmt::format(":{}:({})", option.value_name, joined(option.choices));
  return fmt::format(":{}:{}", option.value_name, action);
}

std::string zsh_script(const CommandSpec& tree) {
  const auto escaped = [](std::string text) {
    for (const char* special : {"[", "]", ":"}) text = replaced(text, special, std::string("\\") + special);
    return text;
  };
  const auto specs = [&](const CommandSpec& command) {
    std::string out;
    for (const OptionSpec& option : command.options)
      for (const std::string& name : option.names)
        out += " \\\n        " + single_quoted(fmt::format("*{}[{}]{}", name, escaped(option.help), zsh_value(option)));
    return out;
  };
  std::string out =
      "#compdef minimax\n# zsh completion of minimax: source <(minimax completion zsh)\n_minimax() {\n"
      "  local -a verbs=(\n";
  for (const CommandSpec& verb : tree.verbs)
    out += "    " + single_quoted(verb.name + ":" + escaped(verb.summary)) + "\n";
  out += "  )\n  local context state line\n  _arguments -C" + specs(tree) +
         " \\\n        '1:verb:->verb' '*::word:->words'\n  case $state in\n    verb) _describe verb verbs ;;\n"
         "    words) case $line[1] in\n";
  for (const CommandSpec& verb : tree.verbs) {
    out += fmt::format("      {}) _arguments{}", verb.name, specs(verb));
    for (const PositionalSpec& positional : verb.positionals) {
      if (positional.kind == ValueKind::kFolder) out += " \\\n        '1:folder:_files -/'";
      if (positional.kind == ValueKind::kChoice)
        out += fmt::format(" \\\n        '1:{}:({})'", positional.name, joined(positional.choices));
      break;
    }
    out += " ;;\n";
  }
  return out + "    esac ;;\n  esac\n}\n(( $+functions[compdef] )) && compdef _minimax minimax\n";
}

std::string fish_script(const CommandSpec& tree) {
  std::string out = "# fish completion of minimax: minimax completion fish | source\ncomplete -c minimax -f\n";
  const auto options = [&](const CommandSpec& command, const std::string& condition) {
    for (const OptionSpec& option : command.options) {
      out += "complete -c minimax -n " + single_quoted(condition);
      for (const std::string& name : option.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (option.kind == ValueKind::kFile)
        out += " -r -F";
      else if (option.kind == ValueKind::kFolder)
        out += " -x -a '(__fish_complete_directories)'";
      else if (option.kind == ValueKind::kChoice)
        out += " -x -a " + single_quoted(joined(option.choices));
      else if (!option.value_name.empty())
        out += " -x";
      out += " -d " + single_quoted(option.help) + "\n";
    }
  };
  for (const CommandSpec& verb : tree.verbs)
    out += fmt::format("complete -c minimax -n __fish_use_subcommand -a {} -d {}\n", verb.name,
                       single_quoted(verb.summary));
  options(tree, "__fish_use_subcommand");
  for (const CommandSpec& verb : tree.verbs) {
    const std::string condition = "__fish_seen_subcommand_from " + verb.name;
    if (!verb.positionals.empty()) {
      const PositionalSpec& first = verb.positionals.front();
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

std::string completion_script(const CommandSpec& tree, const std::string& shell) {
  if (shell == "bash") return bash_script(tree);
  if (shell == "zsh") return zsh_script(tree);
  MM_CHECK(shell == "fish", "completion for shell \"", shell, "\": expected bash, zsh or fish");
  return fish_script(tree);
}

}  // namespace minimax::cli
