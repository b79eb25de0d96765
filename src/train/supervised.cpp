#include "train/supervised.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/error.h"
#include "io/atomic_file.h"
#include "io/file.h"
#include "model/load.h"
#include "model/tensor_names.h"
#include "train/initialize.h"
#include "train/unpack.h"

namespace minimax::train {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Every target of a step or of the held-out data counts alike.
std::vector<TrainBatch> packed(const std::vector<Example>& examples, int64_t pass_tokens) {
  int64_t targets = 0;
  for (const Example& example : examples) targets += example.target_count();
  std::vector<TrainSequence> sequences;
  for (const Example& example : examples) {
    TrainSequence& sequence = sequences.emplace_back();
    sequence.tokens = example.tokens;
    for (const bool target : example.targets) sequence.weights.push_back(target ? 1 / static_cast<double>(targets) : 0);
  }
  return pack(sequences, pass_tokens);
}

std::string_view precision_name(DType dtype) {
  return dtype == DType::kBFloat16 ? "bfloat16" : "float32";
}

}  // namespace

SupervisedRun::SupervisedRun(Recipe recipe, const Context& ctx, bool resume, RunCallbacks callbacks,
                             comm::ProcessGroup* group)
    : recipe_(std::move(recipe)),
      ctx_(ctx),
      callbacks_(std::move(callbacks)),
      group_(group),
      folder_(recipe_.output),
      tokenizer_folder_(recipe_.tokenizer.empty() ? recipe_.model.checkpoint : recipe_.tokenizer) {
  MM_CHECK(resume || !folder_.is_used(), recipe_.output.string(),
           ": a run has been here already; resume it, or name another output");
  tokenizer_ = text::Tokenizer::load(tokenizer_folder_);
  const std::vector<int64_t> checkpoints = folder_.checkpoints();
  const bool goes_on = resume && !checkpoints.empty();
  // Adapters go on from their base, which checkpoints hold merged or not at all.
  const PackedWeights packed_weights = recipe_.lora.rank > 0 ? PackedWeights::kKeep : PackedWeights::kUnpack;
  if (goes_on && recipe_.lora.rank == 0) {
    trainable_ = make_trainable(ctx_, load_model(folder_.checkpoint(checkpoints.back())), recipe_.model.precision);
  } else if (!recipe_.model.checkpoint.empty()) {
    trainable_ = make_trainable(ctx_, load_model(recipe_.model.checkpoint), recipe_.model.precision, packed_weights);
  } else {
    ModelConfig config = recipe_.model.shape;
    if (config.vocab == 0) config.vocab = tokenizer_->vocab_size();
    trainable_ = make_trainable(ctx_, initial_model(config, recipe_.seed, *ctx_.threads), recipe_.model.precision);
  }
  const ModelConfig& config = model().config;
  MM_CHECK(tokenizer_->vocab_size() <= config.vocab, tokenizer_folder_.string(), ": the tokenizer has ",
           tokenizer_->vocab_size(), " ids, the model ", config.vocab);
  MM_CHECK(recipe_.context <= config.max_positions, "context is ", recipe_.context, ", the model has ",
           config.max_positions, " positions");
  if (recipe_.lora.rank > 0) adapters_ = std::make_unique<LoraAdapters>(ctx_, trainable_, recipe_.lora, recipe_.seed);
  trainer_ = std::make_unique<Trainer>(ctx_, trainable_, recipe_.trainer, group_, adapters_.get());
  note(fmt::format("model: {} layers, {} parameters, {} weights", config.layers, parameter_count(config),
                   precision_name(recipe_.model.precision)));
  load_data();
  if (goes_on) this->resume();
  if (!writes()) return;
  folder_.forget_after(step_);
  io::write_file(folder_.path() / "recipe.toml", recipe_.source);
  io::json::array data;
  for (const Dataset& dataset : mixture_->datasets())
    data.push_back(io::json::object{{"name", dataset.name()},
                                    {"weight", dataset.weight()},
                                    {"examples", dataset.size()},
                                    {"tokens", dataset.tokens()}});
  io::write_file(folder_.path() / "run.json",
                 io::write_json(io::json::object{{"kind", "sft"},
                                                 {"seed", recipe_.seed},
                                                 {"steps", recipe_.schedule.total_steps},
                                                 {"parameters", parameter_count(config)},
                                                 {"precision", precision_name(recipe_.model.precision)},
                                                 {"batch_tokens", recipe_.batch_tokens},
                                                 {"context", recipe_.context},
                                                 {"tokenizer", tokenizer_->description()},
                                                 {"vocab", config.vocab},
                                                 {"data", data}},
                                io::JsonStyle::kPretty) +
                     "\n");
  if (recipe_.tensorboard) board_ = std::make_unique<TensorBoard>(folder_.path() / "tensorboard", seconds_since_1970());
}

