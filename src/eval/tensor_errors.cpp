#include "eval/tensor_errors.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "model/quantize_checkpoint.h"
#include "quant/panel.h"

namespace minimax::eval {
namespace {

// Rows [first, first + rows) as float32.
std::vector<float> rows_of(const Weight& weight, int64_t first, int64_t rows) {
  std::vector<float> out(static_cast<size_t>(rows * weight.inputs()));
  if (weight.format) {
    quant::dequantize_rows(*weight.format, weight.inputs(), static_cast<const std::byte*>(weight.data.raw()), first,
                           rows, out.data());
  } else {
    const Tensor floats = to_float32(weight.data.rows(first, first + rows));
    std::copy_n(floats.data<float>(), floats.elements(), out.begin());
  }
  return out;
}

// A vector as a matrix of one row.
Weight matrix_of(const Checkpoint& checkpoint, const ExpectedTensor& expected) {
  if (expected.shape.rank() == 2) return checkpoint.weight(expected.name);
  return {checkpoint.tensor(expected.name).view({1, expected.shape.dim(0)})};
}

struct Sums {
  double error = 0, square = 0, largest = 0;
};

Sums difference(const Weight& weight, const Weight& reference, ThreadPool& threads) {
  constexpr int64_t kRows = quant::kPanelRows;
  const int64_t pieces = (weight.outputs() + kRows - 1) / kRows;
  std::vector<Sums> sums(static_cast<size_t>(pieces));
  threads.parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = piece * kRows;
      const int64_t rows = std::min(kRows, weight.outputs() - first);
      const std::vector<float> found = rows_of(weight, first, rows), expected = rows_of(reference, first, rows);
      Sums& sum = sums[static_cast<size_t>(piece)];
      for (size_t i = 0; i < found.size(); ++i) {
        const double difference = static_cast<double>(found[i]) - expected[i];
        sum.error += difference * difference;
        sum.square += static_cast<double>(expected[i]) * expected[i];
        sum.largest = std::max(sum.largest, std::fabs(difference));
      }
    }
  });
  Sums total;
  for (const Sums& sum : sums) {
    total.error += sum.error;
    total.square += sum.square;
    total.largest = std::max(total.largest, sum.largest);
  }
  return total;
}

}  // namespace

std::vector<TensorError> tensor_errors(const Checkpoint& model, const Checkpoint& reference, ThreadPool& threads,
                                       const TensorProgress& progress) {
  const std::vector<ExpectedTensor> tensors = expected_tensors(model.config());
  const std::vector<ExpectedTensor> others = expected_tensors(reference.config());
  const bool same = std::equal(
      tensors.begin(), tensors.end(), others.begin(), others.end(),
      [](const ExpectedTensor& a, const ExpectedTensor& b) { return a.name == b.name && a.shape == b.shape; });
  MM_CHECK(same, "the two models have not the same tensors: they are not the same model");
  std::vector<TensorError> errors;
  for (const ExpectedTensor& expected : tensors) {
    if (progress) progress(static_cast<int64_t>(errors.size()), static_cast<int64_t>(tensors.size()), expected.name);
    const Weight weight = matrix_of(model, expected);
    const Sums sums = difference(weight, matrix_of(reference, expected), threads);
    const auto role = role_of(expected);
    const double root_mean_square = std::sqrt(sums.square / static_cast<double>(expected.shape.elements()));
    errors.push_back({expected.name,
                      std::string(weight.format ? quant::name(*weight.format) : to_string(weight.data.dtype())),
                      expected.layer, role ? std::string(quant::name(*role)) : "rest", weight.data.bytes(),
                      sums.square > 0 ? std::sqrt(sums.error / sums.square) : 0,
                      root_mean_square > 0 ? sums.largest / root_mean_square : 0});
  }
  return errors;
}

std::vector<std::pair<int64_t, double>> errors_by_layer(const std::vector<TensorError>& errors, std::string_view role) {
  std::map<int64_t, std::pair<double, int64_t>> sums;
  for (const TensorError& error : errors) {
    if (error.layer < 0 || error.role != role) continue;
    sums[error.layer].first += error.relative_error;
    sums[error.layer].second += 1;
  }
  std::vector<std::pair<int64_t, double>> means;
  for (const auto& [layer, sum] : sums) means.emplace_back(layer, sum.first / static_cast<double>(sum.second));
  return means;
}

}  // namespace minimax::eval
