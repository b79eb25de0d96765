// The mixture-of-experts block of a decoder layer.
#pragma once

#include <optional>
#include <vector>

#include "core/context.h"
#include "ops/weight.h"

namespace minimax {

/// Top-k routed experts, with an optional shared one (MiniMaxM1SparseMoeBlock in the published modeling file).
struct MixtureOfExperts {
  struct Shared {
    ExpertWeights expert;  ///< shared_mlp
    Weight coefficient;    ///< [1, hidden]
  };

  Weight router;                       ///< [experts, hidden], float32 in the published checkpoints
  std::vector<ExpertWeights> experts;  ///< [experts]
  int64_t top_k = 2;
  std::optional<Shared> shared;

  /// x: [tokens, hidden] -> [tokens, hidden].
  Tensor forward(Context& ctx, const Tensor& x) const;
};

}  // namespace minimax
