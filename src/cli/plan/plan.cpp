#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "cli/input.h"
#include "cli/plan/probe.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "core/machine.h"
#include "core/threads.h"
#include "cuda/devices.h"
#include "engine/plan.h"
#include "io/file.h"
#include "io/json.h"
#include "model/cost.h"
#include "model/quantize_checkpoint.h"
#include "model/tensor_names.h"

namespace minimax::cli {
namespace {

namespace fs = std::filesystem;
using engine::kTiers;
using engine::PerTier;
using engine::Plan;
using engine::Tier;

// One recipe: the plan, and how fast this machine or the one described would answer.
struct Row {
  std::string recipe;
  Plan plan;
  PerTier<std::optional<double>> bytes_per_second;
  std::optional<double> seconds_empty, seconds_full;  // of a token
  std::optional<double> prompt_seconds;               // of kPlannedPrompt tokens
};

struct Report {
  std::string model;
  ModelConfig config;
  DType dtype = DType::kBFloat16;
  PerTier<int64_t> memory;
  PerTier<std::optional<double>> given_bandwidth;
  std::vector<Row> rows;
  size_t chosen = 0;                // of rows: the one shown in detail
  std::optional<std::string> best;  // the recipe with the most bits that needs no disk
  bool measured = false;
  std::vector<std::string> notes;
};

ModelConfig config_of(const std::string& model) {
  std::error_code error;
  if (fs::is_regular_file(model, error)) return parse_config(io::read_file(model, 16 << 20), model);
  check_model_folder(model);
  return read_config(model);
}

// What can be had, and the room that files of this model take already, which a smaller copy may take over.
PerTier<int64_t> memory_of(const PlanOptions& options) {
  std::error_code error;
  const fs::path path = fs::absolute(options.model, error);
  const fs::path folder = fs::is_directory(path, error) ? path : path.parent_path();
  const Machine machine = inspect_machine(folder);
  PerTier<int64_t> memory;
  if (!options.gpu.empty()) {
    memory[Tier::kGpu] = parse_bytes(options.gpu, "--gpu", "plan");
  } else {
    for (const cuda::GpuInfo& gpu : cuda::gpu_devices().gpus)
      memory[Tier::kGpu] = std::max(memory[Tier::kGpu], gpu.memory_free_bytes);
  }
  const int64_t host =
      machine.memory_limit ? *machine.memory_limit - machine.memory_limit_used.value_or(0) : machine.memory_available;
  memory[Tier::kRam] = options.ram.empty() ? std::max<int64_t>(0, host) : parse_bytes(options.ram, "--ram", "plan");
  if (!options.disk.empty()) {
    memory[Tier::kDisk] = parse_bytes(options.disk, "--disk", "plan");
    return memory;
  }
  memory[Tier::kDisk] = machine.disk_free.value_or(0);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".safetensors") memory[Tier::kDisk] += static_cast<int64_t>(entry.file_size(error));
  return memory;
}

std::optional<double> bandwidth(std::string word, const std::string& flag) {
  if (word.empty()) return std::nullopt;
  if (word.ends_with("/s")) word.resize(word.size() - 2);
  const int64_t bytes = parse_bytes(word, flag, "plan");
  if (bytes == 0) throw UsageError(fmt::format("{}: \"{}\", expected more than nothing a second", flag, word), "plan");
  return static_cast<double>(bytes);
}

Row plan_row(const std::string& text, const std::string& what, const Report& report, const PlanOptions& options) {
  const quant::Recipe recipe = quant::Recipe::parse(text, what);
  return {text,
          plan_model(report.config, recipe, report.dtype, report.memory,
                     std::min(options.context_size, report.config.max_positions)),
          report.given_bandwidth,
          {},
          {},
          {}};
}

// Only RAM is measured, and only for rows that read it and nothing of unknown speed.
void predict(Report& report, Session& session) {
  const int64_t most_bytes = std::min<int64_t>(int64_t{2} << 30, inspect_machine().memory_available / 2);
  ThreadPool threads(session.global.threads);
  for (Row& row : report.rows) {
    const auto predictable = [&](const std::optional<double>& ram) {
      return seconds_per_token(row.plan, {{row.bytes_per_second[Tier::kGpu], ram, row.bytes_per_second[Tier::kDisk]}},
                               false)
          .has_value();
    };
    if (!predictable(row.bytes_per_second[Tier::kRam]) && predictable(1)) {
      session.terminal.progress(fmt::format("measuring {}", row.recipe));
      const auto speed = measure_probe(report.config, quant::Recipe::parse(row.recipe, "--type"), threads, most_bytes);
      if (speed) row.bytes_per_second[Tier::kRam] = speed->bytes_per_second;
      // A prompt is read by the processor from memory, or there is no telling.
      if (speed && row.plan.fits_in_memory() && row.plan.tiers[Tier::kGpu].bytes() == 0)
        row.prompt_seconds =
            prefill_cost(report.config, report.dtype, kPlannedPrompt).flops / speed->prompt_flops_per_second;
      report.measured |= speed.has_value();
    }
    row.seconds_empty = seconds_per_token(row.plan, row.bytes_per_second, false);
    row.seconds_full = seconds_per_token(row.plan, row.bytes_per_second, true);
  }
  session.terminal.clear_progress();
}

void add_notes(Report& report) {
  const Row& chosen = report.rows[report.chosen];
  const Plan& plan = chosen.plan;
  if (plan.missing_memory_bytes > 0)
    report.notes.push_back(
        fmt::format("one sequence of {} tokens needs {} more of RAM; a smaller --ctx-size needs less",
                    plan.context_tokens, human_bytes(plan.missing_memory_bytes)));
  if (plan.missing_disk_bytes > 0)
    report.notes.push_back(
        fmt::format("the files of {} need {} more of disk", chosen.recipe, human_bytes(plan.missing_disk_bytes)));
  const auto unknown = [&](Tier tier) {
    return plan.fits() && plan.tiers[tier].weight_bytes_per_token > 0 && !chosen.bytes_per_second[tier];
  };
  if (unknown(Tier::kGpu))
    report.notes.push_back("no prediction: the speed of the GPU is not known, give --gpu-bandwidth");
  if (unknown(Tier::kDisk))
    report.notes.push_back("no prediction: the speed of the disk is not known, give --disk-bandwidth");
  if (unknown(Tier::kRam) && !unknown(Tier::kGpu) && !unknown(Tier::kDisk))
    report.notes.push_back("no prediction: there is no memory free to measure the speed of RAM, give --bandwidth");
  if (!report.best)
    report.notes.push_back("no recipe leaves all weights in memory: experts are read from the disk, token after token");
  const engine::TierPlan& gpu = plan.tiers[Tier::kGpu];
  const bool dense = chosen.recipe == "bf16" || chosen.recipe == "keep";
  if (gpu.bytes() > 0 && (!dense || gpu.weight_bytes() < plan.weight_bytes))
    report.notes.push_back(
        "this version runs a model on a GPU only as a whole and in bfloat16; a model that is quantized or divided "
        "between "
        "GPU and RAM is a plan: --gpu 0 shows what runs");
  if (!report.measured && chosen.seconds_empty)
    report.notes.push_back("speeds are bytes over the bandwidths given: what a program could reach at most");
}

// The formats one by one; beside them the recipe asked for, or the best of the ladder of `quantize --fit`.
Report make_report(const PlanOptions& options) {
  Report report{.model = options.model, .config = config_of(options.model)};
  report.dtype = report.config.dtype.value_or(DType::kBFloat16);
  report.given_bandwidth[Tier::kGpu] = bandwidth(options.gpu_bandwidth, "--gpu-bandwidth");
  report.given_bandwidth[Tier::kRam] = bandwidth(options.ram_bandwidth, "--bandwidth");
  report.given_bandwidth[Tier::kDisk] = bandwidth(options.disk_bandwidth, "--disk-bandwidth");
  report.memory = memory_of(options);
  report.rows.push_back(plan_row("bf16", "plan", report, options));
  for (const quant::Format format : quant::all_formats())
    report.rows.push_back(plan_row(std::string(quant::name(format)), "plan", report, options));

  std::optional<Row> best, least;
  for (const std::string& text : recipe_ladder()) {
    const bool as_bf16 = text == "keep" && report.dtype == DType::kBFloat16;
    Row row = plan_row(as_bf16 ? "bf16" : text, "plan", report, options);
    if (row.plan.fits_in_memory()) {
      best = std::move(row);
      break;
    }
    least = std::move(row);
  }
  if (best) report.best = best->recipe;
  Row shown = !options.type.empty() ? plan_row(options.type, "--type", report, options) : best ? *best : *least;
  const auto same =
      std::find_if(report.rows.begin(), report.rows.end(), [&](const Row& row) { return row.recipe == shown.recipe; });
  report.chosen = static_cast<size_t>(same - report.rows.begin());
  if (same == report.rows.end()) report.rows.push_back(std::move(shown));
  return report;
}

double bits_per_weight(const Report& report, const Row& row) {
  return static_cast<double>(row.plan.weight_bytes) * 8 / static_cast<double>(parameter_count(report.config));
}

std::string speed_text(const std::optional<double>& seconds) {
  if (!seconds) return "-";
  return *seconds > 2 ? fmt::format("{:.2g}", 1 / *seconds) : fmt::format("{:.2f}", 1 / *seconds);
}

std::string bytes_or_dash(double bytes) {
  return bytes > 0 ? human_bytes(static_cast<int64_t>(bytes)) : "-";
}

std::string place_text(const Plan& plan) {
  if (plan.missing_memory_bytes > 0) return "lacks memory";
  if (plan.missing_disk_bytes > 0) return "lacks disk";
  return plan.fits_in_memory() ? "memory" : "disk too";
}

void print_report(const Report& report, Terminal& terminal) {
  const Plan& plan = report.rows[report.chosen].plan;
  terminal.print_line(
      fmt::format("{} parameters, {} layers; a sequence of {} tokens takes {} of keys and values and {} of states",
                  human_count(parameter_count(report.config)), report.config.layers, plan.context_tokens,
                  human_bytes(plan.kv_bytes), human_bytes(plan.state_bytes)));
  terminal.print_line(fmt::format("GPU {}, RAM {}, disk {}",
                                  bytes_or_dash(static_cast<double>(report.memory[Tier::kGpu])),
                                  human_bytes(report.memory[Tier::kRam]), human_bytes(report.memory[Tier::kDisk])));
  terminal.print_line("");
  constexpr auto kRight = Table::Align::kRight;
  Table formats({{"recipe"},
                 {"bits", kRight},
                 {"weights", kRight},
                 {"lies in"},
                 {"a token reads: GPU", kRight},
                 {"RAM", kRight},
                 {"disk", kRight},
                 {fmt::format("prompt of {}, tokens/s", kPlannedPrompt), kRight},
                 {"answer, empty", kRight},
                 {fmt::format("after {}", plan.context_tokens), kRight}});
  for (const Row& row : report.rows) {
    std::vector<std::string> cells{row.recipe, fmt::format("{:.2f}", bits_per_weight(report, row)),
                                   human_bytes(row.plan.weight_bytes), place_text(row.plan)};
    for (const Tier tier : kTiers) cells.push_back(bytes_or_dash(row.plan.tiers[tier].weight_bytes_per_token));
    cells.push_back(row.prompt_seconds ? speed_text(*row.prompt_seconds / static_cast<double>(kPlannedPrompt)) : "-");
    cells.push_back(speed_text(row.seconds_empty));
    cells.push_back(speed_text(row.seconds_full));
    formats.row(std::move(cells));
  }
  terminal.print(formats.text(terminal));
  terminal.print_line("");
  terminal.print_line(
      fmt::format("{}{}", report.rows[report.chosen].recipe,
                  report.best == report.rows[report.chosen].recipe
                      ? ", the best that lies in memory"
                      : fmt::format(" (the best that lies in memory: {})", report.best.value_or("none"))));
  Table places({{""},
                {"read by every token", kRight},
                {"experts", kRight},
                {"of them", kRight},
                {"embedding", kRight},
                {"sequence", kRight},
                {"in all", kRight}});
  for (const Tier tier : kTiers) {
    const engine::TierPlan& part = plan.tiers[tier];
    const auto size = [](int64_t bytes) { return bytes_or_dash(static_cast<double>(bytes)); };
    places.row({std::string(name(tier)), size(part.dense_bytes), size(part.expert_bytes), std::to_string(part.experts),
                size(part.embedding_bytes), size(part.sequence_bytes), size(part.bytes())});
  }
  terminal.print(places.text(terminal));
  for (const std::string& note : report.notes) terminal.note(note);
}

template <typename T>
io::json::value or_null(const std::optional<T>& value) {
  return value ? io::json::value(*value) : io::json::value(nullptr);
}

std::optional<double> inverse(const std::optional<double>& seconds) {
  return seconds ? std::optional(1 / *seconds) : std::nullopt;
}

io::json::object json_row(const Report& report, const Row& row) {
  io::json::object tiers;
  for (const Tier tier : kTiers) {
    const engine::TierPlan& part = row.plan.tiers[tier];
    tiers[name(tier)] = io::json::object{{"bytes", part.bytes()},
                                         {"dense_bytes", part.dense_bytes},
                                         {"expert_bytes", part.expert_bytes},
                                         {"experts", part.experts},
                                         {"embedding_bytes", part.embedding_bytes},
                                         {"sequence_bytes", part.sequence_bytes},
                                         {"weight_bytes_per_token", part.weight_bytes_per_token},
                                         {"bytes_per_second", or_null(row.bytes_per_second[tier])}};
  }
  return {{"recipe", row.recipe},
          {"weight_bytes", row.plan.weight_bytes},
          {"bits_per_weight", bits_per_weight(report, row)},
          {"fits", row.plan.fits()},
          {"fits_in_memory", row.plan.fits_in_memory()},
          {"missing_memory_bytes", row.plan.missing_memory_bytes},
          {"missing_disk_bytes", row.plan.missing_disk_bytes},
          {"tiers", std::move(tiers)},
          {"prompt_tokens_per_second",
           or_null(row.prompt_seconds ? std::optional(kPlannedPrompt / *row.prompt_seconds) : std::nullopt)},
          {"tokens_per_second_empty", or_null(inverse(row.seconds_empty))},
          {"tokens_per_second_full", or_null(inverse(row.seconds_full))}};
}

io::json::object to_json(const Report& report) {
  const Plan& plan = report.rows[report.chosen].plan;
  io::json::object memory;
  for (const Tier tier : kTiers) memory[name(tier)] = report.memory[tier];
  io::json::array rows;
  for (const Row& row : report.rows) rows.push_back(json_row(report, row));
  return {{"model", report.model},
          {"parameters", parameter_count(report.config)},
          {"context_tokens", plan.context_tokens},
          {"kv_bytes", plan.kv_bytes},
          {"state_bytes", plan.state_bytes},
          {"state_bytes_per_token_empty", plan.state_bytes_per_token_empty},
          {"state_bytes_per_token_full", plan.state_bytes_per_token_full},
          {"memory_bytes", std::move(memory)},
          {"measured", report.measured},
          {"recipes", std::move(rows)},
          {"chosen", report.rows[report.chosen].recipe},
          {"best", or_null(report.best)},
          {"notes", io::json::array(report.notes.begin(), report.notes.end())}};
}

int run_plan(const PlanOptions& options, Session& session) {
  Report report = make_report(options);
  predict(report, session);
  add_notes(report);
  if (options.json)
    session.terminal.print_line(io::write_json(to_json(report), io::JsonStyle::kPretty));
  else
    print_report(report, session.terminal);
  return 0;
}

}  // namespace

