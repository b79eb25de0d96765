// PrometheusText: figures in the text format that Prometheus reads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/stats.h"

namespace minimax::server {

class PrometheusText {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string>>;

  /// Labels that every figure gets.
  explicit PrometheusText(Labels common = {}) : common_(std::move(common)) {}

  void gauge(std::string_view name, std::string_view help, double value) { one(name, help, "gauge", value); }
  /// `name` ends in _total.
  void counter(std::string_view name, std::string_view help, double value) { one(name, help, "counter", value); }
  /// One family with several labelled figures: head once, then a line each.
  void head(std::string_view name, std::string_view help, std::string_view type);
  void line(std::string_view name, const Labels& labels, double value);
  void histogram(std::string_view name, std::string_view help, const engine::Histogram& histogram);

  const std::string& text() const { return text_; }

 private:
  void one(std::string_view name, std::string_view help, std::string_view type, double value) {
    head(name, help, type);
    line(name, {}, value);
  }

  Labels common_;
  std::string text_;
};

}  // namespace minimax::server
