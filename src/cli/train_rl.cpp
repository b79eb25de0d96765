#include <fmt/format.h>

#include <memory>

#include "cli/device.h"
#include "cli/interrupt.h"
#include "cli/live_page.h"
#include "cli/run_progress.h"
#include "cli/train_verify.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "cpu/isa.h"
#include "rl/run.h"
#include "train/report.h"

namespace minimax::cli {
namespace {

std::string progress_line(const rl::RlStatus& status) {
  std::string line = fmt::format("batch {} of {}  reward {:.3f}  length {:.0f}  entropy {:.3f}  kl {:.1e}",
                                 status.batch, status.batches, status.reward, status.length, status.entropy, status.kl);
  for (const auto& [name, value] : status.held_out)
    if (name != "heldout/reward") line += fmt::format("  {} {:.3f}", name.substr(8), value);
  if (status.batch < status.batches) line += "  " + human_seconds(status.seconds_left) + " left";
  return line;
}

int run_rl(const TrainRlOptions& options, Session& session) {
  Terminal& terminal = session.terminal;
  rl::Recipe recipe = rl::read_recipe(options.recipe);
  recipe.output = run_output(options.out, recipe.output, options.recipe);
  if (options.batches > 0) {
    recipe.batches = options.batches;
    recipe.policy.schedule.total_steps = options.batches * recipe.policy.minibatches * recipe.policy.epochs;
  }
  recipe.rollout.verifier_workers = verifier_workers(recipe.rollout.scoring_threads);
  if (options.seed) recipe.seed = recipe.policy.seed = recipe.problems.seed = *options.seed;
  const std::unique_ptr<comm::ProcessGroup> group = open_process_group();
  ThreadPool threads(session.global.threads);
  const std::unique_ptr<cuda::Gpu> gpu = open_device(options.model);
  Arena arena(gpu.get());
  const Context ctx{.device = gpu ? Device::kCuda : Device::kCpu,
                    .gpu = gpu.get(),
                    .arena = &arena,
                    .threads = &threads,
                    .matmul_precision = training_precision(recipe.model.precision, gpu.get()),
                    .deterministic = options.model.deterministic};

  Interrupt interrupt;
  RunProgress progress(terminal);
  rl::RlCallbacks callbacks;
  callbacks.stop = [&] { return interrupt.requested(); };
  if (group->is_first()) {
    callbacks.note = [&](const std::string& text) { terminal.note(text); };
    callbacks.alarm = [&](const std::string& text) {
      terminal.clear_progress();
      terminal.warn(text);
    };
    callbacks.on_batch = [&](const rl::RlStatus& status) { progress.show(progress_line(status), status.saved); };
  }

  rl::ReinforcementRun run(std::move(recipe), ctx, options.resume, callbacks, group.get());
  terminal.info(fmt::format("process {} of {}, {} threads, {} kernels", group->rank(), group->size(), threads.size(),
                            cpu::kernels().isa));
  const std::unique_ptr<LivePage> page = open_live_page(run.folder().path(), options.port, *group, terminal);
  run.run();
  terminal.clear_progress();
  if (!group->is_first()) return 0;
  train::write_report(run.folder().path());
  terminal.note(fmt::format("{} after batch {}; model in {}, curves in {}", interrupt.requested() ? "stopped" : "done",
                            run.batches(), run.folder().checkpoint(run.batches()).string(),
                            (run.folder().path() / "report.html").string()));
  return 0;
}

}  // namespace

Command define_train_rl() {
  auto options = std::make_shared<TrainRlOptions>();
  Command command{
      .name = "train rl",
      .summary = "reinforcement learning of a model on problems with verifiable answers (CISPO)",
      .usage = "RECIPE.toml [flags]",
      .description =
          "Samples groups of answers by the engine, scores them, and updates the model on the same weights. Recipes, "
          "tasks and metrics: docs/rl.md. Started by mpirun, the processes share out problems and passes. Interrupted, "
          "the run saves a checkpoint and ends; --resume goes on from there with the same bits.",
      .arguments = {{"RECIPE", "what to do (TOML)", ValueKind::kFile}},
      .examples = {{"minimax train rl recipe.toml --out runs/rl"},
                   {"minimax train rl recipe.toml --resume"},
                   {"minimax train rl recipe.toml --ui 8090", "with the curves at http://127.0.0.1:8090/"}},
      .run = [options](Command& self, Session& session) {
        if (self.words.size() != 1) throw UsageError("train rl: name one recipe", self.name);
        options->recipe = self.words[0];
        return run_rl(*options, session);
      }};
  command.group("The run");
  command.text("-o,--out", options->out, "FOLDER", "run folder, instead of the recipe's", ValueKind::kFolder);
  command.number("--ui", options->port, "PORT", "show the curves on a page at 127.0.0.1:PORT; 0: any free port", "", 0,
                 65535);
  command.flag("--resume", options->resume, "go on from the newest checkpoint of the run folder");
  command.choice<DeviceChoice>(
      "--device", options->model.device, "DEVICE", "where to compute; auto: the first GPU, if there is one",
      {{"auto", DeviceChoice::kAuto}, {"cpu", DeviceChoice::kCpu}, {"cuda", DeviceChoice::kCuda}}, "auto");
  command.flag("--deterministic", options->model.deterministic,
               "on a GPU: log-probs that do not depend on the batch, as on the CPU always");
  command.number("--batches", options->batches, "N", "instead of the recipe's", "", 1, 1e12);
  command.number("--seed", options->seed, "S", "instead of the recipe's", "", 0);
  return command;
}

}  // namespace minimax::cli
