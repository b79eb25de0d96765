#include "train/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace minimax::train {
namespace {

constexpr double kWidth = 720, kHeight = 300;
constexpr double kLeft = 62, kRight = 14, kTop = 34, kBottom = 36;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kLegendRow = 17;
constexpr size_t kMostPoints = 900;

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return !(low <= high); }
};

/// 1, 2 or 5 times a power of ten, so that about `count` steps cover `span`.
double nice_step(double span, int count) {
  const double rough = span / count, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough * 0.999) return factor * power;
  return 10 * power;
}

std::string label(double value) {
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size >= 1e9) return fmt::format("{:.4g}G", value / 1e9);
  if (size >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:.4g}k", value / 1e3);
  if (size < 1e-3) return fmt::format("{:.3g}", value);
  return fmt::format("{:.4g}", value);
}

/// Every `n` neighbours become their mean.
std::vector<Point> thinned(const std::vector<Point>& points) {
  if (points.size() <= kMostPoints) return points;
  std::vector<Point> out;
  const size_t group = (points.size() + kMostPoints - 1) / kMostPoints;
  for (size_t first = 0; first < points.size(); first += group) {
    const size_t last = std::min(first + group, points.size());
    Point mean;
    double count = 0;
    for (size_t i = first; i < last; ++i)
      if (std::isfinite(points[i].y)) {
        mean.x += points[i].x;
        mean.y += points[i].y;
        ++count;
      }
    if (count > 0) out.push_back({mean.x / count, mean.y / count});
  }
  return out;
}

class Plot {
 public:
  explicit Plot(const Chart& chart) : chart_(chart) {
    for (const Series& series : chart.series) {
      drawn_.push_back(thinned(series.points));
      for (const Point& point : drawn_.back())
        if (shows(point)) {
          x_.add(point.x);
          y_.add(height(point.y));
          ++values_;
        }
    }
    lay_out_legend();
    if (values_ < 2 || x_.empty()) return;
    if (x_.low == x_.high) x_.high = x_.low + 1;
    const double margin = y_.high > y_.low ? 0.05 * (y_.high - y_.low) : std::max(0.5, 0.1 * std::abs(y_.high));
    // A chart of what cannot be negative does not go below zero.
    const bool positive = !chart.log_y && y_.low >= 0;
    y_ = {y_.low - margin, y_.high + margin};
    if (positive) y_.low = std::max(y_.low, 0.0);
  }

