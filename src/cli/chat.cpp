#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <sstream>

#include "cli/answer_printer.h"
#include "cli/built_in.h"
#include "cli/common_flags.h"
#include "cli/conversation.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/loaded_model.h"
#include "cli/settings.h"
#include "cli/suggest.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "core/version.h"
#include "text/chat_encode.h"
#include "text/chat_template.h"

namespace minimax::cli {
namespace {

struct Statistics {
  int64_t answers = 0, prompt_tokens = 0, reused_tokens = 0, answer_tokens = 0;
  double prompt_seconds = 0, answer_seconds = 0, thinking_seconds = 0;

  void add(const Answer& answer) {
    ++answers;
    prompt_tokens += answer.prompt_tokens;
    reused_tokens += answer.reused_tokens;
    answer_tokens += static_cast<int64_t>(answer.ids.size());
    prompt_seconds += answer.prompt_seconds;
    answer_seconds += answer.answer_seconds;
  }
};

class Chat {
 public:
  Chat(const ChatOptions& options, Session& session)
      : options_(options),
        terminal_(session.terminal),
        model_(options.model, session),
        editor_(terminal_, state_home().empty() ? "" : state_home() + "/minimax/chat_history") {
    if (!options.load_file.empty()) conversation_ = Conversation::load(options.load_file);
    if (!options.system.empty()) conversation_.system = options.system;
    show_ = options.hide_thinking ? ShowThinking::kFolded : ShowThinking::kFull;
    add_sampling_flags(settable_, options_.sampling);
    std::vector<std::string> words;
    for (const SlashCommand& command : commands()) words.push_back(command.name);
    editor_.set_completions(words);
  }

  int run() {
    if (terminal_.in_is_tty())
      dim(fmt::format("minimax {} with {}\n/help lists the commands; Ctrl-C stops an answer, Ctrl-D leaves\n",
                      version(), model_.name()));
    while (!leave_) {
      const Typed typed = editor_.read("> ", ". ");
      if (typed.kind == Typed::Kind::kEnd) break;
      if (typed.kind == Typed::Kind::kInterrupted) {
        interrupted_at_prompt(typed.text);
        continue;
      }
      warned_ = false;
      if (typed.text.find_first_not_of(" \t\r\n") == std::string::npos) continue;
      try {
        if (typed.text.starts_with('/') && !typed.text.starts_with("//"))
          command(typed.text);
        else
          ask(typed.text.starts_with("//") ? typed.text.substr(1) : typed.text);
      } catch (const Error& error) {
        terminal_.error(error.what());  // a bad command or answer does not end the chat
        failed_ = true;
      }
    }
    // A script that piped its questions in wants to know; a person has seen it.
    return failed_ && !terminal_.in_is_tty() ? 1 : 0;
  }

 private:
  struct SlashCommand {
    std::string name, argument, says;
    void (Chat::*act)(const std::string& argument);
  };
  static const std::vector<SlashCommand>& commands() {
    static const std::vector<SlashCommand> list = {
        {"/help", "", "this list", &Chat::help},
        {"/clear", "", "forget the conversation (the system prompt stays)", &Chat::clear},
        {"/system", "TEXT", "set the system prompt; without TEXT, show it; - for none", &Chat::system},
        {"/set", "NAME VALUE", "set a sampling flag: /set temperature 0.7; without NAME, show all", &Chat::set},
        {"/save", "FILE", "write the conversation", &Chat::save},
        {"/load", "FILE", "go on with a conversation that was saved", &Chat::load},
        {"/retry", "", "drop the last answer and ask again", &Chat::retry},
        {"/think", "on|off", "show thinking, or fold it into one line", &Chat::think},
        {"/stats", "", "tokens and speed so far", &Chat::stats},
        {"/exit", "", "leave", &Chat::exit},
    };
    return list;
  }

  void dim(const std::string& text) { terminal_.print(terminal_.out_styled(Style::kDim, text)); }

  void interrupted_at_prompt(const std::string& text) {
    if (text.empty() && warned_) leave_ = true;
    if (text.empty() && !warned_) dim("(Ctrl-C again, Ctrl-D or /exit to leave)\n");
    warned_ = text.empty();
  }

