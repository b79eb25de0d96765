// Sudoku of 4 x 4: rows, columns and quarters hold 1 to 4 once each.
#include <bit>

#include "core/error.h"
#include "rl/tasks/draw.h"
#include "rl/tasks/grids.h"

namespace minimax::rl {
namespace {

constexpr int64_t kSide = 4, kCells = 16;
using Grid = std::array<uint8_t, kCells>;  // 0: blank

bool share_a_unit(int64_t a, int64_t b) {
  const int64_t row_a = a / kSide, row_b = b / kSide, column_a = a % kSide, column_b = b % kSide;
  return row_a == row_b || column_a == column_b || (row_a / 2 == row_b / 2 && column_a / 2 == column_b / 2);
}

// Bit v is set when v may stand in the cell.
uint32_t candidates(const Grid& grid, int64_t cell) {
  uint32_t open = 0b11110;
  for (int64_t other = 0; other < kCells; ++other)
    if (other != cell && share_a_unit(cell, other)) open &= ~(1u << grid[static_cast<size_t>(other)]);
  return open & ~1u;
}

std::string cell_name(int64_t cell) {
  return cat("r", cell / kSide + 1, "c", cell % kSide + 1);
}

std::string text_of(const Grid& grid) {
  std::string out;
  for (int64_t cell = 0; cell < kCells; ++cell) {
    if (cell > 0 && cell % kSide == 0) out += '/';
    const uint8_t value = grid[static_cast<size_t>(cell)];
    out += value == 0 ? '.' : static_cast<char>('0' + value);
  }
  return out;
}

int64_t count_solutions(Grid grid, int64_t most) {
  for (int64_t cell = 0; cell < kCells; ++cell) {
    if (grid[static_cast<size_t>(cell)] != 0) continue;
    int64_t found = 0;
    const uint32_t open = candidates(grid, cell);
    for (uint8_t value = 1; value <= kSide && found < most; ++value) {
      if (!(open >> value & 1)) continue;
      grid[static_cast<size_t>(cell)] = value;
      found += count_solutions(grid, most - found);
    }
    return found;
  }
  return 1;
}

bool fill(Grid& grid, Rng& rng, int64_t cell) {
  if (cell == kCells) return true;
  std::vector<uint8_t> values = {1, 2, 3, 4};
  shuffle(rng, values);
  const uint32_t open = candidates(grid, cell);
  for (const uint8_t value : values) {
    if (!(open >> value & 1)) continue;
    grid[static_cast<size_t>(cell)] = value;
    if (fill(grid, rng, cell + 1)) return true;
  }
  grid[static_cast<size_t>(cell)] = 0;
  return false;
}

struct Trace {
  std::vector<std::string> lines;
  int64_t guesses = 0;
  int64_t slip_at = -1;  // line at which a wrong digit is written first
};

// Cells with one candidate in scan order, again and again; when there is none, the first cell with the fewest
// candidates is guessed, smallest digit first.
bool solve(Grid& grid, Trace& trace) {
  for (;;) {
    int64_t single = -1, fewest = -1;
    for (int64_t cell = 0; cell < kCells && single < 0; ++cell) {
      if (grid[static_cast<size_t>(cell)] != 0) continue;
      const int open = std::popcount(candidates(grid, cell));
      if (open == 0) {
        trace.lines.push_back(cell_name(cell) + " none");
        return false;
      }
      if (open == 1) single = cell;
      if (fewest < 0 || open < std::popcount(candidates(grid, fewest))) fewest = cell;
    }
    if (fewest < 0) return true;
    if (single >= 0) {
      const auto value = static_cast<uint8_t>(std::countr_zero(candidates(grid, single)));
      std::string line = cell_name(single) + "=";
      if (static_cast<int64_t>(trace.lines.size()) == trace.slip_at) line += cat(value % 4 + 1, " wait ", line);
      trace.lines.push_back(cat(line, int{value}));
      grid[static_cast<size_t>(single)] = value;
      continue;
    }
    ++trace.guesses;
    const uint32_t open = candidates(grid, fewest);
    for (uint8_t value = 1; value <= kSide; ++value) {
      if (!(open >> value & 1)) continue;
      trace.lines.push_back(cat("try ", cell_name(fewest), "=", int{value}));
      Grid next = grid;
      next[static_cast<size_t>(fewest)] = value;
      if (solve(next, trace)) {
        grid = next;
        return true;
      }
      trace.lines.push_back("back");
    }
    return false;
  }
}

}  // namespace

Instance make_sudoku(int64_t level, Rng& rng, const TraceOptions& options) {
  constexpr std::array<Range, kLevels> kBlanks = {{{4, 6}, {5, 7}, {6, 8}, {7, 9}, {10, 12}}};
  for (;;) {
    Grid solution{};
    fill(solution, rng, 0);
    const int64_t blanks = draw(rng, kBlanks, level);
    std::vector<int64_t> order;
    for (int64_t cell = 0; cell < kCells; ++cell) order.push_back(cell);
    shuffle(rng, order);
    Grid puzzle = solution;
    for (int64_t blank = 0; blank < blanks; ++blank) puzzle[static_cast<size_t>(order[static_cast<size_t>(blank)])] = 0;
    Trace trace;
    if (rng.uniform() < options.slips) trace.slip_at = between(rng, 0, blanks - 1);
    Grid solved = puzzle;
    if (count_solutions(puzzle, 2) != 1 || !solve(solved, trace)) continue;
    // Guesses only at the last level, and there few enough to follow.
    if (level < kLevels ? trace.guesses > 0 : trace.lines.size() > 60) continue;
    return {.prompt = "sudoku " + text_of(puzzle),
            .thinking = join(trace.lines, "\n"),
            .answer = text_of(solution),
            .gold = {{"givens", text_of(puzzle)}}};
  }
}

Verdict check_sudoku(const io::json::object& gold, std::string_view answer) {
  const std::string_view givens = gold.at("givens").as_string();
  bool grid_shaped = givens.size() == 19;
  for (size_t at = 0; at < givens.size(); ++at) grid_shaped = grid_shaped && (givens[at] == '/') == (at % 5 == 4);
  MM_CHECK(grid_shaped, "sudoku ", givens, ", expected four rows of four with a slash between");
  if (answer.size() != givens.size()) return {false, "wrong_shape"};
  Grid grid{};
  int64_t cell = 0;
  for (size_t at = 0; at < answer.size(); ++at) {
    if (givens[at] == '/') {
      if (answer[at] != '/') return {false, "wrong_shape"};
      continue;
    }
    if (answer[at] < '1' || answer[at] > '4') return {false, "wrong_shape"};
    if (givens[at] != '.' && givens[at] != answer[at]) return {false, "given_changed"};
    grid[static_cast<size_t>(cell++)] = static_cast<uint8_t>(answer[at] - '0');
  }
  for (int64_t at = 0; at < kCells; ++at)
    if (!(candidates(grid, at) >> grid[static_cast<size_t>(at)] & 1)) return {false, "rule_broken"};
  return {true, "correct"};
}

}  // namespace minimax::rl
