#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <memory>

#include "cli/common_flags.h"
#include "cli/device.h"
#include "cli/host_model.h"
#include "cli/input.h"
#include "cli/speed.h"
#include "cli/synthetic.h"
#include "cli/train_speed.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "core/machine.h"
#include "core/version.h"
#include "cpu/isa.h"
#include "io/json.h"
#include "model/placement.h"
#include "model/random.h"
#include "model/tensor_names.h"
#include "quant/recipe.h"

namespace minimax::cli {
namespace {

constexpr double kGiga = 1e9;

struct Report {
  Machine machine;
  std::vector<CeilingSamples> ceilings;  ///< by rising number of threads
  std::optional<SpeedSamples> speed;
  std::optional<TrainSpeed> training;
  std::string model_name;
  ModelConfig config;
  std::string type = "BF16";  ///< of the weights: a dense type, or the recipe of packed ones
};

std::string_view name_of(SpeedSamples::Peak peak) {
  switch (peak) {
    case SpeedSamples::Peak::kInt8:
      return "int8 dot";
    case SpeedSamples::Peak::kBFloat16:
      return "bf16 dot";
    case SpeedSamples::Peak::kFloat32:
      break;
  }
  return "float32 multiply-add";
}

// "q4", "q4 + q8" of a loaded model; "BF16".
std::string type_of(const MiniMaxM1& model) {
  const auto of = [](const Weight& weight) {
    return std::string(weight.format ? quant::name(*weight.format) : to_string(weight.data.dtype()));
  };
  const std::string experts = of(model.layers.at(0).moe.experts.at(0).gate), head = of(model.lm_head);
  return experts == head ? experts : experts + ", head " + head;
}

// 1, 2, 4, ... and all.
std::vector<int> thread_counts(int most) {
  std::vector<int> counts;
  for (int count = 1; count < most; count *= 2) counts.push_back(count);
  counts.push_back(most);
  return counts;
}

MiniMaxM1 synthetic_model(const BenchOptions& options, const ModelConfig& config, const Machine& machine,
                          const Context& ctx, Terminal& terminal) {
  // A packed matrix has at most as many bits as dense ones.
  const int64_t bytes = weight_bytes(config, options.dtype) / (options.type.empty() ? 1 : 2);
  const int64_t host_limit =
      machine.memory_limit ? *machine.memory_limit - machine.memory_limit_used.value_or(0) : machine.memory_available;
  const int64_t limit = ctx.gpu ? ctx.gpu->free_bytes() : host_limit;
  MM_CHECK_KIND(kOutOfMemory, bytes < limit, "--synthetic ", options.synthetic, " with ", config.layers,
                " layers needs ", human_bytes(bytes), " of memory, ", human_bytes(limit),
                " are available; --layers N takes fewer");
  terminal.progress(fmt::format("drawing {} of random weights", human_bytes(bytes)));
  if (options.type.empty()) return random_model(ctx, config, options.dtype, 1);
  return place_model(ctx, random_packed_model(config, quant::Recipe::parse(options.type, "--type"), 1, *ctx.threads));
}

// "51.2 (49.9 to 52.0)".
std::string spread(const Samples& samples, double unit, int digits = 1) {
  return fmt::format("{:.{}f} ({:.{}f} to {:.{}f})", samples.median() / unit, digits, samples.min() / unit, digits,
                     samples.max() / unit, digits);
}

Samples inverse(const Samples& samples, double numerator) {
  Samples out;
  for (double value : samples.values) out.values.push_back(numerator / value);
  return out;
}

void print_ceilings(const Report& report, Terminal& terminal) {
  Table table({{"threads", Table::Align::kRight},
               {"memory read, GB/s", Table::Align::kRight},
               {"float32 multiply-add, GFLOP/s", Table::Align::kRight},
               {"bf16 dot, GFLOP/s", Table::Align::kRight},
               {"int8 dot, GOP/s", Table::Align::kRight}});
  for (const CeilingSamples& ceiling : report.ceilings)
    table.row({ceiling.threads > 0 ? std::to_string(ceiling.threads) : "GPU",
               spread(ceiling.read_bytes_per_second, kGiga),
               ceiling.float32_flops.values.empty() ? "not measured" : spread(ceiling.float32_flops, kGiga, 0),
               ceiling.bf16_dot_flops.values.empty() ? "no such instruction" : spread(ceiling.bf16_dot_flops, kGiga, 0),
               ceiling.int8_dot_ops.values.empty() ? "not measured" : spread(ceiling.int8_dot_ops, kGiga, 0)});
  terminal.print(table.text(terminal));
}

void print_speed(const Report& report, const BenchOptions& options, Terminal& terminal) {
  const SpeedSamples& speed = *report.speed;
  const double prompt = static_cast<double>(options.prompt_tokens);
  const double weight_bytes = static_cast<double>(speed.decode_cost.weight_bytes);
  Table table({{""},
               {"tokens/s", Table::Align::kRight},
               {"", Table::Align::kRight},
               {"of the measured ceiling", Table::Align::kRight}});
  table.row({fmt::format("prompt of {}", options.prompt_tokens), spread(inverse(speed.prefill_seconds, prompt), 1),
             spread(inverse(speed.prefill_seconds, speed.prefill_cost.flops), kGiga, 0) + " GFLOP/s",
             spread(speed.prefill_share, 0.01, 0) + " % of " + std::string(name_of(speed.peak))});
  table.row({fmt::format("answer of {}", options.answer_tokens), spread(inverse(speed.decode_seconds, 1), 1, 2),
             spread(inverse(speed.decode_seconds, weight_bytes), kGiga) + " GB/s",
             spread(speed.decode_share, 0.01, 0) + " % of memory read"});
  terminal.print("\n");
  terminal.print_line(fmt::format("{}: {} parameters, {}, {} layers; {} of weights read for a token of the answer",
                                  report.model_name, human_count(parameter_count(report.config)), report.type,
                                  report.config.layers, human_bytes(speed.decode_cost.weight_bytes)));
  terminal.print(table.text(terminal));
  terminal.note(
      fmt::format("medians of {} rounds (smallest to largest); of an answer the median token, 95 % of its "
                  "tokens took less than {}",
                  options.rounds, human_seconds(speed.decode_seconds_p95.median())));
  if (speed.at_depths.empty()) return;
  Table depths({{"tokens before", Table::Align::kRight},
                {"tokens/s", Table::Align::kRight},
                {fmt::format("of the speed after {}", speed.at_depths[0].depth), Table::Align::kRight}});
  for (const SpeedSamples::AtDepth& at : speed.at_depths)
    depths.row({std::to_string(at.depth), spread(inverse(at.decode_seconds, 1), 1, 2), spread(at.ratio, 1, 3)});
  terminal.print("\n");
  terminal.print(depths.text(terminal));
}

void print_training(const TrainSpeed& speed, Terminal& terminal) {
  terminal.print_line(
      fmt::format("training, {} tokens a step: {} tokens/s, {} GFLOP/s{}; the optimizer takes {} of a step",
                  speed.tokens, spread(inverse(speed.seconds, static_cast<double>(speed.tokens)), 1),
                  spread(inverse(speed.seconds, speed.flops), kGiga, 0),
                  speed.share.values.empty() ? "" : ", " + spread(speed.share, 0.01, 0) + " % of float32 multiply-add",
                  human_seconds(speed.update_seconds.median())));
}

io::json::value figure(const Samples& samples) {
  if (samples.values.empty()) return nullptr;
  return io::json::object{{"median", samples.median()},
                          {"min", samples.min()},
                          {"max", samples.max()},
                          {"values", io::json::array(samples.values.begin(), samples.values.end())}};
}

io::json::object to_json(const Report& report, const BenchOptions& options, int threads) {
  io::json::array ceilings;
  for (const CeilingSamples& ceiling : report.ceilings)
    ceilings.push_back(io::json::object{{"threads", ceiling.threads},
                                        {"read_bytes_per_second", figure(ceiling.read_bytes_per_second)},
                                        {"float32_flops_per_second", figure(ceiling.float32_flops)},
                                        {"bf16_dot_flops_per_second", figure(ceiling.bf16_dot_flops)},
                                        {"int8_dot_ops_per_second", figure(ceiling.int8_dot_ops)}});
  io::json::object out{{"version", version()},          {"commit", commit()}, {"processor", report.machine.processor},
                       {"kernels", cpu::kernels().isa}, {"threads", threads}, {"rounds", options.rounds},
                       {"ceilings", ceilings}};
  if (!report.speed) return out;
  const SpeedSamples& speed = *report.speed;
  out["model"] = io::json::object{{"name", report.model_name},
                                  {"parameters", parameter_count(report.config)},
                                  {"active_parameters", active_parameter_count(report.config)},
                                  {"layers", report.config.layers},
                                  {"dtype", report.type}};
  out["prefill"] = io::json::object{
      {"tokens", options.prompt_tokens},
      {"flops", speed.prefill_cost.flops},
      {"seconds", figure(speed.prefill_seconds)},
      {"tokens_per_second", figure(inverse(speed.prefill_seconds, static_cast<double>(options.prompt_tokens)))},
      {"flops_per_second", figure(inverse(speed.prefill_seconds, speed.prefill_cost.flops))},
      {"ceiling", speed.peak == SpeedSamples::Peak::kInt8       ? "int8_dot_ops_per_second"
                  : speed.peak == SpeedSamples::Peak::kBFloat16 ? "bf16_dot_flops_per_second"
                                                                : "float32_flops_per_second"},
      {"share_of_ceiling", figure(speed.prefill_share)}};
  out["decode"] =
      io::json::object{{"tokens", options.answer_tokens},
                       {"weight_bytes_per_token", speed.decode_cost.weight_bytes},
                       {"state_bytes_per_token", speed.decode_cost.state_bytes},
                       {"flops_per_token", speed.decode_cost.flops},
                       {"seconds_per_token", figure(speed.decode_seconds)},
                       {"seconds_per_token_p95", figure(speed.decode_seconds_p95)},
                       {"tokens_per_second", figure(inverse(speed.decode_seconds, 1))},
                       {"weight_bytes_per_second",
                        figure(inverse(speed.decode_seconds, static_cast<double>(speed.decode_cost.weight_bytes)))},
                       {"ceiling", "read_bytes_per_second"},
                       {"share_of_ceiling", figure(speed.decode_share)}};
  io::json::array depths;
  for (const SpeedSamples::AtDepth& at : speed.at_depths)
    depths.push_back(io::json::object{{"depth", at.depth},
                                      {"seconds_per_token", figure(at.decode_seconds)},
                                      {"tokens_per_second", figure(inverse(at.decode_seconds, 1))},
                                      {"of_first", figure(at.ratio)}});
  if (!depths.empty()) out["depths"] = depths;
  if (report.training)
    out["train"] = io::json::object{
        {"tokens", report.training->tokens},
        {"flops", report.training->flops},
        {"seconds", figure(report.training->seconds)},
        {"update_seconds", figure(report.training->update_seconds)},
        {"tokens_per_second", figure(inverse(report.training->seconds, static_cast<double>(report.training->tokens)))},
        {"ceiling", "float32_flops_per_second"},
        {"share_of_ceiling", figure(report.training->share)}};
  return out;
}

// Nothing when none was asked for. A model named in the settings gives way to --synthetic.
std::optional<MiniMaxM1> open_model(const BenchOptions& options, Report& report, const Context& ctx,
                                    Terminal& terminal) {
  if (!options.synthetic.empty()) {
    report.model_name = "synthetic " + options.synthetic;
    return synthetic_model(options, synthetic_config(options.synthetic, options.layers), report.machine, ctx, terminal);
  }
  if (options.model.model.empty()) return std::nullopt;
  check_model_folder(options.model.model);
  report.model_name = options.model.model;
  return place_model(ctx, load_host_model(options.model, options.model.model, *ctx.threads));
}

std::vector<int64_t> parse_depths(const std::string& list) {
  std::vector<int64_t> depths;
  for (size_t at = 0; at < list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    const std::string word = list.substr(at, end - at);
    int64_t depth = -1;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), depth);
    if (error != std::errc() || stop != word.data() + word.size() || depth < 0)
      throw UsageError(fmt::format("--depths {}: \"{}\" is no number of tokens", list, word), "bench");
    depths.push_back(depth);
    at = end + 1;
  }
  return depths;
}