  std::string text() const {
    std::string out = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
        "font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"11\" role=\"img\">"
        "<title>{2}</title><text x=\"{3}\" y=\"16\" font-size=\"13\" font-weight=\"600\" "
        "fill=\"currentColor\">{2}</text>\n",
        kWidth, kHeight, escaped(chart_.title), kLeft);
    if (values_ < 2)
      return out + fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#8b949e\">no data</text></svg>\n",
                               kWidth / 2, kHeight / 2);
    return out + axes() + lines() + legend_ + "</svg>\n";
  }

 private:
  bool shows(const Point& point) const {
    return std::isfinite(point.x) && std::isfinite(point.y) && (!chart_.log_y || point.y > 0);
  }
  double height(double y) const { return chart_.log_y ? std::log10(y) : y; }
  double to_x(double x) const { return kLeft + (x - x_.low) / (x_.high - x_.low) * kPlotWidth; }
  double to_y(double scaled) const {
    return top_ + (y_.high - scaled) / (y_.high - y_.low) * (kHeight - kBottom - top_);
  }

  /// Right of the title in one row where there is room, else in rows below it.
  void lay_out_legend() {
    constexpr double kLine = 16, kGap = 6, kBetween = 14;
    const auto width = [&](const Series& series) {
      return kLine + kGap + 6.4 * static_cast<double>(series.name.size()) + kBetween;
    };
    double total = 0;
    for (const Series& series : chart_.series)
      if (!series.name.empty()) total += width(series);
    const double title = kLeft + 7.6 * static_cast<double>(chart_.title.size()) + kBetween;
    double x = kWidth - kRight + kBetween - total, y = 16;
    const bool below = x < title;
    if (below) x = kLeft, y += kLegendRow;
    for (const Series& series : chart_.series) {
      if (series.name.empty()) continue;
      if (x + width(series) - kBetween > kWidth - kRight && x > kLeft) x = kLeft, y += kLegendRow;
      legend_ += fmt::format(
          "<line x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.0f}\" y2=\"{:.0f}\" stroke=\"{}\" stroke-width=\"2.5\"/>"
          "<text x=\"{:.0f}\" y=\"{:.0f}\" fill=\"currentColor\">{}</text>\n",
          x, x + kLine, y - 4, y - 4, series.color, x + kLine + kGap, y, escaped(series.name));
      x += width(series);
    }
    top_ = kTop + (below ? y - 16 : 0);
  }

  std::string tick_y(double scaled, double value) const {
    const double y = to_y(scaled);
    return fmt::format(
        "<line x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" stroke=\"#8b949e\" stroke-opacity=\"0.25\"/>"
        "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\" fill=\"#8b949e\">{5}</text>\n",
        kLeft, kWidth - kRight, y, kLeft - 8, y + 4, label(value));
  }

  std::string axes() const {
    std::string out;
    if (chart_.log_y) {
      const double decades = std::max(1.0, std::ceil((y_.high - y_.low) / 6));
      for (double power = std::ceil(y_.low / decades) * decades; power <= y_.high; power += decades)
        out += tick_y(power, std::pow(10, power));
      // Less than two decades: the values between help.
      if (y_.high - y_.low < 2)
        for (double power = std::floor(y_.low); power <= y_.high; ++power)
          for (const double factor : {2.0, 5.0})
            if (const double at = power + std::log10(factor); at >= y_.low && at <= y_.high)
              out += tick_y(at, std::pow(10, at));
    } else {
      const double step = nice_step(y_.high - y_.low, 5);
      for (double value = std::ceil(y_.low / step) * step; value <= y_.high; value += step)
        out += tick_y(value, std::abs(value) < step / 1e6 ? 0 : value);
    }
    const double step = std::max(1.0, nice_step(x_.high - x_.low, 8));
    for (double value = std::ceil(x_.low / step) * step; value <= x_.high; value += step)
      out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\" fill=\"#8b949e\">{}</text>\n", to_x(value),
                         kHeight - kBottom + 16, label(value));
    out += fmt::format("<line x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\" stroke=\"#8b949e\"/>\n", kLeft,
                       kWidth - kRight, kHeight - kBottom);
    return out + fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#8b949e\">{}</text>\n",
                             kWidth - kRight, kHeight - 5, escaped(chart_.x_label));
  }

  std::string lines() const {
    std::string out;
    for (size_t i = 0; i < drawn_.size(); ++i) {
      const Series& series = chart_.series[i];
      std::string path;
      bool pen_down = false;
      for (const Point& point : drawn_[i]) {
        if (!shows(point)) {
          pen_down = false;
          continue;
        }
        const double x = to_x(point.x), y = to_y(height(point.y));
        path += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", x, y);
        pen_down = true;
        if (series.dots)
          out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\" fill=\"{}\"/>\n", x, y, series.color);
      }
      out += fmt::format(
          "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-opacity=\"{}\" "
          "stroke-linejoin=\"round\"/>\n",
          path, series.color, series.width, series.opacity);
    }
    return out;
  }

  const Chart& chart_;
  std::vector<std::vector<Point>> drawn_;
  std::string legend_;
  double top_ = kTop;  // of the plot
  Range x_, y_;
  int64_t values_ = 0;
};

}  // namespace

std::string svg(const Chart& chart) {
  return Plot(chart).text();
}

std::vector<Point> smoothed(const std::vector<Point>& points, double keep) {
  std::vector<Point> out;
  double sum = 0, weight = 0;
  for (const Point& point : points) {
    if (std::isfinite(point.y)) {
      sum = keep * sum + (1 - keep) * point.y;
      weight = keep * weight + (1 - keep);
    }
    out.push_back({point.x, std::isfinite(point.y) ? sum / weight : point.y});
  }
  return out;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char letter : text) switch (letter) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += letter;
    }
  return out;
}

}  // namespace minimax::train