Command define_plan() {
  auto options = std::make_shared<PlanOptions>();
  Command command{
      .name = "plan",
      .summary = "whether a model fits, in which format, where, and how fast it would be",
      .usage = "MODEL [flags]",
      .description =
          "From config.json alone, before any download: for each format the bytes of the weights, where they would lie "
          "(GPU, RAM, then disk: first what every token reads, then experts), what a token reads there, and tokens a "
          "second. Without --bandwidth the speed of RAM is measured by answering with random weights of each format, "
          "seconds each; that of GPU and disk is to be given. docs/plan.md says how it is counted.",
      .arguments = {{"MODEL", "folder with config.json, or the file; or nano", ValueKind::kFolder}},
      .examples = {{"minimax plan MODEL", "on this machine"},
                   {"minimax plan config.json --ram 256GB --disk 2TB --bandwidth 200GB/s", "on another"},
                   {"minimax plan MODEL --type experts=q4,attention=q8 --gpu 24GB --gpu-bandwidth 900GB/s"},
                   {"minimax plan MODEL --json"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        options->model = take_model(self, options->model);
        return run_plan(*options, session);
      }};
  command.text("-m,--model", options->model, "FOLDER", "the model, instead of the argument", ValueKind::kFolder);
  command.text("--type", options->type, "RECIPE", "show this one in detail: q4, or experts=q4,attention=q8,head=bf16",
               ValueKind::kText, "the best that lies in memory");
  command.number("-c,--ctx-size,--ctx", options->context_size, "N", "tokens of the sequence that must fit", "32768", 0);
  command.text("--ram", options->ram, "SIZE", "memory to use: 64GB", ValueKind::kText, "what is available");
  command.text("--gpu", options->gpu, "SIZE", "memory of the GPU; 0: none", ValueKind::kText, "what is free there");
  command.text("--disk", options->disk, "SIZE", "room for the files", ValueKind::kText, "what is free there");
  command.text("--bandwidth", options->ram_bandwidth, "SPEED", "at which RAM is read: 80GB/s", ValueKind::kText,
               "measured");
  command.text("--gpu-bandwidth", options->gpu_bandwidth, "SPEED", "the same of the GPU's memory");
  command.text("--disk-bandwidth", options->disk_bandwidth, "SPEED", "the same of the disk");
  command.flag("--json", options->json, "as JSON");
  return command;
}

}  // namespace minimax::cli