// Every round samples the ceiling of all threads, then prompt and answer: a busy neighbour slows both.
void measure_model(const BenchOptions& options, const MiniMaxM1& model, const Context& ctx, Report& report,
                   Terminal& terminal) {
  report.config = model.config;
  report.type = type_of(model);
  const auto sample = [&](CeilingSamples& ceilings) {
    ctx.gpu ? sample_ceilings(*ctx.gpu, ceilings) : sample_ceilings(*ctx.threads, ceilings);
  };
  SpeedTest test(model, ctx,
                 {.prompt_tokens = options.prompt_tokens,
                  .answer_tokens = options.answer_tokens,
                  .prefill_chunk = options.prefill_chunk,
                  .depths = parse_depths(options.depths),
                  .precision = ctx.matmul_precision});
  CeilingSamples warm_up;
  terminal.progress("warming up");
  sample(warm_up);
  SpeedTest(model, ctx, {.prompt_tokens = 32, .answer_tokens = 2, .precision = ctx.matmul_precision})
      .run_round(warm_up, [](const std::string&) {});
  for (int round = 1; round <= options.rounds; ++round) {
    const auto progress = [&](const std::string& what) {
      terminal.progress(fmt::format("round {} of {}: {}", round, options.rounds, what));
    };
    progress("ceilings");
    sample(report.ceilings.back());
    test.run_round(report.ceilings.back(), progress);
  }
  report.speed = test.samples();
}

}  // namespace

