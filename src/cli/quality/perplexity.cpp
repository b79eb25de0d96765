#include "eval/perplexity.h"

#include <fmt/format.h>

#include <memory>

#include "cli/common_flags.h"
#include "cli/input.h"
#include "cli/loaded_model.h"
#include "cli/quality/text.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "io/json.h"

namespace minimax::cli {
namespace {

int run_perplexity(const PerplexityOptions& options, Session& session) {
  Terminal& terminal = session.terminal;
  LoadedModel model(options.model, session);
  const auto windows =
      read_windows(options.text, model.tokenizer(), model.config().max_positions, *model.context().threads);
  const eval::Perplexity found =
      eval::perplexity(model.model(), model.context(), windows,
                       [&](int64_t done, int64_t total) { show_token_progress(terminal, done, total); });
  terminal.clear_progress();
  if (options.json) {
    terminal.print_line(io::write_json(io::json::object{{"perplexity", found.value()},
                                                        {"standard_error", found.standard_error()},
                                                        {"loss", found.loss.value()},
                                                        {"loss_standard_error", found.loss.standard_error()},
                                                        {"tokens", found.loss.count()},
                                                        {"windows", windows.size()}},
                                       io::JsonStyle::kPython));
  } else {
    terminal.print_line(fmt::format("perplexity {:.4f} ± {:.4f} ({:.4f} nats a token, {} tokens in {} windows)",
                                    found.value(), found.standard_error(), found.loss.value(), found.loss.count(),
                                    windows.size()));
  }
  return 0;
}

}  // namespace

Command define_perplexity() {
  auto options = std::make_shared<PerplexityOptions>();
  Command command{
      .name = "perplexity",
      .summary = "how well a model predicts a text",
      .usage = "MODEL --text FILE [flags]",
      .description =
          "exp of the mean of -log p of each token given those before it in its window; the first of a window is not "
          "predicted. Windows do not overlap. Of a .jsonl of conversations, as `train sft` reads them, each is a "
          "window "
          "and what the assistant says is predicted. The standard error is that of means of 64 neighbouring tokens. "
          "Compare "
          "only figures of the same text, window and tokenizer.",
      .arguments = {{"MODEL", "folder with config.json, *.safetensors and tokenizer files; or nano",
                     ValueKind::kFolder}},
      .examples = {{"minimax perplexity MODEL --text wiki.test.raw"},
                   {"minimax perplexity MODEL --text - --window 4096 --tokens 100000 --json"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        options->model.model = take_model(self, options->model.model);
        if (options->text.file.empty()) throw UsageError("perplexity: no --text given", self.name);
        return run_perplexity(*options, session);
      }};
  add_text_flags(command, options->text);
  command.flag("--json", options->json, "the result as JSON");
  add_model_flags(command, options->model);
  return command;
}

}  // namespace minimax::cli
