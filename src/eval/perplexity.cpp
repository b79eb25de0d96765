#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "cpu/logits.h"

namespace minimax::eval {
namespace {

std::span<const float> row_of(const Tensor& logits, int64_t row) {
  return std::span(logits.data<float>(), static_cast<size_t>(logits.elements()))
      .subspan(static_cast<size_t>(row * logits.dim(1)), static_cast<size_t>(logits.dim(1)));
}

double log_sum(std::span<const float> logits) {
  return cpu::log_sum_exp(logits, *std::max_element(logits.begin(), logits.end()));
}

int64_t tokens_of(const std::vector<Window>& windows) {
  int64_t tokens = 0;
  for (const Window& window : windows) tokens += static_cast<int64_t>(window.ids.size());
  return tokens;
}

int64_t longest_of(const std::vector<Window>& windows) {
  size_t longest = 0;
  for (const Window& window : windows) longest = std::max(longest, window.ids.size());
  return static_cast<int64_t>(longest);
}

void check_ids(const std::vector<Window>& windows, int64_t vocab) {
  MM_CHECK(!windows.empty(), "a text of fewer than 2 tokens has nothing to predict");
  for (const Window& window : windows)
    for (const int32_t id : window.ids)
      MM_CHECK(0 <= id && id < vocab, "token ", id, " of a text, expected 0 to ", vocab - 1);
}

// What one row says; rows are looked at on all threads, and added up in order.
struct RowFigures {
  double reference_loss = 0, loss = 0, divergence = 0;
  bool same_top = false;
};

double loss_of(std::span<const float> logits, int32_t target) {
  return log_sum(logits) - logits[static_cast<size_t>(target)];
}

int64_t top_of(std::span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

RowFigures figures_of(std::span<const float> reference, std::span<const float> logits, int32_t target) {
  return {loss_of(reference, target), loss_of(logits, target), divergence(reference, logits),
          top_of(reference) == top_of(logits)};
}

// Rows of a step whose next token counts.
std::vector<int64_t> predictions(const WindowReader::Step& step, const Window& window) {
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < step.logits.dim(0); ++row) {
    const auto next = static_cast<size_t>(step.first + row + 1);
    if (next < window.ids.size() && window.counts(next)) rows.push_back(row);
  }
  return rows;
}

Tensor copied(const Tensor& x) {
  Tensor out = Tensor::empty(x.shape(), x.dtype());
  copy_bytes(x, out);
  return out;
}

// Squared errors of hidden states, by index.
class HiddenErrors {
 public:
  explicit HiddenErrors(int64_t layers)
      : reference_(static_cast<size_t>(layers + 1)), errors_(reference_.size()), squares_(reference_.size()) {}

  void keep(int64_t index, const Tensor& hidden) {
    const float* values = hidden.data<float>();
    reference_[static_cast<size_t>(index)].assign(values, values + hidden.elements());
  }
  void add(int64_t index, const Tensor& hidden) {
    const std::vector<float>& expected = reference_[static_cast<size_t>(index)];
    const float* values = hidden.data<float>();
    for (size_t i = 0; i < expected.size(); ++i) {
      const double difference = static_cast<double>(values[i]) - expected[i];
      errors_[static_cast<size_t>(index)] += difference * difference;
      squares_[static_cast<size_t>(index)] += static_cast<double>(expected[i]) * expected[i];
    }
  }
  std::vector<double> relative() const {
    std::vector<double> out;
    for (size_t i = 0; i < errors_.size(); ++i)
      out.push_back(squares_[i] > 0 ? std::sqrt(errors_[i] / squares_[i]) : 0);
    return out;
  }

