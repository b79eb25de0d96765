#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>

#include "cli/common_flags.h"
#include "cli/input.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "core/threads.h"
#include "engine/state/state_cache.h"
#include "eval/calibration.h"
#include "io/file.h"
#include "io/json.h"
#include "model/quantize_checkpoint.h"

namespace minimax::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Of one format, over all tensors that have it.
struct FormatFigures {
  int64_t tensors = 0;
  int64_t bytes = 0;
  double worst_error = 0;
  double error_sum = 0;
  std::string worst;
};

std::map<std::string, FormatFigures> by_format(const quant::WrittenFolder& written) {
  std::map<std::string, FormatFigures> figures;
  for (const quant::WrittenTensor& tensor : written.tensors) {
    FormatFigures& format = figures[tensor.format];
    format.tensors += 1;
    format.bytes += tensor.bytes;
    format.error_sum += tensor.relative_error;
    if (tensor.relative_error > format.worst_error) {
      format.worst_error = tensor.relative_error;
      format.worst = tensor.name;
    }
  }
  return figures;
}

// What --fit leaves for the weights: the states and keys of one sequence, and a twentieth for everything else, go off.
int64_t bytes_for_weights(const QuantizeVerbOptions& options, const ModelConfig& config) {
  const int64_t all = parse_bytes(options.fit, "--fit", "quantize");
  const int64_t tokens = std::min(options.context_size, config.max_positions);
  const int64_t sequence =
      engine::StateCache::state_bytes_per_sequence(config) + tokens * engine::StateCache::kv_bytes_per_token(config);
  const int64_t left = all - all / 20 - sequence;
  MM_CHECK(left > 0, "--fit ", options.fit, ": a sequence of ", tokens, " tokens (--ctx-size) takes ",
           human_bytes(sequence), " by itself; expected memory for the weights too");
  return left;
}

quant::Recipe recipe_of(const QuantizeVerbOptions& options, const ModelConfig& config) {
  if (!options.type.empty()) return quant::Recipe::parse(options.type, "--type");
  // The line end makes it a file of lines, where commas separate nothing.
  if (!options.recipe_file.empty())
    return quant::Recipe::parse(io::read_file(options.recipe_file, 1 << 20) + "\n", options.recipe_file);
  return recipe_that_fits(config, bytes_for_weights(options, config));
}

// "12.3 GB of 240 GB, 410 MB/s, 9 min 20 s left: model.layers.7..."
class ProgressLine {
 public:
  explicit ProgressLine(Terminal& terminal) : terminal_(terminal) {}

  void operator()(const quant::WriteProgress& progress) {
    const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
    std::string rate;
    if (progress.fresh_bytes > 0 && seconds > 1) {
      const double speed = static_cast<double>(progress.fresh_bytes) / seconds;
      rate = fmt::format(", {}/s, {} left", human_bytes(static_cast<int64_t>(speed)),
                         human_seconds(static_cast<double>(progress.total_bytes - progress.done_bytes) / speed));
    }
    terminal_.progress(fmt::format("{} of {}{}: {}", human_bytes(progress.done_bytes),
                                   human_bytes(progress.total_bytes), rate, progress.name));
  }

 private:
  Terminal& terminal_;
  Clock::time_point begin_ = Clock::now();
};

void print_figures(const quant::WrittenFolder& written, int64_t parameters, Terminal& terminal) {
  Table table({{"format"},
               {"tensors", Table::Align::kRight},
               {"bytes", Table::Align::kRight},
               {"error", Table::Align::kRight},
               {"largest", Table::Align::kRight},
               {"of"}});
  for (const auto& [format, figures] : by_format(written))
    table.row({format, std::to_string(figures.tensors), human_bytes(figures.bytes),
               fmt::format("{:.3f}%", 100 * figures.error_sum / static_cast<double>(figures.tensors)),
               fmt::format("{:.3f}%", 100 * figures.worst_error), figures.worst});
  terminal.print(table.text(terminal));
  terminal.print_line(fmt::format("{} in all, {:.3f} bits for each weight", human_bytes(written.bytes),
                                  static_cast<double>(written.bytes) * 8 / static_cast<double>(parameters)));
}

io::json::object json_figures(const quant::WrittenFolder& written, const std::string& recipe, int64_t parameters) {
  io::json::object formats;
  for (const auto& [format, figures] : by_format(written))
    formats[format] =
        io::json::object{{"tensors", figures.tensors},
                         {"bytes", figures.bytes},
                         {"mean_relative_error", figures.error_sum / static_cast<double>(figures.tensors)},
                         {"largest_relative_error", figures.worst_error},
                         {"largest_at", figures.worst}};
  return {{"recipe", recipe},
          {"bytes", written.bytes},
          {"bits_per_weight", static_cast<double>(written.bytes) * 8 / static_cast<double>(parameters)},
          {"resumed_shards", written.resumed_shards},
          {"formats", std::move(formats)}};
}

