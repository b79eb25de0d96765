// The parameters of a model under their published names.
#pragma once

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

}  // namespace minimax
