#include "rl/curriculum.h"

#include <cmath>
#include <numeric>

#include "core/error.h"
#include "io/file.h"
#include "rl/answer.h"
#include "rl/generate.h"
#include "rl/tasks/draw.h"
#include "rl/tasks/task.h"

namespace minimax::rl {

std::vector<Problem> read_problems(const std::filesystem::path& path) {
  const std::string content = io::read_file(path);
  std::vector<Problem> problems;
  int64_t number = 0;
  for (const std::string_view line : split(content, '\n')) {
    ++number;
    if (trim(line).empty()) continue;
    const std::string where = cat(path.string(), ":", number);
    const io::json::value record = io::parse_json(line, where);
    problems.push_back(problem_from_json(io::JsonField(record, where)));
    if (problems.back().id.empty()) problems.back().id = where;
  }
  MM_CHECK(!problems.empty(), path.string(), ": no problems in it");
  return problems;
}

Curriculum::Curriculum(CurriculumOptions options) : options_(std::move(options)), rng_(options_.seed, 0x6375) {
  for (const TaskSource& source : options_.tasks) {
    MM_CHECK(can_generate(source.task), "task \"", source.task, "\" does not exist");
    MM_CHECK(source.least_level >= 1 && source.least_level <= source.most_level && source.most_level <= kLevels,
             "task ", source.task, ": levels ", source.least_level, " to ", source.most_level, ", expected 1 to ",
             kLevels);
    MM_CHECK(source.weight > 0, "task ", source.task, ": weight ", source.weight, ", expected more than 0");
    tasks_.push_back({.source = source, .level = source.least_level});
  }
  for (const FileSource& source : options_.files) {
    MM_CHECK(source.weight > 0, source.path.string(), ": weight ", source.weight, ", expected more than 0");
    files_.push_back({.source = source, .problems = read_problems(source.path)});
  }
  MM_CHECK(!tasks_.empty() || !files_.empty(), "curriculum: neither tasks nor files");
}

Problem Curriculum::next() {
  double all = 0;
  for (const Task& task : tasks_) all += task.source.weight;
  for (const File& file : files_) all += file.source.weight;
  double left = rng_.uniform() * all;
  for (Task& task : tasks_)
    if ((left -= task.source.weight) < 0) return from_task(task);
  for (size_t index = 0; index < files_.size(); ++index)
    if ((left -= files_[index].source.weight) < 0) return from_file(files_[index], index);
  return files_.empty() ? from_task(tasks_.back()) : from_file(files_.back(), files_.size() - 1);  // rounding
}

Problem Curriculum::from_task(Task& task) {
  int64_t level = task.level;
  if (level > task.source.least_level && rng_.uniform() < options_.easier)
    level = between(rng_, task.source.least_level, level - 1);
  const uint64_t seed = (options_.seed << 32) + static_cast<uint64_t>(task.made++);
  return generate(task.source.task, level, seed, Split::kTrain, {}, task.source.instructions).problem;
}

Problem Curriculum::from_file(File& file, size_t index) {
  const auto count = static_cast<int64_t>(file.problems.size());
  std::vector<int64_t> order(file.problems.size());
  std::iota(order.begin(), order.end(), 0);
  Rng epoch(options_.seed + 1000003 * static_cast<uint64_t>(file.taken / count), 0x66696c65 + index);
  shuffle(epoch, order);
  return file.problems[static_cast<size_t>(order[static_cast<size_t>(file.taken++ % count)])];
}

void Curriculum::report(const Problem& problem, double pass_rate, int64_t attempts) {
  if (std::isnan(pass_rate)) return;
  for (Task& task : tasks_) {
    if (task.source.task != problem.task || task.level != problem.level || problem.provenance != "generated") continue;
    // The mean of the first groups, then a running one.
    task.attempts += attempts;
    const double share =
        std::max(1 - options_.memory, static_cast<double>(attempts) / static_cast<double>(task.attempts));
    task.pass_rate = task.pass_rate < 0 ? pass_rate : task.pass_rate + share * (pass_rate - task.pass_rate);
    if (task.attempts < options_.judge_after) return;
    const int64_t move = task.pass_rate > options_.raise_above ? 1 : task.pass_rate < options_.lower_below ? -1 : 0;
    const int64_t level = std::clamp(task.level + move, task.source.least_level, task.source.most_level);
    if (level != task.level) {
      task.level = level;
      task.pass_rate = -1;
      task.attempts = 0;
    }
    return;
  }
}

void Curriculum::widen() {
  for (Task& task : tasks_) {
    task.level = std::max(task.level - 1, task.source.least_level);
    task.pass_rate = -1;
    task.attempts = 0;
  }
}

int64_t Curriculum::level(const std::string& name) const {
  for (const Task& task : tasks_)
    if (task.source.task == name) return task.level;
  throw Error(ErrorKind::kNotFound, cat("the curriculum has no task \"", name, "\""));
}

std::map<std::string, int64_t> Curriculum::levels() const {
  std::map<std::string, int64_t> out;
  for (const Task& task : tasks_) out[task.source.task] = task.level;
  return out;
}

std::map<std::string, double> Curriculum::pass_rates() const {
  std::map<std::string, double> out;
  for (const Task& task : tasks_) out[task.source.task] = task.pass_rate;
  return out;
}

io::json::object Curriculum::state() const {
  io::json::array tasks, files;
  for (const Task& task : tasks_)
    tasks.push_back(io::json::object{{"task", task.source.task},
                                     {"level", task.level},
                                     {"pass_rate", task.pass_rate},
                                     {"attempts", task.attempts},
                                     {"made", task.made}});
  for (const File& file : files_)
    files.push_back(io::json::object{{"path", file.source.path.string()}, {"taken", file.taken}});
  io::json::object out;
  out["rng"] = rng_.position();
  out["tasks"] = std::move(tasks);
  out["files"] = std::move(files);
  return out;
}

void Curriculum::restore(const io::JsonField& state) {
  const io::JsonField tasks = state["tasks"], files = state["files"];
  MM_CHECK(tasks.size() == static_cast<int64_t>(tasks_.size()) && files.size() == static_cast<int64_t>(files_.size()),
           state.document(), ": the curriculum had ", tasks.size(), " tasks and ", files.size(), " files, now it has ",
           tasks_.size(), " and ", files_.size());
  for (size_t at = 0; at < tasks_.size(); ++at) {
    const io::JsonField from = tasks[static_cast<int64_t>(at)];
    Task& task = tasks_[at];
    MM_CHECK(from["task"].string() == task.source.task, state.document(), ": task ", at, " was \"",
             from["task"].string(), "\", now it is \"", task.source.task, "\"");
    task.level = from["level"].integer(task.source.least_level, task.source.most_level);
    task.pass_rate = from["pass_rate"].number();
    task.attempts = from["attempts"].integer(0);
    task.made = from["made"].integer(0);
  }
  for (size_t at = 0; at < files_.size(); ++at) files_[at].taken = files[static_cast<int64_t>(at)]["taken"].integer(0);
  rng_.seek(static_cast<uint64_t>(state["rng"].integer(0)));
}

}  // namespace minimax::rl
