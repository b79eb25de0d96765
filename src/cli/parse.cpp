#include "cli/parse.h"

#include <deque>

#include "cli/command_builder.h"
#include "cli/settings.h"
#include "cli/usage_error.h"

namespace minimax::cli {
namespace {

void add_global_flags(CommandBuilder& command, GlobalOptions& options) {
  command.group("General");
  command.number("-t,--threads", options.threads, "N", "threads to compute with", "one per processor", 0, 4096);
  command.flag("-q,--quiet", options.quiet, "no warnings, no progress, no figures on stderr");
  command.choice("--log-level", options.log_level, "LEVEL", "how much to say on stderr",
                 {"error", "warn", "info", "debug"},
                 {LogLevel::kError, LogLevel::kWarn, LogLevel::kInfo, LogLevel::kDebug}, "warn");
  command.choice("--color", options.color, "WHEN", "colours; NO_COLOR is respected", {"auto", "always", "never"},
                 {ColorWhen::kAuto, ColorWhen::kAlways, ColorWhen::kNever}, "auto");
  command.text("--config", options.config_file, "FILE", "settings file", ValueKind::kFile,
               "~/.config/minimax/config.toml");
}

// Everything known about one verb before and after parsing. The lambdas keep references into it: never moved.
struct DefinedVerb {
  CLI::App* app = nullptr;
  ParsedFlags flags;
  std::vector<std::string> words;
  bool help = false;
  std::function<Verb()> finish;  // the options, once all flags have their values; throws UsageError
};

class Parser {
 public:
  Parser() : app_("minimax") {
    line_.tree.name = "minimax";
    line_.tree.summary = "Runs MiniMax-M1 and MiniMax-Text-01 checkpoints.";
    line_.tree.usage = "VERB [flags]";
    app_.set_help_flag();
    app_.require_subcommand(0, 1);
    define_completion();
    define_version();
    define_help();
    CommandBuilder root(app_, line_.tree, root_flags_);
    add_global_flags(root, line_.global);
    root.flag("-h,--help", root_help_, "this text");
    root.flag("-V,--version", root_version_, "version and commit");
    line_.tree.options[line_.tree.options.size() - 1].from_settings = false;
    line_.tree.options[line_.tree.options.size() - 2].from_settings = false;
  }

  CommandLine parse(int argc, const char* const* argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ExtrasError&) {
      if (asked_for_help()) return help_answer();
      throw unknown_word();
    } catch (const CLI::ParseError& error) {
      if (asked_for_help()) return help_answer();
      throw UsageError(error.what(), verb_name());
    }
    if (asked_for_help()) return help_answer();
    if (root_version_) return answer(VersionOptions{});
    if (app_.get_subcommands().empty()) {
      if (argc > 1) throw UsageError("no verb given");
      return answer(HelpOptions{});
    }
    take_settings();
    return answer(current().finish());
  }

 private:
  CommandLine answer(Verb verb) {
    line_.verb = std::move(verb);
    return std::move(line_);
  }
  bool asked_for_help() { return root_help_ || (!app_.get_subcommands().empty() && current().help); }
  CommandLine help_answer() { return answer(HelpOptions{verb_name()}); }

  std::string verb_name() {
    const auto parsed = app_.get_subcommands();
    return parsed.empty() ? "" : parsed.front()->get_name();
  }
  DefinedVerb& current() {
    for (DefinedVerb& verb : verbs_)
      if (verb.app->get_name() == verb_name()) return verb;
    throw UsageError("no verb given");
  }
  const CommandSpec& current_spec() const {
    const auto parsed = app_.get_subcommands();
    return parsed.empty() ? line_.tree : *line_.tree.find_verb(parsed.front()->get_name());
  }

  // A verb or flag nobody knows: say which, and what may have been meant.
  UsageError unknown_word() {
    const std::string word = app_.remaining(true).front();
    std::vector<std::string> candidates;
    const bool is_flag = word.size() > 1 && word.front() == '-';
    if (is_flag) {
      for (const OptionSpec& option : current_spec().options)
        candidates.insert(candidates.end(), option.names.begin(), option.names.end());
    } else if (verb_name().empty()) {
      for (const CommandSpec& verb : line_.tree.verbs) candidates.push_back(verb.name);
    } else {
      return UsageError(fmt::format("{}: \"{}\" is one word too many", verb_name(), word), verb_name());
    }
    const std::string flag_name = word.substr(0, word.find('='));
    const std::string guess = nearest(flag_name, candidates);
    return UsageError(fmt::format("unknown {} \"{}\"{}", is_flag ? "flag" : "verb", flag_name,
                                  guess.empty() ? "" : fmt::format("; did you mean {}?", guess)),
                      verb_name());
  }

