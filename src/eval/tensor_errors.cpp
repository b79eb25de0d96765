#include "eval/tensor_errors.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "eval/calibration.h"
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
  return {checkpoint.tensor(expected.name).view({1, expected.shape.dim(0)}), {}, {}};
}

struct Sums {
  double error = 0, square = 0, largest = 0;
};

// Powers of two that rows or columns of a matrix have been multiplied by; empty: none.
struct Factors {
  std::vector<float> rows, columns;

  void take_back(int64_t first, int64_t inputs, std::vector<float>& values) const {
    for (size_t i = 0; i < values.size(); ++i) {
      const auto row = first + static_cast<int64_t>(i) / inputs, column = static_cast<int64_t>(i) % inputs;
      if (!rows.empty()) values[i] /= rows[static_cast<size_t>(row)];
      if (!columns.empty()) values[i] /= columns[static_cast<size_t>(column)];
    }
  }
};

// The power of two by which `count` values are larger than others.
float power_between(const float* values, const float* others, int64_t count) {
  double product = 0, square = 0;
  for (int64_t i = 0; i < count; ++i) {
    product += static_cast<double>(values[i]) * others[i];
    square += static_cast<double>(others[i]) * others[i];
  }
  if (square <= 0 || product <= 0) return 1;
  return std::ldexp(1.0f, static_cast<int>(std::nearbyint(std::log2(product / square))));
}

// By name, of the matrices that have any but 1.
std::map<std::string, Factors> folded_factors(const Checkpoint& model, const Checkpoint& reference,
                                              ThreadPool& threads) {
  const std::vector<FoldablePair> pairs = foldable_pairs(model.config());
  std::vector<std::vector<float>> found(pairs.size());
  threads.parallel_for(static_cast<int64_t>(pairs.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const std::string& name = pairs[static_cast<size_t>(i)].rows;
      Weight weight = model.weight(name), other = reference.weight(name);
      // A norm has a row for each element.
      for (Weight* each : {&weight, &other})
        if (each->shape().rank() == 1) each->data = each->data.view({each->data.dim(0), 1});
      bool any = false;
      std::vector<float> factors;
      for (int64_t row = 0; row < weight.outputs(); ++row) {
        factors.push_back(
            power_between(rows_of(weight, row, 1).data(), rows_of(other, row, 1).data(), weight.inputs()));
        any = any || factors.back() != 1;
      }
      if (any) found[static_cast<size_t>(i)] = std::move(factors);
    }
  });
  std::map<std::string, Factors> factors;
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (found[i].empty()) continue;
    std::vector<float> columns = to_columns(found[i], pairs[i], model.config().head_dim);
    for (float& factor : columns) factor = 1 / factor;
    factors[pairs[i].columns].columns = std::move(columns);
    // In difference() a norm is one row.
    (model.weight(pairs[i].rows).shape().rank() == 1 ? factors[pairs[i].rows].columns : factors[pairs[i].rows].rows) =
        found[i];
  }
  return factors;
}

Sums difference(const Weight& weight, const Weight& reference, const Factors& factors, ThreadPool& threads) {
  constexpr int64_t kRows = quant::kPanelRows;
  const int64_t pieces = (weight.outputs() + kRows - 1) / kRows;
  std::vector<Sums> sums(static_cast<size_t>(pieces));
  threads.parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = piece * kRows;
      const int64_t rows = std::min(kRows, weight.outputs() - first);
      std::vector<float> found = rows_of(weight, first, rows);
      const std::vector<float> expected = rows_of(reference, first, rows);
      factors.take_back(first, weight.inputs(), found);
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
  const std::map<std::string, Factors> factors = folded_factors(model, reference, threads);
  std::vector<TensorError> errors;
  for (const ExpectedTensor& expected : tensors) {
    if (progress) progress(static_cast<int64_t>(errors.size()), static_cast<int64_t>(tensors.size()), expected.name);
    const Weight weight = matrix_of(model, expected);
    const auto folded = factors.find(expected.name);
    const Sums sums = difference(weight, matrix_of(reference, expected),
                                 folded == factors.end() ? Factors{} : folded->second, threads);
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