void SupervisedRun::note(const std::string& text) const {
  if (callbacks_.note) callbacks_.note(text);
}

bool SupervisedRun::asked_to_stop() const {
  double asked[] = {callbacks_.stop && callbacks_.stop() ? 1.0 : 0.0};
  if (group_) group_->all_reduce_sum(std::span<double>(asked));
  return asked[0] > 0;
}

/// Enough passes for every process to have one.
int64_t SupervisedRun::pass_tokens() const {
  const int64_t processes = group_ ? group_->size() : 1;
  return std::min(recipe_.pass_tokens, (recipe_.batch_tokens + processes - 1) / processes);
}

void SupervisedRun::load_data() {
  std::vector<Dataset> datasets;
  std::vector<Example> apart;
  int64_t apart_tokens = 0;
  const auto hold = [&](const Dataset& dataset) {
    for (int64_t i = 0; i < dataset.size() && apart_tokens < recipe_.held_out_tokens; ++i) {
      apart.push_back(dataset.at(i));
      apart_tokens += static_cast<int64_t>(apart.back().tokens.size());
    }
  };
  for (const DataRecipe& data : recipe_.data) {
    LoadReport report;
    Dataset held_out(data.name, data.weight);
    datasets.push_back(load_dataset(read_data_file(data), *tokenizer_, recipe_.context, *ctx_.threads, report,
                                    recipe_.held_out_share, recipe_.seed, &held_out));
    hold(held_out);
    note(fmt::format(
        "data \"{}\": {} examples, {} tokens, {} targets{}{}", data.name, report.examples, report.tokens,
        report.targets,
        report.too_long ? fmt::format("; {} longer than {} tokens left out", report.too_long, recipe_.context) : "",
        report.without_targets ? fmt::format("; {} without an assistant's turn", report.without_targets) : ""));
  }
  for (const DataRecipe& data : recipe_.held_out) {
    LoadReport report;
    hold(load_dataset(read_data_file(data), *tokenizer_, recipe_.context, *ctx_.threads, report));
  }
  held_out_ = packed(apart, pass_tokens());
  mixture_ = std::make_unique<Mixture>(std::move(datasets), recipe_.seed);
}

void SupervisedRun::resume() {
  const int64_t newest = folder_.checkpoints().back();
  const fs::path folder = folder_.checkpoint(newest), file = folder / "trainer.json";
  load_optimizer(ctx_, trainable_, trainer_->optimizer(), folder);
  if (adapters_) adapters_->load(ctx_, folder);
  const io::json::value value = io::read_json_file(file);
  const io::JsonField root(value, file.string());
  step_ = root["step"].integer(0);
  tokens_ = root["tokens"].integer(0);
  seconds_ = root["seconds"].number(0);
  trainer_->optimizer().set_steps(root["updates"].integer(0));
  for (int64_t i = 0; i < root["recent_norms"].size(); ++i)
    trainer_->recent_norms().push_back(root["recent_norms"][i].number());
  if (root["best_step"].has_value()) {
    best_step_ = root["best_step"].integer(0);
    best_loss_ = root["best_loss"].number();
  }
  mixture_->restore(root["data"]);
  note(fmt::format("going on after step {}", step_));
}

io::json::object SupervisedRun::state() const {
  io::json::array norms;
  for (const double norm : trainer_->recent_norms()) norms.emplace_back(norm);
  io::json::object out{{"step", step_},         {"updates", trainer_->optimizer().steps()},
                       {"tokens", tokens_},     {"seconds", seconds_},
                       {"recent_norms", norms}, {"data", mixture_->state()}};
  out["best_step"] = best_step_ ? io::json::value(*best_step_) : io::json::value(nullptr);
  out["best_loss"] = best_loss_;
  return out;
}

std::vector<TrainBatch> SupervisedRun::next_batches() {
  std::vector<Example> examples;
  int64_t tokens = 0;
  while (tokens < recipe_.batch_tokens) {
    examples.push_back(mixture_->next());
    tokens += static_cast<int64_t>(examples.back().tokens.size());
  }
  return packed(examples, pass_tokens());
}

