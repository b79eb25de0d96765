#include "cli/command.h"

namespace minimax::cli {

std::string Flag::key() const {
  for (const std::string& name : names)
    if (name.starts_with("--")) return name.substr(2);
  return names.empty() ? "" : names.front().substr(1);
}

std::string choice_problem(const std::string& word, const std::vector<std::string>& choices) {
  std::string list;
  for (const std::string& choice : choices) {
    if (choice == word) return "";
    list += (list.empty() ? "" : ", ") + choice;
  }
  return cat("\"", word, "\" is not one of ", list);
}

std::optional<bool> parse_bool(const std::string& word) {
  for (const char* yes : {"true", "yes", "on", "1"})
    if (word == yes) return true;
  for (const char* no : {"false", "no", "off", "0"})
    if (word == no) return false;
  return std::nullopt;
}

const Command* Command::find_verb(const std::string& wanted) const {
  for (const Command& verb : verbs)
    if (verb.name == wanted) return &verb;
  return nullptr;
}

std::vector<std::string> Command::verb_names() const {
  std::vector<std::string> names;
  for (const Command& verb : verbs) names.push_back(verb.name);
  return names;
}

std::vector<const Command*> Command::verbs_under(const std::string& first) const {
  std::vector<const Command*> found;
  for (const Command& verb : verbs)
    if (verb.name.starts_with(first + " ")) found.push_back(&verb);
  return found;
}

Flag& Command::declare(const std::string& names, Flag flag) {
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find(',', begin), names.size());
    flag.names.push_back(names.substr(begin, end - begin));
    begin = end + 1;
  }
  flag.group = current_group;
  flags.push_back(std::move(flag));
  return flags.back();
}

Flag& Command::flag(const std::string& names, bool& target, const std::string& help) {
  const auto take = [&target](const std::vector<std::string>& words) -> std::string {
    const std::optional<bool> on = parse_bool(words.back());
    if (!on) return cat("\"", words.back(), "\" is not true or false");
    target = *on;
    return "";
  };
  return declare(names, {.names = {}, .help = help, .take = take});
}

Flag& Command::negative_flag(const std::string& names, bool& target, const std::string& help) {
  Flag& flag = this->flag(names, target, help);
  flag.take = [&target, take = flag.take](const std::vector<std::string>& words) {
    std::string problem = take(words);
    if (problem.empty()) target = !target;
    return problem;
  };
  return flag;
}

Flag& Command::list(const std::string& names, const std::string& value_name, const std::string& help,
                    std::function<std::string(const std::vector<std::string>&)> take) {
  return declare(names, {.names = {},
                         .value_name = value_name,
                         .help = help,
                         .kind = ValueKind::kText,
                         .repeats = true,
                         .take = std::move(take)});
}

Flag& Command::mark(const std::string& names, const std::string& help) {
  const auto take = [](const std::vector<std::string>&) { return std::string(); };
  return declare(names, {.names = {}, .help = help, .from_settings = false, .take = take});
}

std::string Command::range_problem(const std::string& word, double least, double most) {
  if (most == kUnbounded)
    return least == -kUnbounded ? cat(word, " is too large") : cat(word, " is not ", least, " or more");
  return cat(word, " is not between ", least, " and ", most);
}

}  // namespace minimax::cli
