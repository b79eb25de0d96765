#include <fmt/format.h>
#include <unistd.h>

#include <memory>

#include "cli/answer_printer.h"
#include "cli/common_flags.h"
#include "cli/input.h"
#include "cli/loaded_model.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "io/json.h"
#include "text/chat_encode.h"
#include "text/chat_output_parser.h"
#include "text/chat_template.h"

namespace minimax::cli {
namespace {

std::vector<int32_t> prompt_ids(const RunOptions& options, const LoadedModel& model) {
  if (!options.ids_file.empty()) {
    Ids ids = read_ids(options.ids_file);
    MM_CHECK(!ids.batch, "run --ids: got a list of lists, expected one list of ids");
    return std::move(ids.seqs[0]);
  }
  const text::Tokenizer& tokenizer = model.tokenizer();
  std::string prompt = options.prompt.value_or("");
  if (!options.prompt_file.empty()) prompt += (prompt.empty() ? "" : "\n\n") + read_text(options.prompt_file);
  if (!options.prompt && options.prompt_file.empty()) prompt = read_stdin();
  MM_CHECK(!prompt.empty(), "the prompt is empty, expected at least one character");
  if (options.raw) return tokenizer.encode(prompt);
  std::vector<text::Message> messages;
  if (!options.system.empty()) messages.push_back(text::text_message(text::Role::kSystem, options.system));
  messages.push_back(text::text_message(text::Role::kUser, prompt));
  return text::encode(model.prompt_template().render(messages), tokenizer);
}

void print_json(const Answer& answer, bool with_text, bool raw, Terminal& terminal) {
  io::json::object root;
  root["ids"] = io::json::array(answer.ids.begin(), answer.ids.end());
  io::json::array log_probs;
  for (const float log_prob : answer.log_probs) log_probs.emplace_back(double{log_prob});
  root["logprobs"] = std::move(log_probs);
  if (with_text) {
    const text::ParsedOutput output =
        text::parse_output(answer.text, {.split_reasoning = !raw, .parse_tool_calls = false});
    root["text"] = output.content;
    if (output.reasoning) root["reasoning"] = *output.reasoning;
  }
  root["finish_reason"] = engine::to_string(answer.finish);
  root["seed"] = answer.seed;
  root["usage"] = io::json::object{{"prompt_tokens", answer.prompt_tokens}, {"completion_tokens", answer.ids.size()}};
  root["seconds"] = io::json::object{{"prompt", answer.prompt_seconds}, {"completion", answer.answer_seconds}};
  terminal.print_line(io::write_json(root, io::JsonStyle::kPython));
}

}  // namespace

int run_verb(const RunOptions& options, Session& session) {
  Terminal& terminal = session.terminal;
  LoadedModel model(options.model, session);
  const std::vector<int32_t> prompt = prompt_ids(options, model);
  const bool from_ids = !options.ids_file.empty();
  if (options.json) {
    const Answer answer = model.generate(prompt, options.sampling, {.any_id = from_ids});
    print_json(answer, model.has_tokenizer(), options.raw || from_ids, terminal);
    return 0;
  }

  Answer answer;
  if (from_ids && !model.has_tokenizer()) {
    answer = model.generate(prompt, options.sampling, {.any_id = true});
    terminal.print_line(fmt::format("{}", fmt::join(answer.ids, " ")));
  } else if (options.raw || from_ids) {
    const auto print = [&](std::string_view text) {
      terminal.print(terminal.out_is_tty() ? printable(text) : std::string(text));
      terminal.flush();
    };
    answer = model.generate(prompt, options.sampling, {.on_text = print, .any_id = from_ids});
    if (!answer.text.ends_with('\n')) terminal.print("\n");
  } else {
    AnswerPrinter printer(terminal, options.hide_thinking ? ShowThinking::kFolded : ShowThinking::kFull);
    answer = model.generate(prompt, options.sampling, {.on_text = [&](std::string_view text) { printer.add(text); }});
    printer.finish();
  }
  terminal.info(fmt::format("{}; seed {}; ended by {}", answer.speed(), answer.seed, engine::to_string(answer.finish)));
  return 0;
}

Command define_run() {
  auto options = std::make_shared<RunOptions>();
  Command command{
      .name = "run",
      .summary = "one answer to one prompt, on stdout",
      .usage = "MODEL [PROMPT] [flags]",
      .description =
          "Without PROMPT, or when it is -, stdin is read. The chat template is applied unless --raw is given. stdout "
          "gets the "
          "answer and nothing else; thinking is shown on a terminal only.",
      .arguments = {{"MODEL", "folder with config.json, *.safetensors and tokenizer files", ValueKind::kFolder},
                    {"PROMPT", "what to answer; several words need no quotes"}},
      .examples = {{"minimax run MODEL \"Why is the sky blue?\""},
                   {"minimax run MODEL \"Summarize this.\" --file notes.txt", "the file's text follows the prompt"},
                   {"git diff | minimax run MODEL - --system \"Write a commit message.\" > message.txt"},
                   {"minimax run MODEL --raw \"Once upon a time\" --max-tokens 100", "go on with a text, no template"},
                   {"minimax run MODEL --ids '[1, 2, 3]' --max-tokens 8 --temperature 0 --json", "ids in, ids out"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        options->model.model = take_model(self, options->model.model, SIZE_MAX);
        std::string prompt;
        for (const std::string& word : self.words) prompt += (prompt.empty() ? "" : " ") + word;
        if (!prompt.empty() && prompt != "-") options->prompt = prompt;
        if (!options->ids_file.empty() && (options->prompt || !options->prompt_file.empty()))
          throw UsageError("run: --ids and a text prompt were given, expected one of them", self.name);
        if (!options->prompt && options->prompt_file.empty() && options->ids_file.empty() && prompt.empty() &&
            session.terminal.in_is_tty())
          throw UsageError("run: no PROMPT given; - reads it from the terminal", self.name);
        return run_verb(*options, session);
      }};
  command.group("Prompt");
  command.text("--system", options->system, "TEXT", "system prompt");
  command.text("-f,--file", options->prompt_file, "FILE", "prompt from a file, or what PROMPT is about",
               ValueKind::kFile);
  command.flag("--raw", options->raw, "no chat template: go on with the prompt as it is");
  command.text("--ids", options->ids_file, "FILE", "prompt as ids: a file with [1, 2, 3], -, or the list itself",
               ValueKind::kFile);
  command.group("Output");
  command.flag("--hide-thinking", options->hide_thinking, "fold thinking into one line");
  command.flag("--json", options->json, "ids, log-probabilities, text and figures as JSON, once the answer is done");
  add_sampling_flags(command, options->sampling);
  add_model_flags(command, options->model);
  return command;
}

}  // namespace minimax::cli
