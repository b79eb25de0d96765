#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>

#include "cli/common_flags.h"
#include "cli/device.h"
#include "cli/host_model.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/train_verify.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "engine/engine.h"
#include "engine/state/state_cache.h"
#include "io/json.h"
#include "model/placement.h"
#include "rl/generate.h"
#include "rl/rollout.h"

namespace minimax::cli {
namespace {

constexpr int64_t kRunning = 128, kRunningOnGpu = 1024;  // sequences at once
constexpr int64_t kStepTokensOnGpu = 8192;
constexpr int64_t kPromptRoom = 2048;

/// Wilson's interval of 95% for a share.
std::pair<double, double> interval(double share, double count) {
  constexpr double kZ = 1.959964;
  const double z2 = kZ * kZ / count;
  const double middle = (share + z2 / 2) / (1 + z2);
  const double half = kZ / (1 + z2) * std::sqrt(share * (1 - share) / count + z2 / (4 * count));
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

struct TaskScore {
  std::string task;
  int64_t level = 0, problems = 0, right = 0, in_form = 0, cut_off = 0;
  double tokens = 0;              // of an answer, thinking included
  io::json::array right_of_each;  // problem

  io::json::object json() const {
    const double share = static_cast<double>(right) / static_cast<double>(problems);
    const auto [low, high] = interval(share, static_cast<double>(problems));
    return {{"task", task},         {"level", level},
            {"problems", problems}, {"right", right},
            {"low", low},           {"high", high},
            {"in_form", in_form},   {"cut_off", cut_off},
            {"tokens", tokens},     {"right_of_each", right_of_each}};
  }
};

TaskScore score_of(std::string_view task, int64_t level, std::span<const rl::Group> groups) {
  TaskScore score{.task = std::string(task), .level = level};
  for (const rl::Group& group : groups) {
    int64_t right = 0;
    for (const rl::Sample& sample : group.samples) {
      ++score.problems;
      right += sample.score.correct;
      score.in_form += sample.score.format_ok;
      score.cut_off += sample.cut_off();
      score.tokens += static_cast<double>(sample.sampled_tokens());
    }
    score.right += right;
    score.right_of_each.emplace_back(right);
  }
  score.tokens /= static_cast<double>(score.problems);
  return score;
}

int64_t memory_for(const ModelConfig& config, int64_t context, int64_t running) {
  return (running + 2) * (context * engine::StateCache::kv_bytes_per_token(config) +
                          2 * engine::StateCache::state_bytes_per_sequence(config));
}

/// The problems of one task and level.
struct Question {
  std::string_view task;
  int64_t level = 0;
};

int run_score(const TrainScoreOptions& options, Session& session) {
  check_model_folder(options.model.model);
  Terminal& terminal = session.terminal;
  ThreadPool threads(session.global.threads);
  const std::unique_ptr<cuda::Gpu> gpu = open_device(options.model);
  const Context placing{.device = gpu ? Device::kCuda : Device::kCpu,
                        .gpu = gpu.get(),
                        .threads = &threads,
                        .matmul_precision = precision_of(options.model, gpu.get())};
  const MiniMaxM1 model = place_model(placing, load_host_model(options.model, options.model.model, threads));
  const text::Tokenizer tokenizer = text::Tokenizer::load(options.model.model);
  const int64_t context = std::min(model.config.max_positions, kPromptRoom + options.max_tokens);
  std::shared_ptr<engine::ThinkingFormat> thinking;
  if (options.max_thinking_tokens >= 0)
    thinking = std::make_shared<engine::ThinkingFormat>(engine::thinking_format(tokenizer));
  const int64_t running = gpu ? kRunningOnGpu : kRunning;
  engine::Engine engine(model, threads,
                        {.context = context,
                         .memory_bytes = memory_for(model.config, context, running),
                         .max_running = running,
                         .max_waiting = int64_t{1} << 20,
                         .step_tokens = gpu ? kStepTokensOnGpu : 512,
                         .admit_every = gpu ? 16 : 1,
                         .thinking = thinking,
                         .precision = placing.matmul_precision,
                         .gpu = gpu.get(),
                         .deterministic = options.model.deterministic});
  rl::RolloutOptions rollout{.group_size = std::max<int64_t>(1, options.samples),
                             .window = options.max_tokens,
                             .max_thinking_tokens = options.max_thinking_tokens};
  rollout.verifier_workers = verifier_workers(rollout.scoring_threads);
  rollout.sampling.temperature = options.samples > 0 ? 1 : 0;
  rollout.sampling.seed = options.seed;

  std::vector<std::string_view> chosen;
  for (const std::string& name : options.tasks) {
    chosen.push_back(name);
    if (!rl::can_generate(name))
      throw UsageError(fmt::format("no task \"{}\"; see minimax train data --list", name), "train score");
  }
  if (chosen.empty()) chosen = rl::generator_names();
  io::json::array results;
  Table table({{"task"},
               {"level", Table::Align::kRight},
               {"right", Table::Align::kRight},
               {"of", Table::Align::kRight},
               {"share"},
               {"95%"},
               {"in form", Table::Align::kRight},
               {"tokens", Table::Align::kRight}});
  std::vector<Question> questions;
  for (const std::string_view task : chosen)
    for (int64_t level = options.least_level; level <= options.most_level; ++level) questions.push_back({task, level});
  // On a GPU several of them together, so that few sequences run alone at the end.
  const auto together = static_cast<size_t>(
      gpu ? std::max<int64_t>(1, 8 * running / std::max<int64_t>(1, options.count * rollout.group_size)) : 1);
  const Interrupt interrupt;
  for (size_t first = 0; first < questions.size() && !interrupt.requested(); first += together) {
    const std::span<const Question> block =
        std::span(questions).subspan(first, std::min(together, questions.size() - first));
    terminal.progress(fmt::format("{} level {}", block.front().task, block.front().level));
    std::vector<rl::Problem> problems;
    for (const auto& [task, level] : block)
      for (int64_t at = 0; at < options.count; ++at) {
        problems.push_back(
            rl::generate(task, level, options.seed + static_cast<uint64_t>(at), rl::Split::kHeldOut).problem);
        problems.back().limits.max_new = options.max_tokens;
      }
    const std::vector<rl::Group> groups = rl::roll_out(engine, tokenizer, problems, rollout, 0);
    for (size_t at = 0; at < block.size(); ++at) {
      const auto count = static_cast<size_t>(options.count);
      const TaskScore score = score_of(block[at].task, block[at].level, std::span(groups).subspan(at * count, count));
      const double share = static_cast<double>(score.right) / static_cast<double>(score.problems);
      const auto [low, high] = interval(share, static_cast<double>(score.problems));
      table.row({score.task, std::to_string(score.level), std::to_string(score.right), std::to_string(score.problems),
                 fmt::format("{:.0f}%", 100 * share), fmt::format("{:.0f}-{:.0f}%", 100 * low, 100 * high),
                 std::to_string(score.in_form), fmt::format("{:.0f}", score.tokens)});
      results.push_back(score.json());
    }
  }
  terminal.clear_progress();
  if (options.json)
    terminal.print_line(io::write_json(results, io::JsonStyle::kPython));
  else
    terminal.print(table.text(terminal));
  return 0;
}

}  // namespace

Command define_train_score() {
  auto options = std::make_shared<TrainScoreOptions>();
  Command command{
      .name = "train score",
      .summary = "how many held-out problems of the generated tasks a model solves",
      .usage = "MODEL [--task NAME]... [flags]",
      .description =
          "Asks problems that `train data` gives to no training, greedily or --samples times at temperature 1, and "
          "checks the answers by the tasks' rules. Form (one thinking block, closed, then one answer) is counted by "
          "itself. Intervals are Wilson's; the samples of one problem are not independent, so "
          "with --samples they are too narrow. Ctrl-C ends after the task and level that it is at, and shows what "
          "there is.",
      .arguments = {{"MODEL", "folder with config.json, *.safetensors and tokenizer files; or nano",
                     ValueKind::kFolder}},
      .examples = {{"minimax train score nano --level 2", "all tasks at level 2"},
                   {"minimax train score nano --task sorting --level 1-5 -n 500 --json"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        options->model.model = take_model(self, options->model.model);
        std::tie(options->least_level, options->most_level) = parse_levels(options->levels, self.name);
        return run_score(*options, session);
      }};
  command.group("What to ask");
  command.text("--task", options->tasks, "NAME", "one of the tasks; may be given again; none: all");
  command.text("--level", options->levels, "L", "a level, or a range as 1-5", ValueKind::kText, "1-5");
  command.number("-n,--count", options->count, "N", "problems of each task and level", "100", 1, 1e6);
  command.number("--seed", options->seed, "S", "of the first problem, and of the samples", "0", 0);
  command.number("--samples", options->samples, "K", "attempts at each problem at temperature 1; 0: one, greedy", "0",
                 0, 1024);
  command.number("--max-tokens", options->max_tokens, "N", "longest answer, thinking included", "1024", 1, 65536);
  command.number("--max-thinking", options->max_thinking_tokens, "N",
                 "thinking tokens; then the engine closes the thinking; 0: none, -1: no limit", "-1", -1, 65536);
  command.flag("--json", options->json, "results as JSON, with how many answers to each problem are right");
  add_model_flags(command, options->model);
  return command;
}

}  // namespace minimax::cli
