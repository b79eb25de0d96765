// The parameters of a model under their published names.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/minimax_m1.h"

namespace minimax {

struct Parameter {
  std::string name;  ///< as in the published checkpoint: model.layers.7.self_attn.q_proj.weight
  Tensor value;      ///< shares the model's bytes
};

/// In the order of expected_tensors(); tied embeddings stand there once.
std::vector<Parameter> parameters(const MiniMaxM1& model);

/// Calls visit(name, value) for each of them in that order; it may put another tensor in the value's place. The head of
/// tied embeddings follows its embedding.
void for_each_parameter(MiniMaxM1& model, const std::function<void(const std::string& name, Tensor& value)>& visit);

}  // namespace minimax
