// How far the stored weights of one checkpoint are from those of another, tensor by tensor.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/threads.h"
#include "model/checkpoint.h"

namespace minimax::eval {

struct TensorError {
  std::string name;    ///< published
  std::string format;  ///< "q4", "BF16"
  int64_t layer = -1;  ///< -1: of no layer
  std::string role;    ///< "experts", "attention", ...; "rest" for routers and norms
  int64_t bytes = 0;
  double relative_error = 0;  ///< sqrt(sum of squared differences / sum of squares)
  double largest = 0;         ///< largest difference, in root mean squares of the tensor
};

using TensorProgress = std::function<void(int64_t done, int64_t total, const std::string& name)>;

/// In the order of layers. Where rows of one matrix were divided by powers of two and columns of another multiplied by
/// them (FoldablePair), they are taken back before the comparison: the model is the same function. Throws
/// kInvalidArgument when the models have not the same tensors.
std::vector<TensorError> tensor_errors(const Checkpoint& model, const Checkpoint& reference, ThreadPool& threads,
                                       const TensorProgress& progress = {});

/// Mean over the tensors of each layer and role: one value for each layer that has any, in order. For charts.
std::vector<std::pair<int64_t, double>> errors_by_layer(const std::vector<TensorError>& errors, std::string_view role);

}  // namespace minimax::eval
