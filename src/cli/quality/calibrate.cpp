#include <fmt/format.h>

#include <memory>

#include "cli/common_flags.h"
#include "cli/input.h"
#include "cli/loaded_model.h"
#include "cli/quality/text.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "eval/calibration.h"
#include "io/json.h"

namespace minimax::cli {
namespace {

int run_calibrate(const CalibrateOptions& options, Session& session) {
  Terminal& terminal = session.terminal;
  LoadedModel model(options.model, session);
  const auto windows =
      read_windows(options.text, model.tokenizer(), model.config().max_positions, *model.context().threads);
  const eval::Calibration found = eval::calibrate(
      model.model(), model.context(), windows,
      [&](int64_t done, int64_t total) { show_token_progress(terminal, done, total); }, options.moments);
  terminal.clear_progress();
  eval::write_calibration(options.out_file, found);
  int64_t silent = 0;
  for (const ExpectedTensor& tensor : expected_tensors(model.config()))
    silent += tensor.expert >= 0 && !found.mean_square.contains(tensor.name);
  if (silent > 0)
    terminal.warn(fmt::format("{} matrices of experts saw no token: a longer text would reach them", silent));
  if (options.json)
    terminal.print_line(io::write_json(io::json::object{{"out", options.out_file},
                                                        {"tokens", found.tokens},
                                                        {"matrices", found.mean_square.size()},
                                                        {"silent_matrices", silent}},
                                       io::JsonStyle::kPython));
  else
    terminal.note(fmt::format("{} tokens, statistics of {} matrices in {}", found.tokens, found.mean_square.size(),
                              options.out_file));
  return 0;
}

}  // namespace

Command define_calibrate() {
  auto options = std::make_shared<CalibrateOptions>();
  Command command{
      .name = "calibrate",
      .summary = "what a text makes of each matrix's inputs, for quantize",
      .usage = "MODEL --text FILE --out FILE [flags]",
      .description =
          "Runs the text through the model and writes the mean square of each input of each matrix, and how inputs go "
          "together within blocks of 256. `minimax quantize --calibration FILE` then rounds each weight so that it "
          "makes good what the rounding of others did, and scales columns by powers of two where the matrix before "
          "takes the inverse exactly. Take a text like those the model will see; some ten thousand tokens do, more "
          "where there are many experts. The file has 514 bytes for each input of each matrix (20 GB for MiniMax-M1), "
          "with --no-moments 4.",
      .arguments = {{"MODEL", "folder with config.json, *.safetensors and tokenizer files; or nano",
                     ValueKind::kFolder}},
      .examples = {{"minimax calibrate MODEL --text sample.txt --out calibration.safetensors"},
                   {"minimax quantize MODEL OUT --type q4 --calibration calibration.safetensors"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        options->model.model = take_model(self, options->model.model);
        if (options->text.file.empty()) throw UsageError("calibrate: no --text given", self.name);
        if (options->out_file.empty()) throw UsageError("calibrate: no --out given", self.name);
        return run_calibrate(*options, session);
      }};
  add_text_flags(command, options->text);
  command.text("-o,--out", options->out_file, "FILE", "where the statistics go (safetensors)", ValueKind::kFile);
  command.negative_flag("--no-moments", options->moments, "mean squares alone: a small file, and little gain");
  command.flag("--json", options->json, "say as JSON what was written");
  add_model_flags(command, options->model);
  return command;
}

}  // namespace minimax::cli
