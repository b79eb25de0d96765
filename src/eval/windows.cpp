#include "eval/windows.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace minimax::eval {

std::vector<Window> windows_of(std::span<const int32_t> ids, int64_t length, int64_t most_tokens) {
  MM_CHECK(length >= 2, "windows of ", length, " tokens, expected at least 2");
  if (most_tokens > 0) ids = ids.first(std::min(ids.size(), static_cast<size_t>(most_tokens)));
  std::vector<Window> windows;
  while (ids.size() >= 2) {
    const std::span<const int32_t> window = ids.first(std::min(ids.size(), static_cast<size_t>(length)));
    windows.push_back({{window.begin(), window.end()}});
    ids = ids.subspan(window.size());
  }
  return windows;
}

WindowReader::WindowReader(const MiniMaxM1& model, const Context& ctx, int64_t longest_window, int64_t chunk)
    : model_(model), ctx_(ctx), chunk_(chunk), cache_(model.config, longest_window, 1, ctx) {}

WindowReader::~WindowReader() {
  cache_.close(sequence_);
}

void WindowReader::start(std::span<const int32_t> window) {
  cache_.close(sequence_);
  sequence_ = cache_.open();
  cache_.reserve(sequence_, static_cast<int64_t>(window.size()));
  window_ = window;
}

std::optional<WindowReader::Step> WindowReader::step(const HiddenVisitor& on_hidden) {
  const int64_t first = sequence_.length;
  const int64_t count = std::min(chunk_, static_cast<int64_t>(window_.size()) - first);
  if (count <= 0) return std::nullopt;
  engine::BatchBuilder builder;
  builder.add(sequence_, window_.subspan(static_cast<size_t>(first), static_cast<size_t>(count)),
              engine::BatchBuilder::Logits::kAll);
  HiddenObserver observer;
  if (on_hidden) observer = [&](int64_t index, const Tensor& hidden) { on_hidden(index, to_host(hidden)); };
  Tensor logits = to_host(model_.forward(ctx_, builder.build(), cache_.layers(), observer));
  sequence_.length += count;
  return Step{first, std::move(logits)};
}

void Mean::Moments::add(double value) {
  sum += value;
  square += value * value;
  ++count;
}

double Mean::Moments::error() const {
  if (count < 2) return 0;
  const auto n = static_cast<double>(count);
  const double variance = std::max(0.0, (square - sum * sum / n) / (n - 1));
  return std::sqrt(variance / n);
}

void Mean::add(double value) {
  single_.add(value);
  stretch_sum_ += value;
  if (++count_ % kStretch == 0) {
    stretches_.add(stretch_sum_ / kStretch);
    stretch_sum_ = 0;
  }
}

double Mean::value() const {
  return count_ > 0 ? single_.sum / static_cast<double>(count_) : 0;
}

double Mean::standard_error() const {
  return stretches_.count >= 4 ? stretches_.error() : single_.error();
}

}  // namespace minimax::eval