int run_verb(const BenchOptions& options, Session& session) {
  Terminal& terminal = session.terminal;
  ThreadPool threads(session.global.threads);
  Report report{.machine = inspect_machine()};
  const std::unique_ptr<cuda::Gpu> gpu = open_device(options.model);
  Arena arena(gpu.get());
  const Context ctx{.device = gpu ? Device::kCuda : Device::kCpu,
                    .gpu = gpu.get(),
                    .arena = &arena,
                    .threads = &threads,
                    .matmul_precision = precision_of(options.model, gpu.get()),
                    .kv_precision = options.model.kv_precision,
                    .deterministic = options.model.deterministic};
  const std::optional<MiniMaxM1> model = open_model(options, report, ctx, terminal);
  if (model && gpu) report.ceilings.emplace_back().threads = 0;  // sampled between prompts and answers
  for (int count : model&& gpu ? std::vector<int>() : thread_counts(threads.size())) {
    CeilingSamples& ceiling = report.ceilings.emplace_back();
    ceiling.threads = count;
    if (model && count == threads.size()) continue;  // sampled between prompts and answers
    ThreadPool some(count);
    for (int round = 1; round <= options.rounds; ++round) {
      terminal.progress(fmt::format("ceilings of {} threads, round {} of {}", count, round, options.rounds));
      sample_ceilings(some, ceiling);
    }
  }
  if (model) measure_model(options, *model, ctx, report, terminal);
  if (model && options.train) {
    terminal.progress("training");
    report.training = measure_training(report.config, options.dtype, ctx, options.prompt_tokens, options.rounds);
  }
  terminal.clear_progress();
  if (options.json) {
    terminal.print_line(io::write_json(to_json(report, options, threads.size()), io::JsonStyle::kPretty));
    return 0;
  }
  terminal.print_line(fmt::format("minimax {} ({}), {}, {} kernels", version(), commit(), report.machine.processor,
                                  cpu::kernels().isa));
  print_ceilings(report, terminal);
  if (report.speed) print_speed(report, options, terminal);
  if (report.training) print_training(*report.training, terminal);
  return 0;
}