  void command(const std::string& line) {
    const size_t space = line.find_first_of(" \n");
    std::string name = line.substr(0, space);
    std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
    argument.erase(0, argument.find_first_not_of(' '));
    argument.erase(argument.find_last_not_of(" \n") + 1);
    if (name == "/quit" || name == "/bye") name = "/exit";
    std::vector<std::string> names;
    for (const SlashCommand& known : commands()) {
      if (known.name == name) return (this->*known.act)(argument);
      names.push_back(known.name);
    }
    const std::string guess = nearest(name, names);
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("unknown command {}{}; // at the start is a plain /", name,
                            guess.empty() ? "; /help lists all" : fmt::format("; did you mean {}?", guess)));
  }

  void ask(const std::string& question) {
    conversation_.messages.push_back(text::text_message(text::Role::kUser, question));
    const text::PromptTemplate::Options options{.chat = {.keep_reasoning = false}};
    std::vector<int32_t> prompt;
    try {
      prompt = text::encode(model_.prompt_template().render(conversation_.prompt(), {}, options), model_.tokenizer());
      answer(prompt);
    } catch (...) {
      conversation_.messages.pop_back();
      throw;
    }
  }

  void answer(const std::vector<int32_t>& prompt) {
    AnswerPrinter printer(terminal_, show_);
    const Interrupt interrupt;
    const HiddenKeys hidden;
    const Answer answer = model_.generate(prompt, options_.sampling,
                                          {.on_text = [&](std::string_view text) { printer.add(text); },
                                           .stop_now = [&] { return interrupt.requested(); }});
    printer.finish();
    text::Message message = text::text_message(text::Role::kAssistant, printer.output().content);
    message.reasoning = printer.output().reasoning;
    conversation_.messages.push_back(std::move(message));
    statistics_.add(answer);
    statistics_.thinking_seconds += printer.thinking_seconds();
    if (terminal_.in_is_tty() && !terminal_.quiet()) dim(closing_line(answer) + "\n");
  }

  std::string closing_line(const Answer& answer) const {
    std::string line = answer.speed();
    if (answer.finish == engine::FinishReason::kCancelled) line += "; stopped";
    if (answer.finish == engine::FinishReason::kLength) line += "; cut short by --max-tokens or --ctx-size";
    return "[" + line + "]";
  }

  void help(const std::string&) {
    Table table({{""}, {""}});
    for (const SlashCommand& command : commands()) table.row({command.name + " " + command.argument, command.says});
    table.row({"", ""});
    table.row({"\\ at the end", "goes on in the next line; so does Alt-Enter"});
    table.row({"\"\"\"", "begins and ends a text of several lines"});
    table.row({"Up, Ctrl-R", "what was typed before"});
    terminal_.print(table.text(terminal_, 2));
  }

  void clear(const std::string&) {
    conversation_.messages.clear();
    dim("(forgotten)\n");
  }

  void system(const std::string& text) {
    if (!text.empty()) conversation_.system = text == "-" ? "" : text;
    dim(conversation_.system.empty() ? "(no system prompt)\n" : "system: " + conversation_.system + "\n");
  }

  void set(const std::string& argument) {
    if (argument.empty()) return show_settings();
    std::istringstream words(argument);
    std::string name, value;
    words >> name >> std::ws;
    std::getline(words, value);
    if (size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1) + value;
      name.resize(equals);
    } else if (value.starts_with("= ")) {
      value.erase(0, 2);
    }
    std::replace(name.begin(), name.end(), '_', '-');
    std::vector<std::string> names;
    for (const Flag& flag : settable_.flags) {
      for (const std::string& known : flag.names) {
        names.push_back(known.substr(known.find_first_not_of('-')));
        if (names.back() != name) continue;
        MM_CHECK(!value.empty(), "/set ", name, ": no value given");
        SamplingOptions before = options_.sampling;
        const std::string problem = flag.take({value});
        if (!problem.empty()) options_.sampling = before;
        MM_CHECK(problem.empty(), "/set ", name, ": ", problem);
        dim(fmt::format("({} is {})\n", flag.key(), value));
        return;
      }
    }
    const std::string guess = nearest(name, names);
    throw Error(
        ErrorKind::kInvalidArgument,
        fmt::format("/set: unknown name {}{}", name, guess.empty() ? "" : fmt::format("; did you mean {}?", guess)));
  }

