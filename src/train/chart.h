// Line charts as SVG, for reports.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace minimax::train {

struct Point {
  double x = 0, y = 0;
};

struct Series {
  std::string name;           ///< in the legend; empty: not there
  std::vector<Point> points;  ///< ascending in x; points that are not finite break the line
  std::string color;          ///< "#1f6feb"
  double width = 1.6;
  double opacity = 1;
  bool dots = false;  ///< mark the points
};

struct Chart {
  std::string title;
  std::string x_label = "step";
  std::vector<Series> series;
  bool log_y = false;  ///< values of 0 and less are left out
};

/// A standalone <svg> of 720 x 300, readable on white and on dark pages. Long series are averaged down to what the
/// width can show. "no data" when no series has two finite values.
std::string svg(const Chart& chart);

/// Running mean with weight 1 - `keep` for each new value, corrected at the start; ends and gaps as in `points`.
std::vector<Point> smoothed(const std::vector<Point>& points, double keep);

/// `text` with <, >, & and quotes escaped for HTML and SVG.
std::string escaped(std::string_view text);

}  // namespace minimax::train
