// The experts of a mixture with packed weights, and the order in which tokens meet them.
#pragma once

#include <span>
#include <vector>

#include "core/context.h"
#include "cpu/moe.h"

namespace minimax::cpu {

/// Assignments (token, rank) sorted by expert, tokens in order within each.
struct ExpertOrder {
  /// chosen: [tokens, top_k] int32, each below `experts`.
  ExpertOrder(const Tensor& chosen, int64_t experts);

  std::vector<int64_t> starts;  ///< [experts + 1] sorted assignments of expert e: starts[e] .. starts[e + 1]
  std::vector<int64_t> place;   ///< [tokens * top_k] where assignment token * top_k + rank went
};

/// Every matrix of every expert is packed.
bool all_packed(std::span<const ExpertTensors> experts);

/// experts() for such: each touched expert's weights are streamed once; gate, up and SiLU are one pass, at whose end
/// the product lies quantized.
void packed_experts(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
                    std::span<const ExpertTensors> experts, const Tensor& out);

}  // namespace minimax::cpu