  void show_settings() {
    const engine::SamplingParams& params = options_.sampling.params;
    Table table({{""}, {""}});
    const auto row = [&](const char* name, const auto& value) { table.row({name, fmt::format("{}", value)}); };
    row("temperature", params.temperature);
    row("top-p", params.top_p);
    row("top-k", params.top_k);
    row("min-p", params.min_p);
    row("repetition-penalty", params.repetition_penalty);
    row("presence-penalty", params.presence_penalty);
    row("frequency-penalty", params.frequency_penalty);
    row("max-tokens",
        options_.sampling.max_tokens == 0 ? "until it ends" : std::to_string(options_.sampling.max_tokens));
    row("seed", options_.sampling.seed ? std::to_string(*options_.sampling.seed) : "a new one for each answer");
    terminal_.print(table.text(terminal_, 2));
  }

  void save(const std::string& file) {
    MM_CHECK(!file.empty(), "/save: no FILE given");
    conversation_.save(file);
    dim(fmt::format("({} messages in {})\n", conversation_.messages.size(), file));
  }

  void load(const std::string& file) {
    MM_CHECK(!file.empty(), "/load: no FILE given");
    conversation_ = Conversation::load(file);
    dim(fmt::format("({} messages from {})\n", conversation_.messages.size(), file));
  }

  void retry(const std::string&) {
    const std::string question = conversation_.take_back();
    MM_CHECK(!question.empty(), "/retry: nothing was asked yet");
    dim("> " + question + "\n");
    ask(question);
  }

  void think(const std::string& argument) {
    MM_CHECK(argument == "on" || argument == "off", "/think: \"", argument, "\" is not on or off");
    show_ = argument == "on" ? ShowThinking::kFull : ShowThinking::kFolded;
    dim(argument == "on" ? "(thinking is shown)\n" : "(thinking is folded)\n");
  }

  void stats(const std::string&) {
    const Statistics& s = statistics_;
    Table table({{""}, {""}});
    table.row({"answers", std::to_string(s.answers)});
    table.row({"prompt", fmt::format("{} tokens computed, {} kept from before, {}", s.prompt_tokens - s.reused_tokens,
                                     s.reused_tokens, human_seconds(s.prompt_seconds))});
    const double rate = s.answer_seconds > 0 ? static_cast<double>(s.answer_tokens) / s.answer_seconds : 0;
    table.row({"answer tokens",
               fmt::format("{} in {}, {:.1f} tokens/s", s.answer_tokens, human_seconds(s.answer_seconds), rate)});
    table.row({"thinking", human_seconds(s.thinking_seconds)});
    terminal_.print(table.text(terminal_, 2));
  }

  void exit(const std::string&) { leave_ = true; }

  ChatOptions options_;
  Terminal& terminal_;
  LoadedModel model_;
  LineEditor editor_;
  Conversation conversation_;
  Command settable_;  // the sampling flags, for /set
  ShowThinking show_ = ShowThinking::kFull;
  Statistics statistics_;
  bool leave_ = false, warned_ = false, failed_ = false;
};

}  // namespace

int run_verb(const ChatOptions& options, Session& session) {
  return Chat(options, session).run();
}

Command define_chat() {
  auto options = std::make_shared<ChatOptions>();
  Command command{.name = "chat",
                  .summary = "talk with a model in the terminal",
                  .usage = "[MODEL] [flags]",
                  .description =
                      "Thinking is shown dimmed. Ctrl-C stops an answer, Ctrl-D leaves, /help lists the "
                      "commands. Without a terminal, every line of stdin is a question.",
                  .arguments = {{"MODEL", "folder with config.json, *.safetensors and tokenizer files; or nano",
                                 ValueKind::kFolder}},
                  .examples = {{"minimax chat", "with nano, the small model that comes with the program"},
                               {"minimax chat MODEL"},
                               {"minimax chat MODEL --system \"Answer in one sentence.\" --temperature 0.7"},
                               {"minimax chat MODEL --load talk.json", "go on with a conversation that /save wrote"},
                               {"minimax chat MODEL < questions.txt"}},
                  .run = [options](Command& self, Session& session) {
                    if (options->model.model.empty() && self.words.empty()) options->model.model = kBuiltInModel;
                    options->model.model = take_model(self, options->model.model);
                    return run_verb(*options, session);
                  }};
  command.group("Conversation");
  command.text("--system", options->system, "TEXT", "system prompt");
  command.text("--load", options->load_file, "FILE", "go on with a saved conversation", ValueKind::kFile);
  command.flag("--hide-thinking", options->hide_thinking, "fold thinking into one line");
  add_sampling_flags(command, options->sampling);
  add_model_flags(command, options->model);
  return command;
}

}  // namespace minimax::cli