int run_quantize(const QuantizeVerbOptions& options, Session& session) {
  check_model_folder(options.model);
  Terminal& terminal = session.terminal;
  const Checkpoint checkpoint = Checkpoint::open(options.model);
  const quant::Recipe recipe = recipe_of(options, checkpoint.config());
  if (!options.fit.empty()) terminal.note(fmt::format("recipe: {}", recipe.text()));
  ThreadPool threads(session.global.threads);
  QuantizeHints hints;
  if (!options.calibration_file.empty()) {
    terminal.progress("choosing factors by the calibration");
    hints = eval::hints_of(eval::read_calibration(options.calibration_file, checkpoint.config()), checkpoint, recipe,
                           threads);
  }
  ProgressLine progress(terminal);
  const QuantizeOptions how{.rounding = options.nearest ? quant::Rounding::kNearest : quant::Rounding::kBest,
                            .shard_bytes = parse_bytes(options.shard_size, "--shard-size", "quantize"),
                            .progress = [&](const quant::WriteProgress& now) { progress(now); }};
  const quant::WrittenFolder written =
      quantize_checkpoint(checkpoint, options.model, options.out, recipe, hints, how, threads);
  terminal.clear_progress();
  const int64_t parameters = parameter_count(checkpoint.config());
  if (options.json)
    terminal.print_line(io::write_json(json_figures(written, recipe.text(), parameters), io::JsonStyle::kPretty));
  else
    print_figures(written, parameters, terminal);
  return 0;
}

}  // namespace

Command define_quantize() {
  auto options = std::make_shared<QuantizeVerbOptions>();
  Command command{
      .name = "quantize",
      .summary = "a smaller copy of a model",
      .usage = "MODEL OUT --type RECIPE | --recipe FILE | --fit MEMORY [flags]",
      .description =
          "Writes the model to the folder OUT with its matrices in 4 to 8 bits, laid out as the kernels read them "
          "(docs/formats.md). RECIPE is a format, or rules separated by commas, the last that fits a matrix holds: "
          "FORMAT, ROLE=FORMAT with a role out of experts, attention, shared, embedding, head, or REGEX=FORMAT for "
          "names of tensors. Formats: q8, experts-int8, q6, q5, q4, mxfp4, bf16, and keep. Routers and norms are never "
          "quantized, embedding and head keep 8 bits unless a rule names them. Memory is needed for parts of one "
          "matrix only. Interrupted, the same command goes on where it was.",
      .arguments = {{"MODEL", "folder with config.json and *.safetensors; or nano", ValueKind::kFolder},
                    {"OUT", "the folder to write", ValueKind::kFolder}},
      .examples = {{"minimax quantize MODEL OUT --type q4"},
                   {"minimax quantize MODEL OUT --type experts=q4,attention=q8,head=bf16"},
                   {"minimax quantize MODEL OUT --fit 256GB", "the best that fits, with one sequence of --ctx-size"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        options->model = take_model(self, options->model, 1);
        if (self.words.empty()) throw UsageError("quantize: no OUT given, expected a folder to write", self.name);
        options->out = self.words.front();
        if (!options->type.empty() + !options->recipe_file.empty() + !options->fit.empty() != 1)
          throw UsageError("quantize: expected one of --type, --recipe and --fit", self.name);
        return run_quantize(*options, session);
      }};
  command.group("What to write");
  command.text("--type", options->type, "RECIPE", "q4, or rules: experts=q4,attention=q8,head=bf16");
  command.text("--recipe", options->recipe_file, "FILE", "rules in lines; # starts a comment", ValueKind::kFile);
  command.text("--fit", options->fit, "MEMORY", "the best recipe whose weights, and one sequence, fit: 24GB");
  command.number("-c,--ctx-size", options->context_size, "N", "tokens of that sequence", "32768", 1);
  command.text("--calibration", options->calibration_file, "FILE", "what `minimax calibrate` wrote", ValueKind::kFile);
  command.flag("--nearest", options->nearest, "scales from the largest magnitude, without the search: to compare with");
  command.text("--shard-size", options->shard_size, "SIZE", "of a file", ValueKind::kText, "4GiB");
  command.flag("--json", options->json, "the figures as JSON");
  return command;
}

}  // namespace minimax::cli