std::optional<double> SupervisedRun::held_out_loss() const {
  if (held_out_.empty()) return std::nullopt;
  double loss[] = {0};
  for (size_t i = 0; i < held_out_.size(); ++i) {
    if (!trainer_->is_own(i)) continue;
    const TrainBatch& batch = held_out_[i];
    const std::vector<double> log_probs = trainer_->log_probs(batch);
    for (size_t row = 0; row < log_probs.size(); ++row) loss[0] -= batch.weights[row] * log_probs[row];
  }
  if (group_) group_->all_reduce_sum(std::span<double>(loss));
  return loss[0];
}

void SupervisedRun::log(const StepMetrics& metrics, double seconds, std::optional<double> held_out) {
  // Names as the reinforcement learning loop has them.
  io::json::object line{{"step", step_}};
  std::vector<std::pair<std::string, double>> scalars;
  const auto add = [&](const char* name, double value) {
    if (!std::isfinite(value)) {
      line[name] = std::isnan(value) ? "nan" : "inf";
      return;
    }
    line[name] = value;
    scalars.emplace_back(name, value);
  };
  add("loss", metrics.pass.loss);
  if (held_out) add("held_out/loss", *held_out);
  add("loss/aux", metrics.pass.balance);
  add("grad/norm", metrics.optimizer.gradient_norm);
  add("grad/clipped", metrics.optimizer.clipped);
  add("grad/skipped", metrics.optimizer.skipped);
  add("rate", metrics.rate);
  add("tokens", static_cast<double>(tokens_));
  add("targets", static_cast<double>(metrics.pass.targets));
  add("time/update", seconds);
  add("tok/s", static_cast<double>(metrics.pass.tokens) / seconds);
  for (size_t i = 0; i < mixture_->datasets().size(); ++i) {
    const std::string name = "epoch/" + mixture_->datasets()[i].name();
    add(name.c_str(), mixture_->epochs(i));
  }
  folder_.append(folder_.metrics_file(), line);
  if (board_) board_->scalars(step_, seconds_since_1970(), scalars);
}

void SupervisedRun::save(std::optional<double> held_out) {
  if (held_out && (!best_step_ || *held_out < best_loss_)) {
    best_step_ = step_;
    best_loss_ = *held_out;
  }
  folder_.save(step_, [&](const fs::path& folder) {
    if (!is_packed(model())) save_model(ctx_, model(), folder, tokenizer_folder_);
    save_optimizer(ctx_, trainable_, trainer_->optimizer(), folder);
    if (adapters_) adapters_->save(ctx_, folder);
    io::write_file(folder / "trainer.json", io::write_json(state(), io::JsonStyle::kPretty) + "\n");
  });
  folder_.prune(recipe_.keep_last, best_step_);
  if (!callbacks_.sample) return;
  for (const SampleRecipe& sample : recipe_.samples)
    folder_.append(folder_.samples_file(), {{"step", step_},
                                            {"prompt", sample.prompt},
                                            {"temperature", sample.temperature},
                                            {"text", callbacks_.sample(model(), *tokenizer_, sample)}});
}

int64_t SupervisedRun::run() {
  const int64_t steps = recipe_.schedule.total_steps;
  RunStatus status{.steps = steps};
  bool ends = step_ >= steps;
  if (ends && folder_.checkpoints().empty()) {
    const std::optional<double> held_out = held_out_loss();
    if (writes()) save(held_out);
  }
  double pace = 0;  // seconds of a step, lately
  while (!ends) {
    const auto begin = Clock::now();
    const std::vector<TrainBatch> batches = next_batches();
    const StepMetrics metrics = trainer_->step(batches, recipe_.schedule.at(step_));
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    ++step_;
    seconds_ += seconds;
    tokens_ += metrics.pass.tokens;
    pace = pace == 0 ? seconds : 0.9 * pace + 0.1 * seconds;
    ends = asked_to_stop() || step_ >= steps;
    status.saved = ends || (recipe_.checkpoint_every > 0 && step_ % recipe_.checkpoint_every == 0);
    std::optional<double> held_out;
    if (status.saved || (recipe_.held_out_every > 0 && step_ % recipe_.held_out_every == 0)) held_out = held_out_loss();
    if (writes()) log(metrics, seconds, held_out);
    if (writes() && status.saved) save(held_out);
    status.step = step_;
    status.loss = metrics.pass.loss;
    status.rate = metrics.rate;
    status.gradient_norm = metrics.optimizer.gradient_norm;
    status.skipped = metrics.optimizer.skipped;
    status.tokens_per_second = static_cast<double>(metrics.pass.tokens) / pace;
    status.seconds_left = pace * static_cast<double>(steps - step_);
    if (held_out) status.held_out_loss = held_out;
    if (callbacks_.on_step) callbacks_.on_step(status);
  }
  return step_;
}

}  // namespace minimax::train