 private:
  std::vector<std::vector<float>> reference_;  // of the chunk in hand
  std::vector<double> errors_, squares_;
};

}  // namespace

double Perplexity::value() const {
  return std::exp(loss.value());
}
double Perplexity::standard_error() const {
  return value() * loss.standard_error();
}

double divergence(std::span<const float> p_logits, std::span<const float> q_logits) {
  const double p_sum = log_sum(p_logits), q_sum = log_sum(q_logits);
  double total = 0;
  for (size_t id = 0; id < p_logits.size(); ++id) {
    const double p_log = p_logits[id] - p_sum;
    if (p_log > -60) total += std::exp(p_log) * (p_log - (q_logits[id] - q_sum));
  }
  return std::max(0.0, total);  // rounding may take it below
}

Perplexity perplexity(const MiniMaxM1& model, const Context& ctx, const std::vector<Window>& windows,
                      const TokenProgress& progress) {
  check_ids(windows, model.config.vocab);
  WindowReader reader(model, ctx, longest_of(windows));
  Perplexity out;
  int64_t done = 0;
  for (const Window& window : windows) {
    reader.start(window.ids);
    while (const auto step = reader.step()) {
      const std::vector<int64_t> rows = predictions(*step, window);
      std::vector<double> losses(rows.size());
      ctx.threads->parallel_for(static_cast<int64_t>(rows.size()), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t row = rows[static_cast<size_t>(i)];
          losses[static_cast<size_t>(i)] =
              loss_of(row_of(step->logits, row), window.ids[static_cast<size_t>(step->first + row + 1)]);
        }
      });
      for (const double loss : losses) out.loss.add(loss);
      done += step->logits.dim(0);
      if (progress) progress(done, tokens_of(windows));
    }
  }
  MM_CHECK(out.loss.count() > 0, "the text has no token to predict");
  return out;
}

Comparison compare(const MiniMaxM1& model, const MiniMaxM1& reference, const Context& ctx,
                   const std::vector<Window>& windows, const TokenProgress& progress) {
  MM_CHECK(model.config.vocab == reference.config.vocab && model.config.layers == reference.config.layers &&
               model.config.hidden == reference.config.hidden,
           "a model of ", model.config.layers, " layers, hidden ", model.config.hidden, ", vocabulary ",
           model.config.vocab, " beside a reference of ", reference.config.layers, ", ", reference.config.hidden, ", ",
           reference.config.vocab, ": they are not the same model");
  check_ids(windows, model.config.vocab);
  const int64_t longest = longest_of(windows);
  WindowReader reader(model, ctx, longest), reference_reader(reference, ctx, longest);
  HiddenErrors hidden(model.config.layers);
  Comparison out;
  std::vector<double> divergences;
  int64_t done = 0;
  for (const Window& window : windows) {
    reader.start(window.ids);
    reference_reader.start(window.ids);
    while (const auto expected =
               reference_reader.step([&](int64_t index, const Tensor& values) { hidden.keep(index, values); })) {
      const Tensor expected_logits = copied(expected->logits);
      const auto step = reader.step([&](int64_t index, const Tensor& values) { hidden.add(index, values); });
      const std::vector<int64_t> rows = predictions(*step, window);
      std::vector<RowFigures> figures(rows.size());
      ctx.threads->parallel_for(static_cast<int64_t>(rows.size()), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t row = rows[static_cast<size_t>(i)];
          figures[static_cast<size_t>(i)] = figures_of(row_of(expected_logits, row), row_of(step->logits, row),
                                                       window.ids[static_cast<size_t>(step->first + row + 1)]);
        }
      });
      for (const RowFigures& row : figures) {
        out.reference.loss.add(row.reference_loss);
        out.model.loss.add(row.loss);
        out.loss_difference.add(row.loss - row.reference_loss);
        out.divergence.add(row.divergence);
        out.same_top.add(row.same_top);
        divergences.push_back(row.divergence);
      }
      done += step->logits.dim(0);
      if (progress) progress(done, tokens_of(windows));
    }
  }
  MM_CHECK(!divergences.empty(), "the text has no token to predict");
  std::sort(divergences.begin(), divergences.end());
  out.largest_divergence = divergences.back();
  out.divergence_99 = divergences[(divergences.size() - 1) * 99 / 100];
  out.hidden_error = hidden.relative();
  return out;
}

}  // namespace minimax::eval
