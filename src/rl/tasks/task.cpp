#include "rl/tasks/task.h"

#include "core/error.h"
#include "rl/tasks/arithmetic.h"
#include "rl/tasks/boolean.h"
#include "rl/tasks/countdown.h"
#include "rl/tasks/draw.h"
#include "rl/tasks/grids.h"
#include "rl/tasks/lists.h"
#include "rl/tasks/logic.h"
#include "rl/tasks/series.h"

namespace minimax::rl {
namespace {

constexpr Task kTasks[] = {
    {"addition", "sums of two numbers of up to 10 digits", "Add the numbers. Answer with the sum alone.", make_addition,
     check_integer},
    {"chain_sum", "chains of + and - of two to eight terms", "Work out the value. Answer with the number alone.",
     make_chain_sum, check_integer},
    {"multiplication", "products of numbers of up to 4 digits", "Multiply the numbers. Answer with the product alone.",
     make_multiplication, check_integer},
    {"boolean", "three boolean expressions at once",
     "Say of each line whether it is true. Answer with T or F for each, a space between: T F T.", make_boolean,
     check_words},
    {"brackets", "the brackets that close a prefix",
     "Answer with the brackets that close the open ones, and nothing else.", make_brackets, check_text},
    {"sorting", "sorting up to 14 numbers",
     "Sort the numbers from small to large. Answer with the numbers, a space between.", make_sorting, check_words},
    {"object_counting", "counting objects of a category",
     "Count the things of the category. Answer with the number alone.", make_object_counting, check_integer},
    {"letter_counting", "counting a letter in a word", "Count the letter in the word. Answer with the number alone.",
     make_letter_counting, check_integer},
    {"countdown", "an expression of given numbers that makes a target",
     "Write an expression of the numbers, each used once, with + - * / and parentheses, whose value is the target. "
     "Answer with the expression alone.",
     make_countdown, check_countdown},
    {"sudoku", "sudoku of 4 x 4",
     "Fill the blanks: each row, column and quarter of 2 x 2 has 1 to 4 once. Answer with the rows, a slash between.",
     make_sudoku, check_sudoku},
    {"knights", "knights who tell the truth, and knaves",
     "Knights tell the truth, knaves lie. Answer with K or N for each person in order, a space between.", make_knights,
     check_words},
    {"zebra", "who lives where, from clues",
     "Find who and what is in which house. Left of means anywhere to the left, next to means side by side. Answer with "
     "one row for each house, a slash between: number, person, animal, drink.",
     make_zebra, check_zebra},
    {"date", "the date some days on", "Answer with the date that many days later, as YEAR-MONTH-DAY.", make_date,
     check_text},
    {"caesar", "Caesar's cipher read", "Each letter was moved on by the shift. Answer with the word before that.",
     make_caesar, check_text},
    {"next_number", "the next number of a sequence", "Answer with the next number of the sequence.", make_next_number,
     check_integer},
    {"maze", "the shortest way through a maze",
     "Find a shortest way from S to G, not through #. Answer with its steps as letters U, D, L, R.", make_maze,
     check_maze},
};

// FNV-1a: the same everywhere, unlike std::hash.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211u;
  return hash;
}

// Tenths of all problems: 1 held out, 4 for the warm-up, 5 for reinforcement learning.
Split split_of(std::string_view prompt) {
  uint64_t hash = hash_of(prompt);
  hash ^= hash >> 32;  // FNV's low digits alone follow the last letters
  const uint64_t tenth = hash * 0x9E3779B97F4A7C15u >> 32;
  switch (tenth % 10) {
    case 0:
      return Split::kHeldOut;
    case 1:
    case 2:
    case 3:
    case 4:
      return Split::kWarmup;
    default:
      return Split::kTrain;
  }
}

}  // namespace

std::span<const Task> tasks() {
  return kTasks;
}

const Task* find_task(std::string_view name) {
  for (const Task& task : kTasks)
    if (task.name == name) return &task;
  return nullptr;
}

GeneratedProblem make_problem(const Task& task, int64_t level, uint64_t seed, Split split, const TraceOptions& options,
                              bool instructions) {
  MM_CHECK(level >= 1 && level <= kLevels, "task ", task.name, ": level ", level, ", expected 1 to ", kLevels);
  Rng rng(seed, hash_of(cat(task.name, " ", level)));
  Instance instance = task.make(level, rng, options);
  while (split_of(instance.prompt) != split) instance = task.make(level, rng, options);
  GeneratedProblem out;
  Problem& problem = out.problem;
  problem.id = cat(task.name, "/", level, "/", to_string(split), "/", seed);
  problem.env = "logic";
  problem.task = task.name;
  problem.split = split;
  if (instructions) problem.messages.push_back(text::text_message(text::Role::kSystem, std::string(task.instructions)));
  problem.messages.push_back(text::text_message(text::Role::kUser, instance.prompt));
  problem.gold = std::move(instance.gold);
  problem.verifier.name = task.name;
  problem.level = level;
  problem.seed = seed;
  out.thinking = std::move(instance.thinking);
  out.answer = std::move(instance.answer);
  return out;
}

}  // namespace minimax::rl
