#include "cli/suggest.h"

#include <algorithm>

namespace minimax::cli {

int edit_distance(std::string_view a, std::string_view b) {
  // Rows of the dynamic program: distance of a[0..row) to b[0..column). Three rows, for the swap of neighbours.
  std::vector<int> before(b.size() + 1), above(b.size() + 1), current(b.size() + 1);
  for (size_t column = 0; column <= b.size(); ++column) above[column] = static_cast<int>(column);
  for (size_t row = 1; row <= a.size(); ++row) {
    current[0] = static_cast<int>(row);
    for (size_t column = 1; column <= b.size(); ++column) {
      const int replaced = above[column - 1] + (a[row - 1] != b[column - 1]);
      current[column] = std::min({above[column] + 1, current[column - 1] + 1, replaced});
      if (row > 1 && column > 1 && a[row - 1] == b[column - 2] && a[row - 2] == b[column - 1])
        current[column] = std::min(current[column], before[column - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, current);
  }
  return above[b.size()];
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  const int allowed = std::max<int>(1, static_cast<int>(word.size()) / 3);
  int best = allowed + 1;
  std::string found;
  for (const std::string& candidate : candidates) {
    // A word cut short is meant too: "tok" for tokenize, "--max" for --max-tokens.
    const bool prefix = word.size() >= 3 && candidate.starts_with(word);
    const int distance = prefix ? std::min(1, edit_distance(word, candidate)) : edit_distance(word, candidate);
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

}  // namespace minimax::cli
