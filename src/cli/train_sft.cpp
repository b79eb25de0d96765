#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "cli/common_flags.h"
#include "cli/device.h"
#include "cli/interrupt.h"
#include "cli/live_page.h"
#include "cli/run_progress.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "comm/process_group.h"
#include "cpu/isa.h"
#include "engine/generate.h"
#include "text/chat_encode.h"
#include "text/chat_template.h"
#include "train/report.h"
#include "train/supervised.h"

namespace minimax::cli {
namespace {

/// What the model answers, thinking included, by the engine on the weights as they are.
std::string sample(const MiniMaxM1& model, const text::Tokenizer& tokenizer, const train::SampleRecipe& wanted,
                   const Context& ctx) {
  const text::Message message = text::text_message(text::Role::kUser, wanted.prompt);
  const std::vector<int32_t> prompt = text::encode(text::render_chat({&message, 1}, {}), tokenizer);
  engine::Generator generator(
      model, ctx, {.context = static_cast<int64_t>(prompt.size()) + wanted.max_tokens, .prefill_chunk = 512});
  engine::GenerateOptions options{.max_tokens = wanted.max_tokens};
  options.sampling.temperature = static_cast<float>(wanted.temperature);
  options.sampling.top_p = 1;
  options.stop_ids.assign(tokenizer.stop_ids().begin(), tokenizer.stop_ids().end());
  for (int64_t id = tokenizer.vocab_size(); id < model.config.vocab; ++id)
    options.banned.push_back(static_cast<int32_t>(id));
  return tokenizer.decode(generator.generate(prompt, options).ids);
}

std::string progress_line(const train::RunStatus& status) {
  std::string line = fmt::format("step {} of {}  loss {:.4f}", status.step, status.steps, status.loss);
  if (status.held_out_loss) line += fmt::format("  held out {:.4f}", *status.held_out_loss);
  line += fmt::format("  rate {:.2g}  {} tokens/s", status.rate, human_count(std::llround(status.tokens_per_second)));
  if (status.step < status.steps) line += "  " + human_seconds(status.seconds_left) + " left";
  return line;
}

int run_sft(const TrainSftOptions& options, Session& session) {
  Terminal& terminal = session.terminal;
  train::Recipe recipe = train::read_recipe(options.recipe);
  recipe.output = run_output(options.out, recipe.output, options.recipe);
  if (options.steps > 0) recipe.schedule.total_steps = options.steps;
  const std::unique_ptr<comm::ProcessGroup> group = open_process_group();
  ThreadPool threads(session.global.threads);
  const std::unique_ptr<cuda::Gpu> gpu = open_device(options.model);
  Arena arena(gpu.get());
  const Context ctx{.device = gpu ? Device::kCuda : Device::kCpu,
                    .gpu = gpu.get(),
                    .arena = &arena,
                    .threads = &threads,
                    .matmul_precision = training_precision(recipe.model.precision, gpu.get())};

  Interrupt interrupt;
  RunProgress progress(terminal);
  train::RunCallbacks callbacks;
  callbacks.stop = [&] { return interrupt.requested(); };
  if (group->is_first()) {
    callbacks.note = [&](const std::string& text) { terminal.note(text); };
    callbacks.sample = [&](const MiniMaxM1& model, const text::Tokenizer& tokenizer,
                           const train::SampleRecipe& wanted) { return sample(model, tokenizer, wanted, ctx); };
    callbacks.on_step = [&](const train::RunStatus& status) {
      if (status.skipped)
        terminal.warn(fmt::format("step {}: gradient norm {}, skipped", status.step, status.gradient_norm));
      progress.show(progress_line(status), status.saved);
    };
  }

  train::SupervisedRun run(std::move(recipe), ctx, options.resume, callbacks, group.get());
  terminal.info(fmt::format("process {} of {}, {} threads, {} kernels", group->rank(), group->size(), threads.size(),
                            cpu::kernels().isa));
  const std::unique_ptr<LivePage> page = open_live_page(run.folder().path(), options.port, *group, terminal);
  run.run();
  terminal.clear_progress();
  if (!group->is_first()) return 0;
  train::write_report(run.folder().path());
  const bool stopped = interrupt.requested();
  terminal.note(fmt::format("{} after step {}; model in {}, curves in {}", stopped ? "stopped" : "done", run.step(),
                            run.folder().checkpoint(run.step()).string(),
                            (run.folder().path() / "report.html").string()));
  if (stopped) terminal.note(fmt::format("go on with: minimax train sft {} --resume", options.recipe));
  return 0;
}

}  // namespace

Command define_train_sft() {
  auto options = std::make_shared<TrainSftOptions>();
  Command command{
      .name = "train sft",
      .summary = "supervised training by a recipe",
      .usage = "RECIPE.toml [flags]",
      .description =
          "Trains a new model or goes on with a checkpoint, on conversations (JSONL with messages and tools, of which "
          "the assistant's tokens are learned) or plain texts. Leaves a run folder: metrics.jsonl, checkpoints that "
          "`minimax run` and `minimax chat` load, samples, and report.html with the curves. docs/training.md has every "
          "key of a recipe. Started by mpirun, the processes share every step. Ctrl-C saves a checkpoint and ends; "
          "--resume goes on from the newest one, on a CPU with "
          "the bits of a run that was never interrupted.",
      .arguments = {{"RECIPE", "a TOML file", ValueKind::kFile}},
      .examples = {{"minimax train sft recipe.toml"},
                   {"minimax train sft recipe.toml --resume", "after Ctrl-C, a crash or a power cut"},
                   {"mpirun -n 2 minimax train sft recipe.toml", "two processes, one model"},
                   {"minimax train sft recipe.toml --out runs/second --steps 50", "a short try"}},
      .run = [options](Command& self, Session& session) {
        if (self.words.empty()) throw UsageError("train sft: name a recipe", self.name);
        if (self.words.size() > 1)
          throw UsageError(fmt::format("train sft: \"{}\" is one word too many", self.words[1]), self.name);
        options->recipe = self.words[0];
        return run_sft(*options, session);
      }};
  command.group("Run");
  command.text("-o,--out", options->out, "FOLDER", "run folder", ValueKind::kFolder, "the recipe's, else runs/RECIPE");
  command.number("--ui", options->port, "PORT", "show the curves on a page at 127.0.0.1:PORT; 0: any free port", "", 0,
                 65535);
  command.flag("--resume", options->resume, "go on from the newest checkpoint in the run folder");
  command.choice<DeviceChoice>(
      "--device", options->model.device, "DEVICE", "where to compute; auto: the first GPU, if there is one",
      {{"auto", DeviceChoice::kAuto}, {"cpu", DeviceChoice::kCpu}, {"cuda", DeviceChoice::kCuda}}, "auto");
  command.number("--steps", options->steps, "N", "steps of the schedule", "the recipe's", 1, 1e12);
  return command;
}

}  // namespace minimax::cli
