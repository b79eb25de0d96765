#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "cli/input.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "rl/generate.h"
#include "rl/problem.h"

namespace minimax::cli {
namespace {

// A conversation with its answer, as supervised training reads it.
io::json::object conversation(rl::Generated made) {
  std::vector<text::Message>& messages = made.problem.messages;
  messages.insert(messages.end(), made.solution.begin(), made.solution.end());
  io::json::object record = rl::to_json(made.problem);
  io::json::object out{{"id", made.problem.id}, {"task", made.problem.task}, {"level", made.problem.level}};
  out["messages"] = rl::to_json(messages);
  if (!made.problem.tools.empty()) out["tools"] = record["tools"];
  return out;
}

std::string task_table(const Terminal& terminal) {
  Table table({{"task"}, {"what it asks for"}, {"an example of level 3"}});
  for (const std::string_view name : rl::generator_names()) {
    const rl::Task* task = rl::find_task(name);
    std::string prompt = rl::generate(name, 3, 0, rl::Split::kTrain).problem.messages.back().content.front().text;
    if (const size_t line = prompt.find('\n'); line != std::string::npos) prompt = prompt.substr(0, line) + " ...";
    if (prompt.size() > 48) prompt = prompt.substr(0, 44) + " ...";
    table.row({std::string(name), task ? std::string(task->summary) : "turns with simulated tools", prompt});
  }
  return table.text(terminal);
}

int write_data(const TrainDataOptions& options, const std::string& verb, Session& session) {
  std::vector<std::string_view> chosen;
  for (const std::string& name : options.tasks) {
    chosen.push_back(name);
    if (!rl::can_generate(name)) throw UsageError(fmt::format("no task \"{}\"; see --list", name), verb);
  }
  if (chosen.empty()) chosen = rl::generator_names();
  const auto [least, most] = parse_levels(options.levels, verb);
  const rl::Split split = rl::parse_split(options.split);

  std::optional<io::AtomicFile> file;
  if (!options.out_file.empty() && options.out_file != "-") file.emplace(options.out_file);
  for (int64_t at = 0; at < options.count; ++at) {
    const auto tasks = static_cast<int64_t>(chosen.size());
    const int64_t level = least + at / tasks % (most - least + 1);
    rl::Generated made =
        rl::generate(chosen[static_cast<size_t>(at % tasks)], level, options.seed + static_cast<uint64_t>(at), split,
                     {.slips = options.slips}, options.instructions);
    const std::string line =
        io::write_json(options.problems ? rl::to_json(made.problem) : conversation(std::move(made)));
    if (file)
      file->write(line + "\n");
    else
      session.terminal.print_line(line);
  }
  if (!file) return 0;
  file->commit();
  session.terminal.note(
      fmt::format("{} {} in {}", options.count, options.problems ? "problems" : "conversations", options.out_file));
  return 0;
}

}  // namespace

Command define_train_data() {
  auto options = std::make_shared<TrainDataOptions>();
  Command command{
      .name = "train data",
      .summary = "problems with verifiable answers, for training and evaluation",
      .usage = "[--task NAME]... [--level L] [--count N] [flags]",
      .description =
          "Writes JSON lines: conversations with a solver's thinking and the answer, as `train sft` reads them, or "
          "with "
          "--problems the records that `train rl` reads. The same task, level, seed and split give the same problem on "
          "every machine, and no problem of one split occurs in another. Levels run from 1 (a warm-up's start) over "
          "the "
          "main range 2 to 4 to 5 (a stretch, to be kept out of training).",
      .examples = {{"minimax train data --list", "the tasks"},
                   {"minimax train data --task chain_sum --level 1-3 --count 20000 --out warmup.jsonl"},
                   {"minimax train data --task sudoku --level 2 --split heldout --problems --count 200"}},
      .run = [options](Command& self, Session& session) {
        if (options->list) {
          session.terminal.print(task_table(session.terminal));
          return 0;
        }
        return write_data(*options, self.name, session);
      }};
  command.group("What to write");
  command.flag("--list", options->list, "the tasks, and nothing else");
  command.text("--task", options->tasks, "NAME", "one of the tasks; may be given again; none: all, in turn");
  command.text("--level", options->levels, "L", "a level, or a range as 1-3, in turn", ValueKind::kText, "1");
  command.number("-n,--count", options->count, "N", "how many lines", "10", 1, 1e9);
  command.number("--seed", options->seed, "S", "of the first; each next has one more", "0", 0);
  command.choice<std::string>("--split", options->split, "SPLIT", "which problems",
                              {{"warmup", "warmup"}, {"train", "train"}, {"heldout", "heldout"}}, "warmup");
  command.number("--slips", options->slips, "SHARE", "of traces with a slip and its correction, where a task has them",
                 "0", 0, 1);
  command.flag("--instructions", options->instructions, "tell the task in a system message");
  command.flag("--problems", options->problems, "records for reinforcement learning, without the solution");
  command.text("-o,--out", options->out_file, "FILE", "instead of stdout", ValueKind::kFile);
  return command;
}

}  // namespace minimax::cli