Command define_bench() {
  auto options = std::make_shared<BenchOptions>();
  std::string shapes;
  for (const std::string& shape : synthetic_shapes()) shapes += (shapes.empty() ? "" : ", ") + shape;
  Command command{
      .name = "bench",
      .summary = "speed beside the measured ceiling of this machine",
      .usage = "[MODEL] [flags]",
      .description =
          "Measures memory bandwidth and arithmetic of the processor; with a model, also how fast it reads a "
          "prompt of random ids and writes an answer, in turns with the ceilings, so that other work on the "
          "machine slows both alike.",
      .arguments = {{"MODEL", "folder with config.json and weights", ValueKind::kFolder}},
      .examples = {{"minimax bench", "the ceilings alone"},
                   {"minimax bench MODEL"},
                   {"minimax bench --synthetic s8", "random weights, 5 billion parameters: 10 GB of memory"},
                   {"minimax bench --synthetic s8 --type q4 --depths 0,4096,16384",
                    "quantized; answers at some depths"},
                   {"minimax bench --synthetic m1-layer2 --layers 1", "one real layer of MiniMax-M1: 12 GB"},
                   {"minimax bench MODEL --json --rounds 20"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        if (!self.words.empty() && !options->synthetic.empty())
          throw UsageError("bench: give a MODEL or --synthetic, not both", "bench");
        if (!self.words.empty()) options->model.model = self.words[0];
        if (self.words.size() > 1)
          throw UsageError(fmt::format("bench: \"{}\" is one word too many", self.words[1]), "bench");
        return run_verb(*options, session);
      }};
  command.number("-p,--prompt", options->prompt_tokens, "N", "tokens of the prompt", "512", 1, 10'000'000);
  command.number("-n,--answer", options->answer_tokens, "N", "tokens of the answer", "32", 1, 10'000'000);
  command.number("--chunk", options->prefill_chunk, "N", "tokens of the prompt in one forward pass", "512", 1, 1 << 20);
  command.number("-r,--rounds", options->rounds, "N", "how often everything is measured", "5", 1, 1000);
  std::vector<std::pair<std::string, std::string>> meanings;
  for (const std::string& shape : synthetic_shapes()) meanings.emplace_back(shape, shape);
  command.choice<std::string>("--synthetic", options->synthetic, "SHAPE", "random weights of this shape", meanings, "");
  command.number("--layers", options->layers, "N", "of the synthetic model", "as many as the shape has", 0, 1000);
  command.choice<DType>("--dtype", options->dtype, "TYPE", "of the synthetic weights",
                        {{"bf16", DType::kBFloat16}, {"f16", DType::kFloat16}, {"f32", DType::kFloat32}}, "bf16");
  command.text("--type", options->type, "RECIPE",
               "synthetic weights quantized so: q8, q4, \"experts=q4,attention=q8\"");
  command.text("--depths", options->depths, "N,N,...", "speed of an answer after so many tokens too");
  command.flag("--train", options->train, "steps of training too, over 8 sequences as long as the prompt");
  command.flag("--json", options->json, "as JSON");
  add_model_flags(command, options->model);
  return command;
}

}  // namespace minimax::cli
