// The matrices of one expert.
#pragma once

#include "quant/weight.h"

namespace minimax {

/// One expert of a mixture: x -> down(silu(gate x) * (up x)); w1, w3, w2 of the published names.
struct ExpertWeights {
  Weight gate;  ///< [ffn, hidden]
  Weight up;    ///< [ffn, hidden]
  Weight down;  ///< [hidden, ffn]
};

}  // namespace minimax
