// Curriculum: which problem comes next, by the shares of a mixture and by what the model can already do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/rng.h"
#include "rl/problem.h"

namespace minimax::rl {

/// A generated task as a part of the mixture.
struct TaskSource {
  std::string task;
  int64_t least_level = 1, most_level = 4;  ///< 5 is the stretch; it can be trained on, but then it is none any more
  double weight = 1;
  bool instructions = false;
};

/// A JSONL file of problems (rl/problem.h).
struct FileSource {
  std::filesystem::path path;
  double weight = 1;
};

struct CurriculumOptions {
  std::vector<TaskSource> tasks;
  std::vector<FileSource> files;
  uint64_t seed = 1;
  double raise_above = 0.8, lower_below = 0.05;  ///< pass rates at which a task's level moves
  int64_t judge_after = 200;                     ///< attempts at a level before it moves
  double easier = 0.2;                           ///< share of problems from levels below the present one
  double memory = 0.95;                          ///< of the running pass rate, for each group
};

/// The n-th problem depends on the options, n and the pass rates reported before. Not thread-safe.
class Curriculum {
 public:
  /// Reads the files. Throws kInvalidArgument for unknown tasks, levels out of range, no sources, and lines that are no
  /// problems (naming file and line); kNotFound, kIo.
  explicit Curriculum(CurriculumOptions options);

  Problem next();
  /// The share of attempts at a problem that were right, of so many. NaN is ignored.
  void report(const Problem& problem, double pass_rate, int64_t attempts);
  /// Makes all tasks easier by a level: when nothing informative comes any more.
  void widen();

  int64_t level(const std::string& task) const;
  std::map<std::string, int64_t> levels() const;  ///< of all tasks
  /// Running pass rates: task -> of the present level; -1: not known yet.
  std::map<std::string, double> pass_rates() const;

  io::json::object state() const;
  /// Throws kInvalidArgument when the state belongs to other sources.
  void restore(const io::JsonField& state);

 private:
  struct Task {
    TaskSource source;
    int64_t level = 1;
    double pass_rate = -1;
    int64_t attempts = 0;
    int64_t made = 0;  // problems so far: the seed of the next
  };
  struct File {
    FileSource source;
    std::vector<Problem> problems;
    int64_t taken = 0;
  };

  Problem from_task(Task& task);
  Problem from_file(File& file, size_t index);

  CurriculumOptions options_;
  std::vector<Task> tasks_;
  std::vector<File> files_;
  Rng rng_;
};

/// All problems of a JSONL file. Throws kInvalidArgument with file and line.
std::vector<Problem> read_problems(const std::filesystem::path& path);

}  // namespace minimax::rl