  // Values for the flags that were not given, from the environment or the file.
  void take_settings() {
    const std::string verb = verb_name();
    if (line_.global.config_file.empty())
      if (const char* file = std::getenv(environment_name("config").c_str()); file && *file)
        line_.global.config_file = file;
    const Settings settings(line_.global.config_file, line_.tree);
    for (const auto& [key, option] : current().flags) {
      const auto root_option = root_flags_.find(key);
      if (option->count() > 0 || (root_option != root_flags_.end() && root_option->second->count() > 0)) continue;
      const auto& options = current_spec().options;
      const auto spec =
          std::find_if(options.begin(), options.end(), [&](const OptionSpec& o) { return o.key() == key; });
      if (!spec->from_settings || key == "config") continue;
      const auto setting = settings.find(verb, key);
      if (!setting) continue;
      try {
        option->add_result(setting->values);
        option->run_callback();
      } catch (const CLI::ParseError& error) {
        throw UsageError(fmt::format("{}: {}", setting->source, error.what()), verb);
      }
    }
  }

  DefinedVerb& define(CommandSpec spec) {
    DefinedVerb& verb = verbs_.emplace_back();
    verb.app = app_.add_subcommand(spec.name, spec.summary);
    verb.app->set_help_flag();
    line_.tree.verbs.push_back(std::move(spec));
    return verb;
  }
  // The flags every verb has, below its own.
  void finish_flags(CommandBuilder& command, DefinedVerb& verb) {
    add_global_flags(command, line_.global);
    command.flag("-h,--help", verb.help, "this text");
    line_.tree.verbs.back().options.back().from_settings = false;
  }

  void define_completion() {
    DefinedVerb& verb =
        define({.name = "completion",
                .summary = "print a completion script for a shell",
                .usage = "bash|zsh|fish",
                .examples = {{"eval \"$(minimax completion bash)\"", "now, in this shell"},
                             {"minimax completion fish > ~/.config/fish/completions/minimax.fish", "for good"}}});
    CommandBuilder command(*verb.app, line_.tree.verbs.back(), verb.flags);
    const std::vector<std::string> shells = {"bash", "zsh", "fish"};
    command.words(verb.words, {{"SHELL", "whose script to print", ValueKind::kChoice, shells}});
    finish_flags(command, verb);
    verb.finish = [&verb, shells]() -> Verb {
      if (verb.words.size() != 1) throw UsageError("completion: name one shell: bash, zsh or fish", "completion");
      const std::string problem = CommandBuilder::choice_problem(verb.words[0], shells);
      if (!problem.empty()) throw UsageError("completion: shell " + problem, "completion");
      return CompletionOptions{verb.words[0]};
    };
  }

  void define_version() {
    DefinedVerb& verb = define({.name = "version",
                                .summary = "print version and commit",
                                .usage = "[--json]",
                                .examples = {{"minimax version --json", ""}}});
    CommandBuilder command(*verb.app, line_.tree.verbs.back(), verb.flags);
    command.flag("--json", version_.json, "as JSON");
    finish_flags(command, verb);
    verb.finish = [this]() -> Verb { return version_; };
  }

  void define_help() {
    DefinedVerb& verb = define({.name = "help",
                                .summary = "say what the program or a verb does",
                                .usage = "[VERB]",
                                .examples = {{"minimax help completion", ""}}});
    CommandBuilder command(*verb.app, line_.tree.verbs.back(), verb.flags);
    command.words(verb.words, {{"VERB", "which verb", ValueKind::kText}});
    finish_flags(command, verb);
    verb.finish = [this, &verb]() -> Verb {
      if (verb.words.empty()) return HelpOptions{};
      if (line_.tree.find_verb(verb.words[0])) return HelpOptions{verb.words[0]};
      std::vector<std::string> names;
      for (const CommandSpec& known : line_.tree.verbs) names.push_back(known.name);
      const std::string guess = nearest(verb.words[0], names);
      throw UsageError(fmt::format("unknown verb \"{}\"{}", verb.words[0],
                                   guess.empty() ? "" : fmt::format("; did you mean {}?", guess)));
    };
  }

  CLI::App app_;
  CommandLine line_;
  ParsedFlags root_flags_;
  std::deque<DefinedVerb> verbs_;
  bool root_help_ = false, root_version_ = false;
  VersionOptions version_;
};

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv) {
  return Parser().parse(argc, argv);
}

}  // namespace minimax::cli
