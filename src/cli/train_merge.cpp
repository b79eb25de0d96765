#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "cli/common_flags.h"
#include "cli/input.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "core/context.h"
#include "model/load.h"
#include "train/lora.h"
#include "train/run_folder.h"
#include "train/unpack.h"

namespace minimax::cli {
namespace {

namespace fs = std::filesystem;

int run_merge(const TrainMergeOptions& options, Session& session) {
  check_model_folder(options.model.model);
  MM_CHECK(!fs::exists(options.out) || fs::is_empty(options.out), options.out, ": there is something already");
  ThreadPool threads(session.global.threads);
  Arena arena;
  const Context ctx{.arena = &arena, .threads = &threads};
  MiniMaxM1 model = load_model(options.model.model);
  train::merge_adapters(options.model.adapter, threads, model, train::PackedMerge::kDense);
  model = train::unpacked(model, threads);
  fs::create_directories(options.out);
  const bool has_tokenizer = fs::exists(fs::path(options.model.model) / "tokenizer.json") ||
                             fs::exists(fs::path(options.model.model) / "merges.txt") ||
                             fs::exists(fs::path(options.model.model) / "merges.txt.gz");
  train::save_model(ctx, model, options.out, has_tokenizer ? fs::path(options.model.model) : fs::path());
  session.terminal.note(fmt::format("merged model in {}", options.out));
  return 0;
}

}  // namespace

Command define_train_merge() {
  auto options = std::make_shared<TrainMergeOptions>();
  Command command{
      .name = "train merge",
      .summary = "a model with adapters, as one model",
      .usage = "MODEL --adapter FOLDER --out FOLDER",
      .description =
          "Adds what LoRA adapters learned to the weights they were trained over, and writes a model folder in the "
          "published layout. Without merging, every verb that runs a model takes --adapter FOLDER. A quantized base "
          "becomes "
          "dense.",
      .arguments = {{"MODEL", "the base: folder with config.json and *.safetensors", ValueKind::kFolder}},
      .examples = {{"minimax train merge MODEL --adapter runs/recipe/checkpoints/step-000100 --out merged"}},
      .run = [options](Command& self, Session& session) {
        options->model.model = take_model(self, options->model.model);
        if (options->model.adapter.empty()) throw UsageError("train merge: no --adapter given", self.name);
        if (options->out.empty()) throw UsageError("train merge: no --out given", self.name);
        return run_merge(*options, session);
      }};
  command.group("What to merge");
  command.text("--adapter", options->model.adapter, "FOLDER", "adapter_model.safetensors and adapter_config.json",
               ValueKind::kFolder);
  command.text("-o,--out", options->out, "FOLDER", "where the merged model goes", ValueKind::kFolder);
  return command;
}

}  // namespace minimax::cli
