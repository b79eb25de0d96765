// Mazes: the shortest way from S to G, as steps U, D, L, R.
#include "core/error.h"
#include "rl/tasks/draw.h"
#include "rl/tasks/grids.h"

namespace minimax::rl {
namespace {

struct Step {
  char name;
  int64_t rows, columns;
};
constexpr Step kSteps[] = {{'U', -1, 0}, {'D', 1, 0}, {'L', 0, -1}, {'R', 0, 1}};

// A maze as its text: rows of . # S G, a slash between.
class Maze {
 public:
  explicit Maze(std::vector<std::string> rows) : rows_(std::move(rows)) {}
  static Maze parse(std::string_view text) {
    std::vector<std::string> rows;
    for (const std::string_view row : split(text, '/')) rows.emplace_back(row);
    for (const std::string& row : rows)
      MM_CHECK(row.size() == rows[0].size(), "maze ", text, " has rows of different lengths");
    return Maze(std::move(rows));
  }

  int64_t rows() const { return static_cast<int64_t>(rows_.size()); }
  int64_t columns() const { return static_cast<int64_t>(rows_[0].size()); }
  char at(int64_t cell) const {
    return rows_[static_cast<size_t>(cell / columns())][static_cast<size_t>(cell % columns())];
  }
  std::string text() const { return join(rows_, "/"); }

  int64_t find(char what) const {
    for (int64_t cell = 0; cell < rows() * columns(); ++cell)
      if (at(cell) == what) return cell;
    return -1;
  }
  /// The cell a step leads to; -1 for a wall and for what is outside.
  int64_t step(int64_t cell, const Step& step) const {
    const int64_t row = cell / columns() + step.rows, column = cell % columns() + step.columns;
    if (row < 0 || row >= rows() || column < 0 || column >= columns()) return -1;
    const int64_t next = row * columns() + column;
    return at(next) == '#' ? -1 : next;
  }
  std::string name(int64_t cell) const { return cat(cell / columns() + 1, cell % columns() + 1); }

  /// Cells by their distance from S; cell -> the step that led there.
  std::vector<std::vector<int64_t>> layers(std::vector<char>& came) const {
    came.assign(static_cast<size_t>(rows() * columns()), '\0');
    std::vector<std::vector<int64_t>> out = {{find('S')}};
    came[static_cast<size_t>(out[0][0])] = 'S';
    const int64_t goal = find('G');
    while (!out.back().empty() && came[static_cast<size_t>(goal)] == '\0') {
      std::vector<int64_t> next;
      for (const int64_t cell : out.back())
        for (const Step& way : kSteps) {
          const int64_t to = step(cell, way);
          if (to < 0 || came[static_cast<size_t>(to)] != '\0') continue;
          came[static_cast<size_t>(to)] = way.name;
          next.push_back(to);
        }
      out.push_back(std::move(next));
    }
    return out;
  }

 private:
  std::vector<std::string> rows_;
};

const Step* find_step(char name) {
  for (const Step& step : kSteps)
    if (step.name == name) return &step;
  return nullptr;
}

}  // namespace

Instance make_maze(int64_t level, Rng& rng, const TraceOptions&) {
  constexpr std::array<Range, kLevels> kSide = {{{4, 4}, {4, 5}, {5, 5}, {5, 6}, {7, 8}}};
  for (;;) {
    const int64_t side = draw(rng, kSide, level);
    std::vector<std::string> rows(static_cast<size_t>(side), std::string(static_cast<size_t>(side), '.'));
    for (std::string& row : rows)
      for (char& cell : row)
        if (rng.uniform() < 0.3) cell = '#';
    const auto place = [&](char what) { rows[rng.below(rows.size())][rng.below(rows.size())] = what; };
    place('S');
    place('G');
    const Maze maze(rows);
    if (maze.find('S') < 0) continue;
    std::vector<char> came;
    const auto layers = maze.layers(came);
    const int64_t goal = maze.find('G');
    const auto length = static_cast<int64_t>(layers.size()) - 1;
    if (came[static_cast<size_t>(goal)] == '\0' || length < 2) continue;
    std::vector<std::string> lines;
    for (size_t distance = 0; distance < layers.size(); ++distance) {
      std::vector<std::string> names;
      for (const int64_t cell : layers[distance]) names.push_back(maze.name(cell));
      lines.push_back(cat(distance, " ", join(names, " ")));
    }
    std::string path;
    std::vector<std::string> back;
    for (int64_t cell = goal; came[static_cast<size_t>(cell)] != 'S';) {
      const Step& way = *find_step(came[static_cast<size_t>(cell)]);
      path += way.name;
      back.push_back(maze.name(cell) + way.name);
      cell -= way.rows * maze.columns() + way.columns;
    }
    std::reverse(path.begin(), path.end());
    lines.push_back("back " + join(back, " "));
    return {.prompt = "maze " + maze.text(),
            .thinking = join(lines, "\n"),
            .answer = path,
            .gold = {{"maze", maze.text()}, {"length", length}}};
  }
}

Verdict check_maze(const io::json::object& gold, std::string_view answer) {
  const Maze maze = Maze::parse(gold.at("maze").as_string());
  MM_CHECK(maze.find('S') >= 0 && maze.find('G') >= 0, "maze ", maze.text(), " has no S or no G");
  if (answer.empty()) return {false, "no_answer"};
  int64_t cell = maze.find('S');
  for (const char name : answer) {
    const Step* step = find_step(name);
    if (!step) return {false, "not_a_path"};
    cell = maze.step(cell, *step);
    if (cell < 0) return {false, "into_a_wall"};
  }
  if (maze.at(cell) != 'G') return {false, "not_at_goal"};
  if (static_cast<int64_t>(answer.size()) != gold.at("length").as_int64()) return {false, "not_shortest"};
  return {true, "correct"};
}

}  // namespace minimax::rl
