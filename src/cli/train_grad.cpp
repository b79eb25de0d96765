#include <fmt/format.h>

#include <memory>

#include "cli/common_flags.h"
#include "cli/host_model.h"
#include "cli/input.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "model/parameters.h"
#include "train/trainer.h"

namespace minimax::cli {
namespace {

std::vector<int32_t> ids_of(const io::SafetensorsFile& file, const std::string& name) {
  const Tensor x = file.tensor(name);
  MM_CHECK(x.rank() == 1, file.path().string(), ": ", name, " is ", x.shape(), ", expected one dimension");
  if (x.dtype() == DType::kInt32) return {x.span<int32_t>().begin(), x.span<int32_t>().end()};
  MM_CHECK(x.dtype() == DType::kInt64, file.path().string(), ": ", name, " is ", x.dtype(), ", expected I32 or I64");
  return {x.span<int64_t>().begin(), x.span<int64_t>().end()};
}

std::vector<double> numbers_of(const io::SafetensorsFile& file, const std::string& name) {
  const Tensor x = file.tensor(name);
  if (x.dtype() == DType::kFloat64) return {x.span<double>().begin(), x.span<double>().end()};
  const Tensor widened = to_float32(x);
  return {widened.span<float>().begin(), widened.span<float>().end()};
}

double number_of(const io::SafetensorsFile& file, const std::string& name) {
  const std::vector<double> values = numbers_of(file, name);
  MM_CHECK(values.size() == 1, file.path().string(), ": ", name, " has ", values.size(), " elements, expected 1");
  return values[0];
}

/// One sequence, every position with a target of its own.
train::TrainBatch batch_of(const io::SafetensorsFile& file, bool cispo, train::PolicyLoss& policy) {
  train::TrainBatch batch;
  batch.tokens = ids_of(file, "input_ids");
  batch.targets = ids_of(file, "ce_targets");
  const auto tokens = static_cast<int32_t>(batch.tokens.size());
  batch.cu_seqlens = {0, tokens};
  for (int32_t token = 0; token < tokens; ++token) batch.rows.push_back(token);
  std::vector<double> mask(batch.tokens.size(), 1.0);
  if (cispo) {
    batch.advantages = numbers_of(file, "cispo_advantages");
    batch.old_log_probs = numbers_of(file, "cispo_old_logprobs");
    mask = numbers_of(file, "cispo_mask");
    policy = {.ratio_max = 1 + number_of(file, "cispo_eps_high")};
  }
  const int64_t starts[] = {0, static_cast<int64_t>(mask.size())};
  batch.weights = train::token_weights(policy, mask, starts, 1);
  return batch;
}

int run_grad(const TrainGradOptions& options, Session& session) {
  check_model_folder(options.model.model);
  const auto io = io::SafetensorsFile::open(options.io_file);
  ThreadPool threads(session.global.threads);
  const MiniMaxM1 model = load_host_model(options.model, options.model.model, threads);
  Arena arena;
  const Context ctx{.arena = &arena, .threads = &threads};
  train::PassOptions pass{.checkpoint_layers = options.checkpoint_layers};
  const train::TrainBatch batch = batch_of(io, options.loss == "cispo", pass.policy);
  Gradients gradients;
  const train::PassReport report = train::run_pass(ctx, model, batch, pass, 1, gradients);

  std::vector<io::NamedTensor> out;
  for (const Parameter& parameter : parameters(model)) {
    const Tensor* gradient = gradients.find(parameter.value);
    // An expert without tokens.
    out.push_back({parameter.name, gradient ? *gradient : Tensor::zeros(parameter.value.shape(), DType::kFloat32)});
  }
  io::write_safetensors(options.out_file, out);
  const double capped = report.policy.tokens > 0 ? report.policy.capped / report.policy.tokens : 0;
  if (options.json) {
    io::json::object summary{{"loss", report.loss}, {"tokens", report.tokens}, {"tensors", out.size()}};
    if (options.loss == "cispo") summary["clip_fraction"] = capped;
    session.terminal.print_line(io::write_json(summary, io::JsonStyle::kPython));
  } else {
    session.terminal.note(fmt::format("loss {:.6f} over {} tokens; {} gradients in {}", report.loss, report.tokens,
                                      out.size(), options.out_file));
  }
  return 0;
}

}  // namespace

Command define_train_grad() {
  auto options = std::make_shared<TrainGradOptions>();
  Command command{
      .name = "train grad",
      .summary = "gradients of every weight, for people who verify",
      .usage = "MODEL --io FILE --loss ce|cispo --out FILE [flags]",
      .description =
          "Reads input_ids and ce_targets [tokens] from a safetensors file (target i belongs to position i), for cispo "
          "also cispo_old_logprobs, cispo_advantages, cispo_mask [tokens] and cispo_eps_high [1], and writes the "
          "gradient of the loss by the name of each weight, float32. The loss is the mean over positions, or "
          "-sum(mask * min(ratio, 1 + eps_high) * advantage * logprob) / sum(mask) with the ratio held constant.",
      .arguments = {{"MODEL", "folder with config.json and *.safetensors", ValueKind::kFolder}},
      .examples = {{"minimax train grad MODEL --io io.safetensors --loss ce --out grads.safetensors"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        options->model.model = take_model(self, options->model.model);
        if (options->io_file.empty()) throw UsageError("train grad: no --io given", self.name);
        if (options->out_file.empty()) throw UsageError("train grad: no --out given", self.name);
        return run_grad(*options, session);
      }};
  command.group("What to compute");
  command.text("--io", options->io_file, "FILE", "ids, targets and what the loss wants (safetensors)",
               ValueKind::kFile);
  command.choice<std::string>("--loss", options->loss, "LOSS", "whose gradient", {{"ce", "ce"}, {"cispo", "cispo"}},
                              "ce");
  command.text("-o,--out", options->out_file, "FILE", "where the gradients go (safetensors)", ValueKind::kFile);
  command.flag("--checkpoint-layers", options->checkpoint_layers, "compute layers twice and keep less");
  command.flag("--json", options->json, "the loss as JSON");
  add_model_flags(command, options->model);
  return command;
}

}  // namespace minimax::cli
