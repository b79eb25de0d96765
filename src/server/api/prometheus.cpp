#include "server/api/prometheus.h"

#include "io/json.h"

namespace minimax::server {
namespace {

std::string number(double value) {
  const auto whole = static_cast<int64_t>(value);
  return static_cast<double>(whole) == value ? std::to_string(whole) : io::write_json_number(value);
}

void append_labels(std::string& text, const PrometheusText::Labels& labels, bool& any) {
  for (const auto& [key, value] : labels) {
    text += any ? "," : "{";
    any = true;
    text.append(key).append("=\"");
    for (const char c : value) {
      if (c == '\\' || c == '"') text += '\\';
      text += c == '\n' ? ' ' : c;
    }
    text += '"';
  }
}

}  // namespace

void PrometheusText::head(std::string_view name, std::string_view help, std::string_view type) {
  text_.append("# HELP ").append(name).append(" ").append(help);
  text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void PrometheusText::line(std::string_view name, const Labels& labels, double value) {
  text_ += name;
  bool any = false;
  append_labels(text_, common_, any);
  append_labels(text_, labels, any);
  text_.append(any ? "} " : " ").append(number(value)).append("\n");
}

void PrometheusText::histogram(std::string_view name, std::string_view help, const engine::Histogram& histogram) {
  head(name, help, "histogram");
  const std::string bucket = std::string(name) + "_bucket";
  int64_t below = 0;
  for (size_t at = 0; at < engine::Histogram::kBounds.size(); ++at) {
    below += histogram.counts()[at];
    line(bucket, {{"le", number(engine::Histogram::kBounds[at])}}, static_cast<double>(below));
  }
  line(bucket, {{"le", "+Inf"}}, static_cast<double>(histogram.total()));
  line(std::string(name) + "_sum", {}, histogram.sum());
  line(std::string(name) + "_count", {}, static_cast<double>(histogram.total()));
}

}  // namespace minimax::server
