// Packed weights made dense, for what needs every number of a matrix: gradients and merging.
#pragma once

#include <functional>

#include "core/threads.h"
#include "model/minimax_m1.h"

namespace minimax::train {

/// Calls visit for every matrix of the model that may be packed: embedding, attention, experts, head. The head of tied
/// embeddings is not visited.
void for_each_matrix(MiniMaxM1& model, const std::function<void(Weight& weight)>& visit);

/// The numbers of a packed matrix, without its adapter: [outputs, inputs] float32.
Tensor unpack(const Weight& weight, ThreadPool& threads);

/// Some matrix of it is packed.
bool is_packed(const MiniMaxM1& model);

/// `model`, which lies on the host, with all of its packed matrices dense; what is dense is shared.
MiniMaxM1 unpacked(MiniMaxM1 model, ThreadPool& threads);

}  // namespace minimax::train
